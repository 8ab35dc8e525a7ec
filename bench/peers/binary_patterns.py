#!/usr/bin/env python3
"""Trains the binary patterns of 2018 in PyTorch: the loop of bench/training/binary_patterns.cpp, with the same options,
JSON, episodes and initial parameters. As its authors write it, one episode at a time, forward in a Python loop, Adam."""
import argparse
import json
import math
import sys
import time

import numpy
import torch

from model import PlasticCell
from spec import Spec
from timing import positive

PATTERNS, PRESENTATIONS, ON, OFF, TEST = 5, 2, 6, 4, 6
STEPS = PATTERNS * PRESENTATIONS * (ON + OFF) + TEST
GAIN = 20.0
STREAMS, PARAMETERS_AT = 4, 1 << 40


def mixed(x):
    """splitmix64 of an array."""
    x = x + numpy.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
    return x ^ (x >> numpy.uint64(31))


def numbers(stream, count, first=0):
    return mixed(mixed(numpy.array([stream], dtype=numpy.uint64)) + numpy.arange(first, first + count, dtype=numpy.uint64))


def normal(stream, count):
    uniform = (numbers(stream, 2 * count) >> numpy.uint64(11)).astype(numpy.float64) * 2.0 ** -53
    return numpy.sqrt(-2 * numpy.log(1 - uniform[0::2])) * numpy.cos(2 * math.pi * uniform[1::2])


def make_episode(index, n):
    """Input current [T,1,N+1] and target [N]."""
    stream = STREAMS * index
    bits = numpy.where(numbers(stream, PATTERNS * n) >> numpy.uint64(63), 1.0, -1.0).reshape(PATTERNS, n)
    u = numpy.zeros((STEPS, 1, n + 1), dtype=numpy.float32)
    t = 0
    for again in range(PRESENTATIONS):
        for which in numpy.argsort(numbers(stream + 1, PATTERNS, again * PATTERNS)):
            u[t:t + ON, 0, :n] = GAIN * bits[which]
            t += ON + OFF
    target = bits[int(numbers(stream + 3, 1)[0] % numpy.uint64(PATTERNS))]
    cue = target.copy()
    cue[numpy.argsort(numbers(stream + 2, n))[:n // 2]] = 0
    u[t:, 0, :n] = GAIN * cue
    u[:, 0, n] = GAIN  # the bias
    return torch.from_numpy(u), torch.from_numpy(target.astype(numpy.float32))


class Training:
    def __init__(self, n, device):
        self.n, self.device = n, device
        self.cell = PlasticCell(Spec(cell="rnn", rule="decay", neurons=n + 1), device=device)
        with torch.no_grad():
            for k, name in enumerate(("w", "alpha")):
                values = 0.01 * normal(PARAMETERS_AT + k, (n + 1) ** 2)
                self.cell.parameter(name).copy_(torch.from_numpy(values.astype(numpy.float32)).view(n + 1, n + 1))
            self.cell.parameter("eta").fill_(0.01)
        self.adam = torch.optim.Adam(self.cell.parameters(), lr=3e-4)
        self.episodes, self.seconds, self.losses, self.errors = 0, 0.0, [], []

    def episode(self):
        u, target = (tensor.to(self.device) for tensor in make_episode(self.episodes, self.n))
        self.episodes += 1
        start = time.perf_counter()
        state = {name: torch.zeros(shape, device=self.device) for name, shape in self.cell.spec.state_shapes(1).items()}
        self.adam.zero_grad()
        y = self.cell({"u": u}, state)[0][-1, 0, :self.n]
        loss = (y - target).pow(2).sum()
        loss.backward()
        self.adam.step()
        self.losses.append(loss.item())
        self.errors.append(((y > 0) != (target > 0)).float().mean().item())
        self.seconds += time.perf_counter() - start

    def report(self):
        result = {"episodes": self.episodes, "seconds": self.seconds, "losses": self.losses, "sign_errors": self.errors,
                  "device": f"torch {torch.__version__}, {self.device}, {torch.get_num_threads()} threads"}
        self.losses, self.errors = [], []
        return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--neurons", type=positive, default=1000, help="N, bits of a pattern")
    parser.add_argument("--episodes", type=positive, default=10, help="how many; with --paced for every line")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads; 0: PyTorch chooses")
    parser.add_argument("--cuda", action="store_true", help="on the GPU")
    parser.add_argument("--paced", action="store_true", help="trains on for every line on stdin, a line of JSON each")
    options = parser.parse_args()
    if options.cuda and not torch.cuda.is_available():
        print("binary_patterns.py: PyTorch sees no GPU", file=sys.stderr)
        return 3
    if options.threads > 0:
        torch.set_num_threads(options.threads)
    training = Training(options.neurons, "cuda" if options.cuda else "cpu")
    for _ in sys.stdin if options.paced else [None]:
        for _ in range(options.episodes):
            training.episode()
        print(json.dumps(training.report()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
