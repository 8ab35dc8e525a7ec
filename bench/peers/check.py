#!/usr/bin/env python3
"""Runs parity cases through a peer's network in float64 and compares every output and every gradient.

This proves that the timed programs, eager.py (--peer torch) and jax_scan.py (--peer jax or sparx), compute the same
functions as the library. A case whose network the peer lacks is skipped. Exit code 0: all cases pass, 1: one fails, 3: the
peer or the device is missing.
"""
import argparse
import importlib
import pathlib
import sys

try:
    import numpy

    import parity
except ModuleNotFoundError as missing:
    print(f"check.py: {missing.name} is not installed for {sys.executable}", file=sys.stderr)
    sys.exit(3)

TOLERANCE = 1e-10  # of |got - want| / max(|want|, 1), in the 2-norm
CASES = pathlib.Path(__file__).resolve().parents[2] / "tests/data/parity"


def compare(answers, tensors):
    """The worst tensor and its error: (error, name). A tensor of the file that has no answer is an error of its own."""
    worst = (-1.0, "(none)")
    for name, want in tensors.items():
        if not name.startswith(("expect.", "grad.")):
            continue
        got = numpy.asarray(answers[name])
        if got.shape != want.shape:
            raise ValueError(f"{name}: expected shape {want.shape}, got {got.shape}")
        error = float(numpy.linalg.norm(got - want) / max(numpy.linalg.norm(want), 1.0))
        if not numpy.isfinite(error):
            return float("inf"), name
        worst = max(worst, (error, name))
    return worst


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="cases (default: all of tests/data/parity)")
    parser.add_argument("--peer", choices=("torch", "jax", "sparx"), default="torch")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    try:
        peer = importlib.import_module(f"parity_{options.peer}")
    except ModuleNotFoundError as missing:
        print(f"check.py: {missing.name} is not installed for {sys.executable}", file=sys.stderr)
        return 3
    if options.device == "cuda" and not peer.sees_gpu():
        print(f"check.py: {options.peer} sees no GPU", file=sys.stderr)
        return 3
    files = options.files or sorted(CASES.glob("*.safetensors"))
    if not files:
        print(f"check.py: no cases in {CASES}", file=sys.stderr)
        return 1
    failed = skipped = 0
    tried = [(path, form) for path in files for form in peer.FORMS]
    for path, form in tried:
        try:
            case = parity.Case(path)
            error, name = compare(peer.answers(case, options.device, form), case.tensors)
            passed = 0 <= error <= TOLERANCE
            print(f"{'ok' if passed else 'FAIL'} {path.stem} {form} worst {name} {error:.1e}")
        except NotImplementedError as lack:
            skipped += 1
            print(f"skip {path.stem} {form}: {lack}")
            continue
        except (OSError, KeyError, ValueError, RuntimeError, TypeError) as problem:
            passed = False
            print(f"FAIL {path.stem} {form} {type(problem).__name__}: {problem}")
        failed += not passed
    left_out = f", {skipped} skipped" if skipped else ""
    print(f"{len(tried) - failed - skipped} passed, {failed} failed{left_out}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
