"""A plastic network learns to complete a pattern that it saw a moment ago: python first_network.py [ITERATIONS]"""
import argparse

import torch
from arguments import positive_integer
from plasticity.torch import PlasticRNN

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("iterations", nargs="?", type=positive_integer, default=400)

torch.manual_seed(0)
N, B, SHOW = 20, 16, 4
network = PlasticRNN(0, N)  # no input weights: a pattern is the input current
optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)

for iteration in range(parser.parse_args().iterations):
    first, second = torch.randint(0, 2, (2, B, N)) * 2.0 - 1  # new patterns every time: only the traces can hold them
    half = torch.cat([first[:, : N // 2], torch.zeros(B, N // 2)], 1)
    u = 10 * torch.stack([first] * SHOW + [second] * SHOW + [half] * 3)

    output, state = network(u)
    loss = (output[-1] - first).square()[:, N // 2 :].mean()  # the half that was not shown again
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if iteration % 100 == 0:
        print(f"iteration {iteration}: loss {loss:.3f}")
print(f"loss {loss:.3f}; without plasticity it stays near 1")
