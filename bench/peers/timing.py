"""Common code of the programs that time a peer: options and JSON of `plasticity time`, rounds, memory."""
import argparse
import json
import resource
import statistics
import sys
import time

from spec import ACTIVATIONS, ALPHAS, CELLS, ELIGIBILITIES, RATES, RULES, Spec

MIN_REPETITIONS = 5  # of a program that is not paced


class NotPossible(Exception):
    """A mode that this machine or this framework cannot run."""


def memory_of_process(field):
    """VmRSS or VmHWM, the current or peak memory in bytes. Without /proc, the peak from getrusage."""
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return next(int(line.split()[1]) * 1024 for line in file if line.startswith(field + ":"))
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def processor():
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return "cpu"


def milliseconds(work, wait):
    """The result of `work` and the time until `wait(result)` returns."""
    start = time.perf_counter()
    result = work()
    wait(result)
    return result, (time.perf_counter() - start) * 1e3


def one_round(once, seconds, min_repetitions):
    """Calls `once`, which returns a dict of times, for about `seconds`. Returns a sorted list per time."""
    rounds, end = [], time.perf_counter() + seconds
    while len(rounds) < min_repetitions or time.perf_counter() < end:
        rounds.append(once())
    return {name: sorted(each[name] for each in rounds) for name in rounds[0]}


def summary(times, steps):
    """Converts the times of a round, in milliseconds per sequence, to the form of `plasticity time`.

    >>> summary({"forward": [2.0, 4.0, 9.0], "both": [10.0, 12.0, 14.0]}, 2)["backward_ms_per_step"]
    4.0
    >>> summary({"forward": [2.0], "backward": [6.0]}, 2)["backward_ms_per_step_range"]
    [3.0, 3.0]
    """
    forward = statistics.median(times["forward"])
    if "both" in times:
        backward = [both - forward for both in times["both"]]
        method = "the median of both together less the median of forward alone"
    else:
        backward = times["backward"]
        method = "timed apart from the forward before it"
    return {
        "forward_ms_per_step": forward / steps,
        "backward_ms_per_step": statistics.median(backward) / steps,
        "forward_ms_per_step_range": [times["forward"][0] / steps, times["forward"][-1] / steps],
        "backward_ms_per_step_range": [backward[0] / steps, backward[-1] / steps],
        "repetitions": [len(times["forward"]), len(backward)],
        "backward_method": method,
    }


def configuration(spec, options, mode, version, device, threads):
    return {"version": version, "mode": mode, "cell": spec.cell, "rule": spec.rule, "rate": spec.rate,
            "eligibility": spec.eligibility, "alpha": spec.alpha, "activation": spec.activation, "neurons": spec.neurons,
            "inputs": spec.inputs, "batch": options.batch, "steps": options.steps, "precision": "f32",
            "device": device, "threads": threads}


def rounds(options, once, more_results):
    """The rounds of one mode, warmed up: one result, or, paced, one for each line on stdin, printed as a line.

    `more_results` returns further entries of the result, after a round."""
    once()
    if not options.paced:
        return summary(one_round(once, 2 * options.seconds, MIN_REPETITIONS), options.steps) | more_results()
    for _ in sys.stdin:
        print(json.dumps(summary(one_round(once, 2 * options.seconds, 1), options.steps) | more_results()), flush=True)
    return None


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def make_parser(description, legal_modes):
    """The parser of the options of one configuration."""
    def modes(text):
        chosen = text.split(",")
        for mode in chosen:
            if mode not in legal_modes:
                raise argparse.ArgumentTypeError(f"expected {', '.join(legal_modes)}, got {mode}")
        return chosen

    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cell", choices=CELLS, required=True)
    parser.add_argument("--rule", choices=RULES, required=True)
    parser.add_argument("--rate", choices=RATES, required=True)
    parser.add_argument("--eligibility", choices=ELIGIBILITIES, default="none")
    parser.add_argument("--alpha", choices=ALPHAS, default="connection")
    parser.add_argument("--activation", choices=ACTIVATIONS, default="tanh")
    parser.add_argument("--neurons", type=positive, required=True, help="N")
    parser.add_argument("--batch", type=positive, required=True, help="B")
    parser.add_argument("--steps", type=positive, required=True, help="T")
    parser.add_argument("--inputs", type=int, default=0, help="I; an rnn of 0 gets its current directly")
    parser.add_argument("--seconds", type=float, default=1, help="time spent on each direction, about")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: the framework chooses")
    parser.add_argument("--mode", type=modes, default=[legal_modes[0]],
                        help=f"of {', '.join(legal_modes)}; several, separated by commas, print a list")
    parser.add_argument("--paced", action="store_true",
                        help="times once more for every line on stdin, a line of JSON each: to take turns")
    return parser


def parse(description, legal_modes, words=None):
    """The options and the Spec that the words name (default: those of the command line)."""
    parser = make_parser(description, legal_modes)
    options = parser.parse_args(words)
    if options.paced and len(options.mode) > 1:
        parser.error("--mode: expected one mode with --paced")
    try:
        spec = Spec(cell=options.cell, rule=options.rule, rate=options.rate, eligibility=options.eligibility,
                    alpha=options.alpha, activation=options.activation, inputs=options.inputs, neurons=options.neurons)
    except ValueError as error:
        parser.error(str(error))
    return options, spec


def run_lines(lines, time_line):
    """Times the configuration of every line and prints a line of JSON for each at once; the exit code: 1 if one failed.

    >>> run_lines(["--steps 2", "--steps x", "--steps 3"], lambda words: {"steps": int(words[1])})
    {"steps": 2}
    {"error": "ValueError: invalid literal for int() with base 10: 'x'"}
    {"steps": 3}
    1
    """
    failed = 0
    for line in lines:
        try:
            result = time_line(line.split())
        except SystemExit:  # argparse has said on stderr what is wrong
            result = {"error": f"the options {line.strip()} are wrong"}
        except NotPossible as error:
            result = {"error": str(error)}
        except Exception as error:  # of the framework: the other lines are still timed
            first = (str(error).strip().splitlines() or [""])[0]
            result = {"error": f"{type(error).__name__}: {first}"}
        failed = failed or int("error" in result)
        print(json.dumps(result), flush=True)
    return failed


def run_modes(program, options, time_mode):
    """Runs the modes and prints their results. Returns the exit code: 3 if a mode was not possible."""
    results, impossible = [], False
    for mode in options.mode:
        try:
            results.append(time_mode(mode))
        except NotPossible as error:
            impossible = True
            print(f"{program}: {error}", file=sys.stderr)
    results = [result for result in results if result is not None]
    if results:
        print(json.dumps(results if len(options.mode) > 1 else results[0], indent=2), flush=True)
    return 3 if impossible else 0
