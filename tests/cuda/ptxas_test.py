#!/usr/bin/env python3
"""Compiles every kernel for one architecture and reads ptxas' report: no kernel may spill registers or keep anything in
local memory (a stack frame). Prints the registers of each, and ends with 1 and the names of those that do.

  tests/cuda/ptxas_test.py --nvcc /usr/local/cuda/bin/nvcc --source . --generated build/kernels --arch 90
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ENTRY = re.compile(r"Compiling entry function '(\S+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def report(nvcc, source, arch, file):
    """What ptxas says of one source: [(kernel, registers, stack frame, spilled bytes)]."""
    with tempfile.TemporaryDirectory() as folder:
        command = [nvcc, "-std=c++20", f"-arch=sm_{arch}", "-cubin", "-Xptxas", "-v", f"-I{source}/kernels",
                   f"-I{source}/include", str(file), "-o", os.path.join(folder, "out.cubin")]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    kernels, name, frame, spilled = [], None, 0, 0
    for line in done.stderr.splitlines():
        if match := ENTRY.search(line):
            name, frame, spilled = match[1], 0, 0
        elif match := FRAME.search(line):
            frame, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and name:
            kernels.append((name, int(match[1]), frame, spilled))
            name = None
    return kernels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", default="nvcc")
    parser.add_argument("--source", default=".", help="the project's root")
    parser.add_argument("--generated", required=True, help="the folder of the sources that CMake made")
    parser.add_argument("--arch", default="90")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    options = parser.parse_args()
    files = sorted(pathlib.Path(options.generated).glob("*.cu"))
    files += sorted(pathlib.Path(options.source, "kernels").glob("*/*.cu"))
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        reports = pool.map(lambda file: report(options.nvcc, options.source, options.arch, file), files)
        kernels = [kernel for of_file in reports for kernel in of_file]
    bad = [kernel for kernel in kernels if kernel[2] > 0 or kernel[3] > 0]
    for name, registers, frame, spilled in sorted(kernels):
        print(f"{registers:4} registers {frame:4} bytes of stack {spilled:4} bytes spilled  {name}")
    print(f"sm_{options.arch}: {len(kernels)} kernels, at most {max(k[1] for k in kernels)} registers, {len(bad)} bad")
    for kernel in bad:
        print("BAD", kernel[0])
    return 1 if bad or not kernels else 0


if __name__ == "__main__":
    sys.exit(main())
