"""Disassembles the CUDA kernels of a build and counts the cost of the pass over the trace. Needs no GPU.

Per kernel: registers, spills (loads and stores of local memory), static shared memory in bytes (with the kilobyte that CUDA
reserves) and blocks per multiprocessor. Per connection of the trace: instructions by class, bytes by width of an access,
global loads that a thread has in flight, and how often it waits for memory per iteration. Last come the planner's predicted
µs per step, if the build has the tool.

cuobjdump and nvdisasm come from a virtual environment in the build folder; they are installed there if they are missing.
"""
import argparse
import json
import pathlib
import re
import sys

sys.dont_write_bytecode = True
import count
import golden
import kernels
import report
import tools

ROOT = pathlib.Path(__file__).resolve().parents[3]
GOLDEN = ROOT / "bench" / "gpu" / "sass_golden.json"
SKIPPED = 77  # ctest's SKIP_RETURN_CODE
CELLS, PRECISIONS = ["rnn", "lstm"], ["f32", "bf16"]


def enumerations():
    """The names of rules, forms and kinds of eligibility, as the kernels' template arguments count them."""
    headers = {"Rule": "include/plasticity/spec.hpp", "Eligibility": "include/plasticity/spec.hpp",
               "Form": "kernels/rules/form.hpp", "ThreadShape": "kernels/resident/shape.hpp"}
    return {name: kernels.enumerators((ROOT / header).read_text(), name) for name, header in headers.items()}


def forms():
    """{rule: its form}, from the rules' files."""
    found = {rule: re.search(r"form = Form::(\w+);", (ROOT / "kernels" / "rules" / f"{rule}.hpp").read_text())
             for rule in enumerations()["Rule"]}
    return {rule: form[1] for rule, form in found.items()}


def arguments():
    rules, kinds = enumerations()["Rule"], enumerations()["Eligibility"]
    parser = argparse.ArgumentParser(prog="run sass", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", type=pathlib.Path, help="objects or libraries instead of the build's objects")
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="the build folder (default: build)")
    parser.add_argument("--arch", default="sm_90", help="architecture of the code (default: sm_90)")
    parser.add_argument("--kernel", default="", metavar="REGEX", help="kernels whose name matches, e.g. 'step' or 'backward'")
    for name, default, values in (("rule", "hard_clip", rules), ("eligibility", "none", kinds), ("cell", "rnn", CELLS),
                                  ("precision", "f32", PRECISIONS)):
        parser.add_argument(f"--{name}", default=default, choices=[*values, "all"], help=f"(default: {default})")
    parser.add_argument("--narrow", action="store_true", help="also the step kernels for unaligned rows, one column per thread")
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--check", action="store_true", help=f"compare the counts with {GOLDEN.name}")
    parser.add_argument("--renew", action="store_true", help=f"write the counts to {GOLDEN.name}")
    parser.add_argument("--no-install", action="store_true", help="fail if the disassembler is missing")
    return parser.parse_args()


def costs_of(options, programs, paths, wanted):
    """The costs of the variants that `wanted` accepts, in the order of kernels, rules and so on."""
    names = enumerations()
    rules, kinds = [*names["Form"], *names["Rule"]], names["Eligibility"]
    variants = {}  # by symbol

    def choose(symbols):
        new = [symbol for symbol in symbols if symbol not in variants]
        for symbol, name in zip(new, tools.demangled(new) if new else []):
            variants[symbol] = [v for v in kernels.variants_of(name, names) if wanted(v)]
        return {symbol for symbol in symbols if variants[symbol]}

    pairs = tools.disassemble_all(programs, paths, options.arch, choose)
    costs = []
    for function, usage in pairs:
        costs += [count.cost_of(function, variant, usage) for variant in variants[function.symbol]]
    order = {"kernel": list(kernels.KERNELS), "rule": rules, "eligibility": kinds, "cell": CELLS,
             "precision": PRECISIONS}
    return sorted(costs, key=lambda cost: [values.index(getattr(cost.variant, name)) for name, values in order.items()] +
                  [-cost.variant.columns])


def chosen(options):
    names = {options.rule, forms().get(options.rule)}

    def wanted(v):
        wide = options.narrow or v.columns > 1 or v.kernel.startswith("resident")
        # These do not depend on cell, or on precision; they belong to every choice.
        cell = options.cell in ("all", v.cell) or v.kernel in ("replay", "segment")
        precision = options.precision in ("all", v.precision) or v.kernel in ("segment", "resident backward")
        return (wide and cell and precision and re.search(options.kernel, v.kernel) is not None and
                (options.rule == "all" or v.rule in names) and options.eligibility in ("all", v.eligibility))
    return wanted


def skip(reason):
    print(f"skipped: {reason}")
    return SKIPPED


def compare(options, programs, paths, nvcc):
    """--check and --renew."""
    kept = json.loads(GOLDEN.read_text()) if GOLDEN.exists() and not options.renew else None
    if kept and nvcc != kept["nvcc"]:
        return skip(f"{GOLDEN.name} has counts of nvcc {kept['nvcc']}, this build is by nvcc {nvcc}")
    if kept and options.arch != kept["architecture"]:
        return skip(f"{GOLDEN.name} has counts of {kept['architecture']}, not of {options.arch}")
    values = golden.values_of(costs_of(options, programs, paths, golden.belongs))
    if not values:
        return skip(f"the build has no code for {options.arch}")
    if options.renew:
        GOLDEN.write_text(golden.text_of(values, nvcc, options.arch))
        print(f"{GOLDEN}: {len(values)} counts of nvcc {nvcc}")
        return 0
    lines = golden.differences(kept["counts"], values)
    print("\n".join(lines) or f"{len(values)} counts are as in {GOLDEN.name}")
    if lines:
        print("If this is meant: ./run sass --renew writes the new counts.")
    return 1 if lines else 0


def main():
    options = arguments()
    options.build = options.build.resolve()
    try:
        paths = options.files or tools.objects_of(options.build)
        programs = tools.find_tools(options.build)
        if programs is None:
            if options.no_install:
                raise tools.Missing("cuobjdump and nvdisasm are not installed; ./run sass installs them")
            programs = tools.install_tools(options.build)
        nvcc = tools.nvcc_version(options.build)
        if options.check or options.renew:
            return compare(options, programs, paths, nvcc)
        costs = costs_of(options, programs, paths, chosen(options))
    except tools.Missing as missing:
        if options.check:
            return skip(missing)
        print(f"run sass: {missing}", file=sys.stderr)
        return 3
    if not costs:
        print(f"run sass: no kernel matches, or the build has no code for {options.arch}", file=sys.stderr)
        return 3
    tool, rule_of = options.build / "plasticity", {form: rule for rule, form in forms().items()}
    if options.json:
        print(json.dumps(report.as_json(costs, nvcc, options.arch, tool, rule_of), indent=1))
    else:
        head = f"{options.arch}, nvcc {nvcc}; per connection:"
        print("\n".join([head, *report.table(costs), *report.prediction_table(costs, tool, rule_of)]))
    return 1 if any(cost.reason for cost in costs) else 0


if __name__ == "__main__":
    sys.exit(main())
