"""Plots the Hebbian trace and the modulator over an episode: python plot_traces.py [OUTPUT.png]

The state comes out after every step, so a trace can be plotted as it grows.
"""
import argparse

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import torch
from plasticity.torch import PlasticRNN

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("output", nargs="?", default="traces.png", metavar="OUTPUT.png")
output = parser.parse_args().output

torch.manual_seed(0)
T, N = 60, 24
network = PlasticRNN(4, N, rule="hard_clip", rate="modulated", clip=1)
with torch.no_grad():
    network.w.normal_(0, 1 / N**.5)
    network.modulator.weight.normal_(0, 1 / N**.5)
    x = 2 * torch.randn(4)[None, :] * (torch.arange(T)[:, None] % 20 < 10)
    state, traces, modulation = network.initial_state(1), [], []
    for t in range(T):
        _, state, M = network(x[t].view(1, 1, 4), state, return_modulation=True)
        traces.append(state.hebb[0].flatten())
        modulation.append(M.item())
traces = torch.stack(traces)

figure, (top, middle, bottom) = plt.subplots(3, 1, figsize=(8, 8), constrained_layout=True)
top.plot(modulation)
top.set(ylabel="M", ylim=(-1, 1), title="Modulator, some traces, and the whole trace at the end")
middle.plot(traces[:, torch.randperm(N * N)[:12]])
middle.set(xlabel="step", ylabel="H of 12 connections")
picture = bottom.imshow(traces[-1].view(N, N), cmap="RdBu", vmin=-1, vmax=1)
bottom.set(xlabel="post", ylabel="pre")
figure.colorbar(picture, ax=bottom, label="H")
figure.savefig(output, dpi=110)
print(f"wrote {output}")
