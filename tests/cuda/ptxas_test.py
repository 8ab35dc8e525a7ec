#!/usr/bin/env python3
"""Checks ptxas's report of every kernel of the build: no kernel may spill registers or use local memory (a stack frame),
except those of KNOWN, up to the bytes stated there.
Prints the registers of each kernel. Exits with 1 and the names of kernels that do, or of a source without a report. Kernels
for other architectures than those of ARCHITECTURES are printed only, and so are all kernels of another nvcc than 13.0: KNOWN
does not have their spills. Exits with 77, ctest's code for a skipped test, if no kernel is checked.

tests/simt/runtime/resources.hpp states the resources of the kernels for the executor. If the build has sm_90, they must match
the reports: at least the maximum of all kernels, and at most 8 registers more.

  tests/cuda/ptxas_test.py --reports build/host/cuda --nvcc 13.0.88 step/instances/forward_linear.cu ...
"""
import argparse
import pathlib
import re
import sys

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")
STATED = re.compile(r'\{"(\w+)", \{(\d+), (\d+)(?:, true)?\}\}')
# Kernels that spill: architecture, kernel, bytes. Resident backward spills with an eligibility trace in rows_16x4, and a few
# bytes in the shapes for 512 threads. Resident forward spills for sm_80 with the form read_clipped. Step backward spills since
# it copies its rows ahead, and is faster than before on a GPU (bench/results/NOTES.md).
KNOWN = [
    (re.compile("sm_.0"), re.compile("resident_backward_kernel.*EligibilityE[12]E.*ThreadShapeE2E"), 80),
    (re.compile("sm_.0"), re.compile("resident_backward_kernel.*EligibilityE0E.*ThreadShapeE[01]E"), 48),
    (re.compile("sm_80"), re.compile("resident_forward_kernel.*FormE1E.*EligibilityE0E.*ThreadShapeE1E"), 92),
    (re.compile("sm_80"), re.compile("cuda15backward_kernel.*EfLi4E"), 224),
    (re.compile("sm_90"), re.compile("cuda15backward_kernel.*EfLi4E"), 96),
]
ARCHITECTURES = ("sm_80", "sm_90")
SKIPPED = 77
RESOURCES = pathlib.Path(__file__).resolve().parent.parent / "simt/runtime/resources.hpp"


def kernels_of(report):
    """The contents of a report: [(architecture, kernel, registers, stack frame, spilled bytes, shared memory)]."""
    kernels, entry, frame, spilled = [], None, 0, 0
    for line in report.splitlines():
        if match := ENTRY.search(line):
            entry, frame, spilled = (match[2], match[1]), 0, 0
        elif match := FRAME.search(line):
            frame, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and entry:
            shared = SHARED.search(line)
            kernels.append((*entry, int(match[1]), frame, spilled, int(shared[1]) if shared else 0))
            entry = None
    return kernels


def check_stated(kernels, stated):
    """The errors in the stated resources [(parameter's type, registers, shared memory)], as lines."""
    bad = []
    for name, registers, shared in stated:
        found = [(k[2], k[5]) for k in kernels if k[0] == "sm_90" and re.search(rf"\d{name}E", k[1])]
        if not found:
            bad.append(f"{RESOURCES.name}: no kernel with a {name}")
            continue
        max_registers, max_shared = max(f[0] for f in found), max(f[1] for f in found)
        if not max_registers <= registers <= max_registers + 8 or shared != max_shared:
            bad.append(f"{RESOURCES.name}: {name} has {registers} registers and {shared} bytes, "
                       f"ptxas reports {max_registers} and {max_shared}")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", required=True, type=pathlib.Path, help="the folder that has them, at any depth")
    parser.add_argument("--nvcc", required=True, help="the version of the compiler")
    parser.add_argument("sources", nargs="+", help="the sources that must have one, below kernels/")
    options = parser.parse_args()
    reports = {path.as_posix().rpartition("/kernels/")[2]: path for path in options.reports.rglob("*.ptxas")}
    bad, kernels = [], []
    for source in options.sources:
        report = reports.get(source + ".o.ptxas")
        found = kernels_of(report.read_text(encoding="utf-8")) if report else []
        if not found:
            bad.append(f"no report of {source}")
        kernels += found
    for architecture, name, registers, frame, spilled, _ in sorted(kernels):
        print(f"{architecture} {registers:4} registers {frame:4} bytes of stack {spilled:4} bytes spilled  {name}")
    checked = [kernel for kernel in kernels if kernel[0] in ARCHITECTURES and options.nvcc.startswith("13.0.")]
    for architecture, name, _, frame, spilled, _ in sorted(checked):
        known = max((most for where, which, most in KNOWN if where.match(architecture) and which.search(name)), default=0)
        if (frame > 0 and known == 0) or spilled > known:
            bad.append(f"{name} for {architecture}: {frame} bytes of stack, {spilled} bytes spilled")
    if any(kernel[0] == "sm_90" for kernel in checked):
        stated = STATED.findall(RESOURCES.read_text(encoding="utf-8"))
        bad += check_stated(checked, [(name, int(registers), int(shared)) for name, registers, shared in stated])
    print(f"{len(kernels)} kernels, at most {max((k[2] for k in kernels), default=0)} registers, {len(bad)} bad")
    print(*(f"BAD {line}" for line in bad), sep="\n")
    if bad:
        return 1
    if not checked:
        print(f"skipped: the build is by nvcc {options.nvcc} for {', '.join(sorted({kernel[0] for kernel in kernels}))}")
        return SKIPPED
    return 0


if __name__ == "__main__":
    sys.exit(main())
