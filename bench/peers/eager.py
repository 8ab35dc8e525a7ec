#!/usr/bin/env python3
"""Times one configuration in PyTorch, forward and backward separately. Options and JSON are those of `plasticity time`.

Modes:
  eager      the module in its careful form (model.py)
  published  the module in the form of the papers (model.py)
  graph      the whole sequence, captured in a CUDA graph and replayed (CUDA)
  compile    its step with torch.compile (PyTorch 2)
  package    plasticity.torch, which must be installed
Several modes, separated by commas, print a list. Forward is timed with autograd recording, as in training. A CUDA graph
replays forward alone or both, so its backward time is the difference. Exit code 3: a mode is not possible here, with the
reason on stderr. `eager.py --lines` times the configurations on stdin, one per line, in one process, and prints a line of
JSON for each.
"""
import math
import sys

import torch

import timing
from model import PlasticCell

MODES = ("eager", "published", "graph", "compile", "package")


class Problem:
    """The module with random parameters and inputs, in the scales of `plasticity time`, and the upstream gradient."""

    def __init__(self, spec, steps, batch, device, published=False):
        generator = torch.Generator().manual_seed(1)

        def random(shape, scale):
            return ((torch.rand(shape, generator=generator) * 2 - 1) * scale).to(device)

        self.cell = PlasticCell(spec, device=device, published=published)
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


class PackageProblem(Problem):
    """The same network in plasticity.torch."""

    def __init__(self, spec, steps, batch, device):
        super().__init__(spec, steps, batch, device)
        try:
            from plasticity.torch import Spec, plastic
        except ImportError as error:
            raise timing.NotPossible(f"mode package: {error}") from error
        self.plastic, self.spec = plastic, Spec(**vars(spec))
        self.parameters = {name: self.cell.parameter(name) for name in spec.parameter_shapes()}

    def forward(self):
        return self.plastic(self.spec, self.parameters, **self.inputs, state=self.state)[0]


def wait_for(device):
    return (lambda result: torch.cuda.synchronize()) if device == "cuda" else (lambda result: None)


def eager(problem, device):
    wait = wait_for(device)

    def once():
        y, forward = timing.milliseconds(problem.forward, wait)
        _, backward = timing.milliseconds(lambda: problem.backward(y), wait)
        return {"forward": forward, "backward": backward}

    return once


def compiled(problem, device):
    if not hasattr(torch, "compile"):
        raise timing.NotPossible(f"mode compile needs PyTorch 2 or later, and this is {torch.__version__}")
    try:
        problem.cell.step = torch.compile(problem.cell.step, dynamic=False)
        problem.backward(problem.forward())
    except Exception as error:  # whatever a compiler says
        first = (str(error).strip().splitlines() or [""])[0]
        raise timing.NotPossible(f"torch.compile failed: {type(error).__name__}: {first}") from error
    return eager(problem, device)


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


def graph(problem, device):
    if device != "cuda":
        raise timing.NotPossible("mode graph needs --device cuda")

    def both():
        y = problem.forward()
        return y, torch.autograd.grad(y, problem.leaves, problem.dy, allow_unused=True)

    graphs = {}
    for name, work in (("forward", problem.forward), ("both", both)):
        try:
            graphs[name] = capture(work)
        except RuntimeError as error:
            raise timing.NotPossible(f"the capture of {name} failed: {str(error).strip().splitlines()[0]}") from error
    wait = wait_for(device)
    return lambda: {name: timing.milliseconds(each.replay, wait)[1] for name, (each, _) in graphs.items()}


def no_gpu():
    """Why PyTorch cannot use a GPU, or None."""
    if torch.cuda.is_available():
        return None
    return "PyTorch sees no GPU" if torch.version.cuda else f"PyTorch {torch.__version__} was built without CUDA"


def warm_up_libraries():
    """Makes the libraries load their code; returns the memory in use, which does not count as the network's."""
    torch.ones(64, 64).mm(torch.ones(64, 64))
    return timing.memory_of_process("VmRSS")


def time_mode(options, spec, mode, idle):
    on_gpu = options.device == "cuda"
    if on_gpu:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    if mode == "package":
        problem = PackageProblem(spec, options.steps, options.batch, options.device)
    else:
        problem = Problem(spec, options.steps, options.batch, options.device, mode == "published")
    once = {"graph": graph, "compile": compiled}.get(mode, eager)(problem, options.device)
    device = torch.cuda.get_device_name() if on_gpu else f"cpu ({timing.processor()})"

    def more_results():
        peak = {"peak_cuda_bytes": torch.cuda.max_memory_allocated()} if on_gpu else {}
        return peak | {"idle_rss_bytes": idle, "peak_rss_bytes": timing.memory_of_process("VmHWM"),
                       "configuration": timing.configuration(spec, options, mode, f"torch {torch.__version__}",
                                                             device, torch.get_num_threads())}

    return timing.rounds(options, once, more_results)


def time_lines(description):
    """Times the configurations on stdin, a line each, one mode each: PyTorch is loaded once for all of them."""
    idle = warm_up_libraries()

    def time_line(words):
        options, spec = timing.parse(description, MODES, words)
        if options.device == "cuda" and no_gpu():
            raise timing.NotPossible(no_gpu())
        if options.paced or len(options.mode) > 1:
            raise timing.NotPossible("a line takes one mode, and no --paced")
        if options.threads > 0:
            torch.set_num_threads(options.threads)
        reset = getattr(getattr(torch, "compiler", None), "reset", None)
        if reset:
            reset()  # else compiled code of an earlier line counts as a recompilation of this one
        return time_mode(options, spec, options.mode[0], idle)

    return timing.run_lines(sys.stdin, time_line)


def main():
    description = __doc__.split("\n", maxsplit=1)[0]
    if sys.argv[1:] == ["--lines"]:
        return time_lines(description)
    options, spec = timing.parse(description, MODES)
    if options.device == "cuda" and no_gpu():
        print(f"eager.py: {no_gpu()}", file=sys.stderr)
        return 3
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    idle = warm_up_libraries()
    return timing.run_modes("eager.py", options, lambda mode: time_mode(options, spec, mode, idle))


if __name__ == "__main__":
    sys.exit(main())
