#!/usr/bin/env python3
"""Times one configuration in PyTorch, forward and backward apart; the options and the JSON are those of `plasticity time`.

Modes: `eager`, the module as it stands; `graph`, the whole sequence captured in a CUDA graph and replayed (CUDA);
`compile`, its step through torch.compile (PyTorch 2). Several, separated by commas, print a list. Forward is timed with
autograd recording, as in training, and backward apart, after it. A CUDA graph replays forward alone or both, so there
backward is the difference. Exit code 3: a mode that is not possible here, with the reason on stderr.
"""
import argparse
import gc
import json
import math
import resource
import statistics
import sys
import time

import torch

from model import ACTIVATIONS, ALPHAS, CELLS, ELIGIBILITIES, RATES, RULES, PlasticCell, Spec

MODES = ("eager", "graph", "compile")
LEAST_REPETITIONS = 5


class NotPossible(Exception):
    """A mode that this machine or this PyTorch cannot run."""


class Problem:
    """The module with random parameters and inputs, in the scales of `plasticity time`, and the upstream gradient."""

    def __init__(self, spec, steps, batch, device):
        generator = torch.Generator().manual_seed(1)

        def random(shape, scale):
            return ((torch.rand(shape, generator=generator) * 2 - 1) * scale).to(device)

        self.cell = PlasticCell(spec, device=device)
        with torch.no_grad():
            for name, shape in spec.parameter_shapes().items():
                self.cell.parameter(name).copy_(random(shape, 0.1 if name == "eta" else 1 / math.sqrt(spec.neurons)))
        self.inputs = {name: random(shape, 0.1 if name == "rate" else 1).requires_grad_()
                       for name, shape in spec.input_shapes(steps, batch).items()}
        self.state = {name: torch.zeros(shape, device=device, requires_grad=True)
                      for name, shape in spec.state_shapes(batch).items()}
        self.dy = random((steps, batch, spec.neurons), 1)
        self.leaves = [*self.cell.parameters(), *self.inputs.values(), *self.state.values()]

    def forward(self):
        return self.cell(self.inputs, self.state)[0]

    def backward(self, y):
        for leaf in self.leaves:
            leaf.grad = None
        y.backward(self.dy)


def synchronize(device):
    if device == "cuda":
        torch.cuda.synchronize()


def timed(device, work):
    """What `work` gives, and the milliseconds it took."""
    synchronize(device)
    start = time.perf_counter()
    result = work()
    synchronize(device)
    return result, (time.perf_counter() - start) * 1e3


def repeat(seconds, once):
    """Calls `once`, which gives a tuple of times, for about `seconds`; gives a list for each of its times."""
    once()  # warms up
    times, end = [], time.perf_counter() + seconds
    while len(times) < LEAST_REPETITIONS or time.perf_counter() < end:
        times.append(once())
    return [sorted(column) for column in zip(*times)]


def time_eager(problem, device, seconds):
    def once():
        y, forward = timed(device, problem.forward)
        _, backward = timed(device, lambda: problem.backward(y))
        return forward, backward

    forward, backward = repeat(2 * seconds, once)
    return {"forward": forward, "backward": backward}


def time_compiled(problem, device, seconds):
    if not hasattr(torch, "compile"):
        raise NotPossible(f"mode compile needs PyTorch 2 or later, and this is {torch.__version__}")
    try:
        problem.cell.step = torch.compile(problem.cell.step, dynamic=False)
        problem.backward(problem.forward())
    except Exception as error:  # whatever a compiler says
        raise NotPossible(f"torch.compile failed: {type(error).__name__}: {str(error).strip().splitlines()[0]}") from error
    return time_eager(problem, device, seconds)


def capture(work):
    """A CUDA graph of `work`, after it ran three times beside the main stream, as PyTorch asks for."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = work()
    return graph, kept


def time_graph(problem, device, seconds):
    if device != "cuda":
        raise NotPossible("mode graph needs --device cuda")

    def both():
        y = problem.forward()
        return y, torch.autograd.grad(y, problem.leaves, problem.dy, allow_unused=True)

    times = {}
    for name, work in (("forward", problem.forward), ("both", both)):
        try:
            graph, kept = capture(work)
        except RuntimeError as error:
            raise NotPossible(f"the capture of {name} failed: {str(error).strip().splitlines()[0]}") from error
        (times[name],) = repeat(seconds, lambda replay=graph.replay: (timed(device, replay)[1],))
        del graph, kept
        gc.collect()
        torch.cuda.empty_cache()
    return times


def report(times, options, spec, mode):
    """The JSON of one mode, from its times in milliseconds a sequence."""
    per_step = 1 / max(options.steps, 1)
    forward = statistics.median(times["forward"])
    result = {"forward_ms_per_step": forward * per_step}
    if "both" in times:
        backward = [both - forward for both in times["both"]]
        method = "the median of a graph of both less the median of a graph of forward alone"
    else:
        backward = times["backward"]
        method = "timed apart from the forward before it"
    result |= {
        "backward_ms_per_step": statistics.median(backward) * per_step,
        "forward_ms_per_step_range": [times["forward"][0] * per_step, times["forward"][-1] * per_step],
        "backward_ms_per_step_range": [backward[0] * per_step, backward[-1] * per_step],
        "repetitions": [len(times["forward"]), len(backward)],
        "backward_method": method,
    }
    if options.device == "cuda":
        result["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
    result["peak_rss_bytes"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    result["configuration"] = {
        "version": f"torch {torch.__version__}", "mode": mode, "cell": spec.cell, "rule": spec.rule, "rate": spec.rate,
        "eligibility": spec.eligibility, "alpha": spec.alpha, "activation": spec.activation, "neurons": spec.neurons,
        "inputs": spec.inputs, "batch": options.batch, "steps": options.steps, "precision": "f32",
        "device": device_name(options.device), "threads": torch.get_num_threads()}
    return result


def device_name(device):
    if device == "cuda":
        return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            names = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
        return f"cpu ({names[0]})"
    except (OSError, IndexError):
        return "cpu"


def time_mode(mode, spec, options):
    if options.device == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    time_one = {"eager": time_eager, "graph": time_graph, "compile": time_compiled}[mode]
    problem = Problem(spec, options.steps, options.batch, options.device)
    return report(time_one(problem, options.device, options.seconds), options, spec, mode)


def positive(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def modes(text):
    chosen = text.split(",")
    for mode in chosen:
        if mode not in MODES:
            raise argparse.ArgumentTypeError(f"expected {', '.join(MODES)}, got {mode}")
    return chosen


def parse():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--cell", choices=CELLS, required=True)
    parser.add_argument("--rule", choices=RULES, required=True)
    parser.add_argument("--rate", choices=RATES, required=True)
    parser.add_argument("--eligibility", choices=ELIGIBILITIES, default="none")
    parser.add_argument("--alpha", choices=ALPHAS, default="connection")
    parser.add_argument("--activation", choices=tuple(ACTIVATIONS), default="tanh")
    parser.add_argument("--neurons", type=positive, required=True, help="N")
    parser.add_argument("--batch", type=positive, required=True, help="B")
    parser.add_argument("--steps", type=positive, required=True, help="T")
    parser.add_argument("--inputs", type=int, default=0, help="I; an rnn of 0 gets its current directly")
    parser.add_argument("--seconds", type=float, default=1, help="time spent on each direction, about")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch chooses")
    parser.add_argument("--mode", type=modes, default=["eager"], help="eager, graph, compile, or several: eager,graph")
    options = parser.parse_args()
    try:
        spec = Spec(cell=options.cell, rule=options.rule, rate=options.rate, eligibility=options.eligibility,
                    alpha=options.alpha, activation=options.activation, inputs=options.inputs, neurons=options.neurons)
    except ValueError as error:
        parser.error(str(error))
    return options, spec


def main():
    options, spec = parse()
    if options.device == "cuda" and not torch.cuda.is_available():
        print("eager.py: PyTorch sees no GPU" if torch.version.cuda else
              f"eager.py: PyTorch {torch.__version__} was built without CUDA", file=sys.stderr)
        return 3
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    results, impossible = [], False
    for mode in options.mode:
        try:
            results.append(time_mode(mode, spec, options))
        except NotPossible as error:
            impossible = True
            print(f"eager.py: {error}", file=sys.stderr)
    if results:
        print(json.dumps(results if len(options.mode) > 1 else results[0], indent=2), flush=True)
    return 3 if impossible else 0


if __name__ == "__main__":
    sys.exit(main())
