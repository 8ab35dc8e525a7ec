#!/usr/bin/env python3
"""Reads what ptxas said of every kernel of the build: none may spill registers or keep anything in local memory (a
stack frame). Prints the registers of each, and ends with 1 and the names of those that do, or of a source without a
report.

  tests/cuda/ptxas_test.py --reports build/host/cuda forward_decay.cu backward_decay.cu ...
"""
import argparse
import pathlib
import re
import sys

ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\w+)'")
FRAME = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def kernels_of(report):
    """What a report says: [(architecture, kernel, registers, stack frame, spilled bytes)]."""
    kernels, entry, frame, spilled = [], None, 0, 0
    for line in report.splitlines():
        if match := ENTRY.search(line):
            entry, frame, spilled = (match[2], match[1]), 0, 0
        elif match := FRAME.search(line):
            frame, spilled = int(match[1]), int(match[2]) + int(match[3])
        elif (match := USED.search(line)) and entry:
            kernels.append((*entry, int(match[1]), frame, spilled))
            entry = None
    return kernels


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reports", required=True, type=pathlib.Path, help="the folder that has them, at any depth")
    parser.add_argument("sources", nargs="+", help="names of the sources that must have one")
    options = parser.parse_args()
    reports = {path.name: path for path in options.reports.rglob("*.ptxas")}
    bad, kernels = [], []
    for source in options.sources:
        report = reports.get(source + ".o.ptxas")
        found = kernels_of(report.read_text(encoding="utf-8")) if report else []
        if not found:
            bad.append(f"no report of {source}")
        kernels += found
    for architecture, name, registers, frame, spilled in sorted(kernels):
        print(f"{architecture} {registers:4} registers {frame:4} bytes of stack {spilled:4} bytes spilled  {name}")
        if frame > 0 or spilled > 0:
            bad.append(f"{name} for {architecture}: {frame} bytes of stack, {spilled} bytes spilled")
    print(f"{len(kernels)} kernels, at most {max((k[2] for k in kernels), default=0)} registers, {len(bad)} bad")
    print(*(f"BAD {line}" for line in bad), sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
