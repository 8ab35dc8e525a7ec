#!/usr/bin/env python3
"""Compiles kernels to PTX and checks properties that a run on the CPU cannot show.

Loads. The blocks of a cooperative launch exchange values through global memory. The functions in `exchanges` below must read
them by ld.relaxed.gpu alone, which reads the cache that all multiprocessors share. ld.global.nc may read a cache that is not
kept coherent; it is permitted only if the source requests it. In the final code the former is LDG.STRONG.GPU and the latter
LDG.CONSTANT; both are counted if nvdisasm is installed. Not checked: a new function that reads the exchange by an ordinary
load.

Contraction. Several kernels update a trace, and the bits must be the same in all of them. If the compiler fuses a product and
a sum, the PTX has one fma. If it does not (for example because the product was moved out of a loop), the PTX has a mul and an
add, which round twice. So in kernels that update traces, the only product that may be added is mul.rn, which is never
fused. Not checked: two kernels that fuse a b + c d in different ways.

  tests/cuda/ptx_test.py --nvcc nvcc --root . kernels/resident/instances/backward_clipped.cu ...
"""
import argparse
import collections
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

# Functions that read values of other blocks, and their files. The last does it for the others.
exchanges = {"receive": "kernels/resident/exchange.cuh",
             "receive_rows": "kernels/resident/row_sums.cuh",
             "receive_from_slot": "kernels/resident/exchange.cuh"}
reader = "receive_from_slot"
# Kernels that update traces, by a part of their names. In backward kernels only code of segment.cuh does.
updating = ("forward_kernel", "flush_kernel", "segment_kernel", "replay_kernel")

ENTRY = re.compile(r"\.entry (\w+)")
FILE = re.compile(r'\.file\s+(\d+)\s+"([^"]+)"')
LOCATION = re.compile(r"\.loc\s+(\d+) (\d+) \d+(?:, function_name \S+, inlined_at (\d+) (\d+) )?")
LOAD = re.compile(r"ld((?:\.\w+|\.L1::\w+)*)\s")
PRODUCT = re.compile(r"mul((?:\.\w+)*)\.f32\s+(%f\d+),")
SUM = re.compile(r"(?:add|sub)(?:\.\w+)*\.f32\s+%f\d+, (%f\d+), (%f\d+);")

Place = collections.namedtuple("Place", "file line")
Instruction = collections.namedtuple("Instruction", "kernel text place caller")  # caller: the place of the inlined call, or None


def instructions_of(ptx):
    """The loads, and the products whose result is added, each with its kernel and its place in the source."""
    files = {match[1]: match[2] for match in FILE.finditer(ptx)}
    loads, pairs, products, kernel, place, caller = [], [], {}, "", None, None
    for line in ptx.splitlines():
        line = line.strip()
        if match := ENTRY.search(line):
            kernel, products = match[1], {}
        elif match := LOCATION.match(line):
            place = Place(files[match[1]], int(match[2]))
            caller = Place(files[match[3]], int(match[4])) if match[3] else None
        elif match := LOAD.match(line):
            loads.append(Instruction(kernel, match[1], place, caller))
        elif match := PRODUCT.match(line):
            products[match[2]] = Instruction(kernel, match[1], place, caller)
        elif match := SUM.match(line):
            pairs += [products[operand] for operand in match.groups() if operand in products]
    return loads, pairs


class Sources:
    """Lines of the sources, and which of them belong to a function."""

    def __init__(self, root):
        self.root, self.lines = root, {}

    def statement(self, place):
        """The line and those above: the place of an asm statement is its end."""
        if place.file not in self.lines:
            self.lines[place.file] = pathlib.Path(place.file).read_text(encoding="utf-8").splitlines()
        return "\n".join(self.lines[place.file][max(place.line - 4, 0):place.line])

    def function(self, name):
        """The places of a function's lines, from its head to the brace that closes it at the same depth."""
        path = (self.root / exchanges[name]).resolve()
        lines = path.read_text(encoding="utf-8").splitlines()
        first = next((k for k, line in enumerate(lines) if re.search(rf"__device__ [\w ]*\b{name}\(", line)), None)
        if first is None:
            sys.exit(f"{path}: expected a function {name}(), got none; see `exchanges` in {__file__}")
        indent = re.match(r" *", lines[first])[0]
        last = next(k for k in range(first, len(lines)) if lines[k] == indent + "}")
        return {(str(path), k + 1) for k in range(first, last + 1)}


def resolved(place):
    return (str(pathlib.Path(place.file).resolve()), place.line) if place else None


def check_loads(loads, sources):
    bad, kinds = [], collections.Counter()
    strong = 0
    places = {name: sources.function(name) for name in exchanges}
    for load in loads:
        here, caller = resolved(load.place), resolved(load.caller)
        where = f"{load.place.file}:{load.place.line}, in {load.kernel}"
        if ".relaxed.gpu" in load.text:
            kinds["relaxed.gpu"] += 1
            strong += caller in places[reader]
        elif ".nc" in load.text:
            kinds["nc"] += 1
            if not any(word in sources.statement(load.place) for word in ("__ldg", "ld.global.nc")):
                bad.append(f"ld{load.text} that the source did not ask for: {where}")
        elif ".global" in load.text:
            kinds["global"] += 1
        if ".global" in load.text and ".relaxed.gpu" not in load.text:
            bad += [f"ld{load.text} in {name}(), which reads values of other blocks: {where}"
                    for name in exchanges if here in places[name] or caller in places[name]]
    if strong == 0:
        bad.append(f"{reader}() has no ld.relaxed.gpu")
    print("loads:", ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())), f"; {strong} in {reader}()")
    return bad


def check_pairs(pairs):
    bad, rounded = [], 0
    for pair in pairs:
        if ".rn" in pair.text:
            rounded += 1
        elif any(name in pair.kernel for name in updating) or \
                any(place and place.file.endswith("segment.cuh") for place in (pair.place, pair.caller)):
            bad.append(f"a product that is added, but not fused: {pair.place.file}:{pair.place.line}, in {pair.kernel}")
    print(f"products that are added: {rounded} mul.rn in all, {len(bad)} others in trace updates")
    return bad


def check_code(ptx_files, loads, arch):
    """Counts LDG.STRONG.GPU and LDG.CONSTANT in the kernels' final code."""
    tools = [shutil.which("ptxas") or "/usr/local/cuda/bin/ptxas", shutil.which("nvdisasm")]
    if tools[1] is None or not pathlib.Path(tools[0]).exists():
        print("final code: not checked, nvdisasm is not installed")
        return []
    wanted = collections.defaultdict(set)
    for load in loads:
        wanted[load.kernel] |= {kind for kind in ("relaxed.gpu", ".nc") if kind in load.text}
    bad, counts = [], collections.Counter()
    for ptx in ptx_files:
        cubin = ptx.with_suffix(".cubin")
        subprocess.run([tools[0], f"-arch={arch}", "-o", cubin, ptx], check=True)
        listing = subprocess.run([tools[1], "-c", cubin], check=True, capture_output=True, text=True).stdout
        for section in listing.split(".section\t.text.")[1:]:
            kernel = section.split(",", 1)[0]
            for kind, pattern in (("relaxed.gpu", r"LDG\S*\.STRONG\.GPU"), (".nc", r"LDG\S*\.CONSTANT")):
                found = len(re.findall(pattern, section))
                counts[kind] += found
                if (found > 0) != (kind in wanted[kernel]):
                    bad.append(f"{found} {pattern} in the final code of {kernel}")
    print(f"final code: {counts['relaxed.gpu']} LDG.STRONG.GPU, {counts['.nc']} LDG.CONSTANT")
    return bad


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nvcc", required=True)
    parser.add_argument("--root", required=True, type=pathlib.Path, help="the project's folder")
    parser.add_argument("--arch", default="sm_90")
    parser.add_argument("sources", nargs="+", type=pathlib.Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        ptx_files = [pathlib.Path(folder) / (source.name + ".ptx") for source in options.sources]
        flags = ["-std=c++20", f"-arch={options.arch}", "-lineinfo", "--ptx"]
        includes = [f"-I{options.root / name}" for name in ("include", "kernels", "host")]
        running = [subprocess.Popen([options.nvcc, *flags, *includes, "-o", ptx, source])
                   for ptx, source in zip(ptx_files, options.sources)]
        if any([process.wait() for process in running]):
            return 1
        loads, pairs = [], []
        for ptx in ptx_files:
            more_loads, more_pairs = instructions_of(ptx.read_text(encoding="utf-8"))
            loads += more_loads
            pairs += more_pairs
        bad = check_loads(loads, Sources(options.root)) + check_pairs(pairs) + check_code(ptx_files, loads, options.arch)
    print(*(f"BAD {line}" for line in sorted(set(bad))), sep="\n")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
