"""Times single calls of the Python package for a network so small that only the call takes time: N 16, B 1, T 1, one thread.

Beside plastic() and PlasticRNN: an autograd function that does nothing with the same tensors, which is the least that a
Python operator can take in PyTorch, torch.nn.Linear, and torch.nn.RNN. All take turns, call by call. Prints the median
time in microseconds of a forward call that records for autograd, and of backward() for a gradient of the output.

    build/python/all/bin/python bench/peers/overhead.py
"""
import statistics
import sys
import time

import torch
from plasticity.torch import PlasticRNN, plastic

CALLS = 4000
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


def main():
    if len(sys.argv) > 1:
        sys.exit(__doc__)
    torch.set_num_threads(1)
    functions, upstream = contenders()
    times = {name: ([], []) for name in functions}
    for _ in range(CALLS):
        for name, function in functions.items():
            start = time.perf_counter()
            y = function()
            middle = time.perf_counter()
            y.backward(upstream)
            times[name][0].append(middle - start)
            times[name][1].append(time.perf_counter() - middle)
    print(f"torch {torch.__version__}, N {NEURONS}, B 1, T 1, one thread; microseconds, medians of {CALLS} calls")
    print(f"{'':36}{'forward':>9}{'backward':>10}")
    for name, both in times.items():
        forward, backward = (statistics.median(each) * 1e6 for each in both)
        print(f"{name:36}{forward:9.1f}{backward:10.1f}")


if __name__ == "__main__":
    main()
