"""Times single calls of the Python package for a network so small that only the call takes time: N 16, B 1, T 1, one thread.

Beside plastic() and PlasticRNN: an autograd function that does nothing with the same tensors, which is the least that a
Python operator can take in PyTorch, torch.nn.Linear, and torch.nn.RNN. All take turns, block by block. A block is 200
forward calls that record for autograd, or 100 pairs of such a call and backward() for a gradient of the output. Prints
microseconds per call, of the fastest block and of the median block. In pairs both calls take longer than alone.

    build/python/all/bin/python bench/peers/overhead.py
"""
import statistics
import sys
import time

import torch
from plasticity.torch import PlasticRNN, plastic

BLOCKS, CALLS, PAIRS = 30, 200, 100
INPUTS, NEURONS = 4, 16


class Empty(torch.autograd.Function):
    @staticmethod
    def forward(ctx, shape, *tensors):
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*tensors)
        return torch.empty(shape)

    @staticmethod
    def backward(ctx, upstream):
        return (None, *[torch.empty_like(tensor) for tensor in ctx.saved_tensors])


def contenders():
    """A dict name -> function that returns the output [1,1,N], and the gradient of the output."""
    network = PlasticRNN(INPUTS, NEURONS)
    parameters = network.library_parameters()
    linear, recurrent = torch.nn.Linear(INPUTS, NEURONS), torch.nn.RNN(INPUTS, NEURONS)
    x = torch.randn(1, 1, INPUTS)
    return {
        "autograd function that does nothing": lambda: Empty.apply((1, 1, NEURONS), x, *parameters.values()),
        "torch.nn.Linear": lambda: linear(x),
        "torch.nn.RNN": lambda: recurrent(x)[0],
        "plasticity.torch.plastic": lambda: plastic(network.spec, parameters, x=x)[0],
        "plasticity.torch.PlasticRNN": lambda: network(x)[0],
    }, torch.ones(1, 1, NEURONS)


def time_calls(function):
    """Seconds of a forward call in a row of them."""
    start = time.perf_counter()
    for _ in range(CALLS):
        function()
    return (time.perf_counter() - start) / CALLS


def time_pairs(function, upstream):
    """Seconds of a forward call and of the backward() that follows it."""
    forward = backward = 0.0
    for _ in range(PAIRS):
        start = time.perf_counter()
        y = function()
        middle = time.perf_counter()
        y.backward(upstream)
        forward += middle - start
        backward += time.perf_counter() - middle
    return forward / PAIRS, backward / PAIRS


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    functions, upstream = contenders()
    blocks = {name: [] for name in functions}
    for _ in range(BLOCKS):
        for name, function in functions.items():
            blocks[name].append((time_calls(function), *time_pairs(function, upstream)))
    print(f"torch {torch.__version__}, N {NEURONS}, B 1, T 1, one thread; microseconds, fastest block / median block")
    print(f"{'':36}{'forward alone':>16}{'forward of pair':>17}{'backward of pair':>18}")
    for name, times in blocks.items():
        columns = [f"{min(each) * 1e6:.1f} / {statistics.median(each) * 1e6:.1f}" for each in zip(*times)]
        print(f"{name:36}{columns[0]:>16}{columns[1]:>17}{columns[2]:>18}")


if __name__ == "__main__":
    main()
