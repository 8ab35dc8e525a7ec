#!/usr/bin/env python3
"""Puts the GPU kit together from a build folder: assemble.py --build BUILD [--out FOLDER] [--most MEGABYTES]

The kit is a folder that runs on a machine with a GPU, a driver and Python 3.9, wherever it lies there: programs, the one
library that they share, test data, PyTorch programs, and `run`. kit.json says which commit it is made from. Exit code 1: the
kit is larger than it may be, or a program needs a library that the machine may lack.
"""
import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ("cuda_test", "plasticity", "gpu_operations", "device_ceilings")
LIBRARY = "libplasticity_kit.so"
# Libraries that every Linux machine with a C++ runtime has. `run` finds cuBLAS.
SYSTEM = re.compile(r"(ld-linux.*|libc|libm|libstdc\+\+|libgcc_s|libpthread|libdl|librt)\.so.*")
CUBLAS = re.compile(r"libcublas(Lt)?\.so.*")
LAUNCHER = '''#!/usr/bin/env python3
"""Runs the kit: bench/gpu/run has the rest."""
import pathlib
import runpy
import sys

sys.dont_write_bytecode = True
folder = pathlib.Path(__file__).resolve().parent / "bench/gpu"
sys.path.insert(0, str(folder))
runpy.run_path(str(folder / "run"), run_name="__main__")
'''


def git(*words):
    done = subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=False) if shutil.which("git") else None
    return done.stdout.strip() if done and done.returncode == 0 else None


def cache_value(build, name):
    match = re.search(rf"^{name}:\w+=(.*)$", (build / "CMakeCache.txt").read_text(encoding="utf-8"), re.MULTILINE)
    return match[1] if match else "unknown"


def needed(path):
    """The libraries that a file names itself, as `readelf` shows them."""
    done = subprocess.run(["readelf", "-d", path], capture_output=True, text=True, check=True)
    return set(re.findall(r"\(NEEDED\).*\[(.*)\]", done.stdout))


def copy_program(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    subprocess.run(["strip", "--strip-unneeded", target], check=True)


def copy_sources(kit):
    """Copies the scripts, PyTorch's programs and the test data to the same places as in the sources."""
    for pattern in ("bench/gpu/run", "bench/gpu/*.py", "bench/peers/*.py", "tests/data/parity/*.safetensors"):
        for source in sorted(ROOT.glob(pattern)):
            target = kit / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    for name in ("assemble.py", "unhide.py"):
        (kit / "bench/gpu" / name).unlink()
    (kit / "run").write_text(LAUNCHER, encoding="utf-8")
    (kit / "run").chmod(0o755)


def megabytes(kit):
    return sum(file.stat().st_size for file in kit.rglob("*") if file.is_file()) / 1e6


def assemble(build, kit):
    """The kit in a folder that is made anew; the problems."""
    if kit.exists():
        if not (kit / "kit.json").exists() and any(kit.iterdir()):
            sys.exit(f"assemble.py: --out: expected a new folder or an earlier kit, got {kit}")
        shutil.rmtree(kit)
    copy_program(build / "gpu-kit/lib" / LIBRARY, kit / "lib" / LIBRARY)
    for name in PROGRAMS:
        copy_program(build / "gpu-kit/bin" / name, kit / "bin" / name)
    copy_sources(kit)
    outside, problems = set(), []
    for file in [kit / "lib" / LIBRARY, *(kit / "bin" / name for name in PROGRAMS)]:
        for library in sorted(needed(file) - {LIBRARY}):
            if CUBLAS.fullmatch(library):
                outside.add(library)
            elif not SYSTEM.fullmatch(library):
                problems.append(f"{file.name} needs {library}, which the kit does not bring")
    commit, changes = git("rev-parse", "HEAD"), git("status", "--porcelain", "--untracked-files=no")
    about = {"commit": commit or "unknown", "changed": bool(changes), "programs": PROGRAMS, "needs": sorted(outside),
             "architectures": cache_value(build, "PLASTICITY_CUDA_ARCHITECTURES").replace(";", " "),
             "alternatives": cache_value(build, "PLASTICITY_TUNING") == "ON"}
    (kit / "kit.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help="the build folder; its target gpu_kit is built")
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "out/gpu-kit", help="the kit (default: out/gpu-kit)")
    parser.add_argument("--most", type=float, default=60, metavar="MB", help="the size that it may have (default: 60)")
    options = parser.parse_args()
    for file in (f"lib/{LIBRARY}", *(f"bin/{name}" for name in PROGRAMS)):
        if not (options.build / "gpu-kit" / file).exists():
            sys.exit(f"assemble.py: --build: {options.build}/gpu-kit lacks {file}; it needs a CUDA toolkit and the target gpu_kit")
    problems = assemble(options.build.resolve(), options.out.resolve())
    size = megabytes(options.out)
    print(f"{os.path.relpath(options.out)}: {size:.1f} MB")
    if size > options.most:
        problems.append(f"the kit has {size:.1f} MB, expected at most {options.most:.0f}")
    for problem in problems:
        print(f"assemble.py: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
