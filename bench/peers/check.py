#!/usr/bin/env python3
"""Runs parity cases through the PyTorch module in float64 and compares every output and every gradient.

So the program that eager.py times is known to compute what the library computes. Exit code 0 if all cases pass, 1 if
one fails, 3 if the device is not there.
"""
import argparse
import pathlib
import sys

import numpy
import torch

import tensor_file
from model import PlasticCell, Spec

FORMAT = "plasticity-parity-1"
TOLERANCE = 1e-10  # of |got - want| / max(|want|, 1), in the 2-norm
CASES = pathlib.Path(__file__).resolve().parents[2] / "tests/data/parity"


def read_spec(tensors, metadata):
    if metadata.get("format") != FORMAT:
        raise ValueError(f"format: expected {FORMAT}, got {metadata.get('format')}")
    words = {name: metadata[name] for name in
             ("cell", "rule", "rate", "eligibility", "alpha", "activation", "modulator_source")}
    inputs = int(metadata["I"])
    if words["cell"] == "rnn" and "param.w_in" not in tensors:
        inputs = 0  # the input current is given directly, whatever I says
    return Spec(**words, inputs=inputs, neurons=int(metadata["N"]), clip=float(metadata["clip"]))


def run_case(path, device):
    """What the module answers to a case: name -> tensor, for every `expect.` and `grad.` tensor of the file; and the file's
    own tensors."""
    tensors, metadata = tensor_file.load(path)
    spec = read_spec(tensors, metadata)
    steps, batch = int(metadata["T"]), int(metadata["B"])

    def leaf(name):
        return torch.tensor(tensors[name], dtype=torch.float64, device=device, requires_grad=True)

    def constant(name, dtype=torch.float64):
        return torch.tensor(tensors[name].astype(float), device=device).to(dtype)

    def checked(name, shape, missing_is_zero=False):
        if name not in tensors and missing_is_zero:
            return torch.zeros(shape, dtype=torch.float64, device=device, requires_grad=True)
        if tensors[name].shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {tensors[name].shape}")
        return leaf(name)

    cell = PlasticCell(spec, dtype=torch.float64, device=device)
    with torch.no_grad():
        for name, shape in spec.parameter_shapes().items():
            cell.parameter(name).copy_(checked("param." + name, shape))
    inputs = {name: checked("input." + name, shape, missing_is_zero=name == "u")
              for name, shape in spec.input_shapes(steps, batch).items()}
    state = {name: checked(f"state.{name}0", shape, missing_is_zero=True)
             for name, shape in spec.state_shapes(batch).items()}
    masks = {}
    if "mask.reset" in tensors:
        masks["reset"] = constant("mask.reset", torch.bool)
    if "mask.length" in tensors:
        masks["length"] = constant("mask.length", torch.int64)
    if "mask.clamp" in tensors:
        masks["clamp"], masks["clamp_value"] = constant("mask.clamp", torch.bool), constant("mask.clamp_value")

    y, modulation, final = cell(inputs, state, masks)
    answers = {"expect.y": y, **{f"expect.{name}_final": value for name, value in final.items()}}
    if modulation is not None:
        answers["expect.modulation"] = modulation
    loss = sum((constant(name) * answers["expect." + name.removeprefix("upstream.")]).sum()
               for name in tensors if name.startswith("upstream."))
    loss.backward()
    leaves = {**{name: cell.parameter(name) for name in spec.parameter_shapes()}, **inputs,
              **{name + "0": value for name, value in state.items()}}
    for name, value in leaves.items():
        answers["grad." + name] = torch.zeros_like(value) if value.grad is None else value.grad
    return answers, tensors


def compare(answers, tensors):
    """The worst tensor and its error: (error, name). A tensor of the file that has no answer is an error of its own."""
    worst = (-1.0, "(none)")
    for name, want in tensors.items():
        if not name.startswith(("expect.", "grad.")):
            continue
        got = answers[name].detach().cpu().numpy()
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
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("check.py: PyTorch sees no GPU", file=sys.stderr)
        return 3
    files = options.files or sorted(CASES.glob("*.safetensors"))
    if not files:
        print(f"check.py: no cases in {CASES}", file=sys.stderr)
        return 1
    failed = 0
    for path in files:
        try:
            error, name = compare(*run_case(path, options.device))
            passed = 0 <= error <= TOLERANCE
            print(f"{'ok' if passed else 'FAIL'} {path.stem} worst {name} {error:.1e}")
        except (OSError, KeyError, ValueError, RuntimeError) as problem:
            passed = False
            print(f"FAIL {path.stem} {type(problem).__name__}: {problem}")
        failed += not passed
    print(f"{len(files) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
