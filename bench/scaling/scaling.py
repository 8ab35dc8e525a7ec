#!/usr/bin/env python3
"""Measures training on one and two ranks of this machine: bench/scaling/scaling.py --build build --save FILE.json

Every rank has one thread. Strong scaling: two ranks share the batch of one. Weak scaling: each of two ranks has the batch
of one. "Apart": two processes train the batch of one each and do not communicate, so their loss is that of the machine
(shared caches, memory and clock), not that of the communicator. All runs take turns. Speedups and efficiencies are
medians of the ratios per round. A strong run must have the same parameters, bit for bit, as the run on one rank. Exit
code 0: all was measured, 1: a program failed or bits differ, 2: wrong arguments.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import statistics
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "suite"))
import machine
import programs
from programs import ROOT, Failed, positive
from report import columns
from shapes import SHAPES, Shape
from spread import digits, paired_ratio, spread

RANKS = 2
STEPS = 50  # T
SMOKE = (Shape("rnn", 16, 4), Shape("lstm", 8, 1, 3))
RUN_LIMIT = 300  # seconds


def runs_of(batch):
    """name -> (ranks, batch of all ranks, apart). One sample cannot be shared.

    >>> runs_of(30)["strong"], runs_of(30)["weak"]
    ((2, 30, False), (2, 60, False))
    >>> list(runs_of(1))
    ['one', 'weak', 'apart']
    """
    runs = {"one": (1, batch, False), "strong": (RANKS, batch, False), "weak": (RANKS, RANKS * batch, False),
            "apart": (RANKS, RANKS * batch, True)}
    if batch % RANKS != 0:
        del runs["strong"]
    return runs


def digest(rounds):
    """The spreads of a shape from its rounds, name of the run -> output of the program.

    >>> one = {"iteration_ms": [4.0, 4.2, 4.1], "parameters": 10, "hash": 7}
    >>> two = {"iteration_ms": [2.0, 2.1, 2.05], "all_reduce_ms": [0.1, 0.3, 0.1], "parameters": 10, "hash": 7}
    >>> done = digest([{"one": one, "strong": two, "weak": one | {"all_reduce_ms": [0.2]}, "apart": one}])
    >>> done["strong_speedup"]["median"], done["weak_efficiency"]["median"], done["same_bits"]
    (2.0, 1.0, True)
    >>> digest([{"one": one, "strong": two | {"hash": 8}, "weak": two, "apart": one}])["same_bits"]
    False
    >>> digest([{"one": one, "weak": one | {"all_reduce_ms": [0.2]}, "apart": one}])["strong_speedup"]
    """
    times = {name: [statistics.median(each[name]["iteration_ms"]) for each in rounds] for name in rounds[0]}
    result = {"parameters": rounds[0]["one"]["parameters"],
              "iteration_ms": {name: spread(each) for name, each in times.items()},
              "all_reduce_ms": spread([statistics.median(each["weak"]["all_reduce_ms"]) for each in rounds]),
              "weak_efficiency": paired_ratio(times["one"], times["weak"]),
              "apart_efficiency": paired_ratio(times["one"], times["apart"]), "strong_speedup": None, "same_bits": None}
    if "strong" in times:
        result["strong_speedup"] = paired_ratio(times["one"], times["strong"])
        result["same_bits"] = all(each["one"]["hash"] == each["strong"]["hash"] for each in rounds)
    return result


def run(options, shape, ranks, batch, apart):
    """The output of the program. Raises Failed."""
    words = ["--neurons", shape.neurons, "--inputs", shape.inputs, "--batch", batch, "--steps", options.steps,
             "--iterations", options.iterations, "--threads", 1]
    words += ["--lstm"] * (shape.cell == "lstm") + ["--apart"] * apart
    code, output, errors = programs.run(
        [*options.mpirun.split(), "-n", ranks, options.build / "bench/scaling", *words], RUN_LIMIT)
    if code != 0:
        raise Failed(programs.last_line(errors) or f"exit code {code}")
    results = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    if [result["ranks"] for result in results] != [ranks]:  # each process of an mpirun of another MPI is a rank of its own
        got = " and ".join(str(result["ranks"]) for result in results) or "no result"
        raise Failed(f"expected {ranks} ranks, got {got}: build with the MPI of {options.mpirun}")
    return results[0]


def measure_shape(options, shape):
    rounds = []
    for _ in range(options.rounds):
        done = {}
        for name, (ranks, batch, apart) in runs_of(shape.batch).items():
            try:
                done[name] = run(options, shape, ranks, batch, apart)
            except Failed as problem:
                raise Failed(f"{shape}, {name}: {problem}") from problem
        rounds.append(done)
    return shape._asdict() | digest(rounds)


def cell(value, low_and_high=True):
    if value is None:
        return "-"
    return digits(value["median"]) + (f" [{digits(value['low'])} to {digits(value['high'])}]" if low_and_high else "")


HEAD = ["", "1 rank", "strong, 2", "weak, 2", "all_reduce", "strong speedup", "weak efficiency", "apart efficiency"]


def rows(results):
    return [[str(Shape(*(each[field] for field in Shape._fields))), *(cell(each["iteration_ms"].get(name), False) for name in ("one", "strong", "weak")),
             cell(each["all_reduce_ms"], False), cell(each["strong_speedup"]), cell(each["weak_efficiency"]),
             cell(each["apart_efficiency"])] for each in results["shapes"]]


def table(results, markdown=False):
    computer = results["machine"]
    lines = [f"{computer['processor']}, {computer['processors']} processors, load {computer['load']:.1f} at the start;"
             f" {computer['system']}; {results['date']}, commit {results['commit']}",
             f"ms per iteration (T {results['steps']}, f32, one thread per rank), medians of {results['rounds']} rounds with the"
             " lowest and highest ratio"]
    if markdown:
        lines += ["", *("| " + " | ".join(row) + " |" for row in (HEAD, ["---"] * len(HEAD), *rows(results)))]
    else:
        lines += columns([HEAD, *rows(results)])
    return "\n".join(lines + [f"FAILED: {each}" for each in results["failures"]])


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build", help="the build folder (default: build)")
    parser.add_argument("--save", type=pathlib.Path, help="writes the results: bench/results/NAME.json")
    parser.add_argument("--rounds", type=positive, default=5, help="turns of all runs (default: %(default)s)")
    parser.add_argument("--iterations", type=positive, default=5, help="per run (default: %(default)s)")
    parser.add_argument("--steps", type=positive, default=STEPS, help="T (default: %(default)s)")
    parser.add_argument("--mpirun", default="mpirun", help="with its options: 'mpirun --allow-run-as-root' (default: mpirun)")
    parser.add_argument("--smoke", action="store_true", help="small shapes, one round, to see that all works")
    parser.add_argument("--table", type=pathlib.Path, metavar="JSON", help="only prints the table of saved results")
    parser.add_argument("--markdown", action="store_true", help="prints the table as Markdown")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.iterations, options.steps = 1, 2, 4
    options.build = options.build.resolve()
    return options


def main():
    options = parse()
    if options.table:
        return programs.print_saved(options.table, lambda results: table(results, options.markdown))
    results = {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
               "commit": machine.commit(), "steps": options.steps, "rounds": options.rounds,
               "machine": {"processor": machine.processor(), "processors": os.cpu_count(), "load": os.getloadavg()[0],
                           "system": f"{platform.system()} {platform.machine()}"}, "shapes": [], "failures": []}
    for shape in SMOKE if options.smoke else SHAPES:
        print(f"== {shape}", file=sys.stderr, flush=True)
        try:
            done = measure_shape(options, shape)
        except Failed as problem:
            results["failures"].append(str(problem))
            continue
        results["shapes"].append(done)
        if done["same_bits"] is False:
            results["failures"].append(f"{shape}: the parameters of {RANKS} ranks differ from those of one")
    if options.save:
        options.save.parent.mkdir(parents=True, exist_ok=True)
        options.save.write_text(json.dumps(results, indent=1) + "\n")
    print(table(results, options.markdown))
    return 1 if results["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
