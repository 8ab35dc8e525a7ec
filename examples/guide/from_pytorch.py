#!/usr/bin/env python3
"""Exports plastic networks from PyTorch to files that the library reads.

usage: from_pytorch.py FOLDER [--seed N]

Exports three PyTorch modules, written from the papers' equations. Each file holds the weights, a short sequence,
PyTorch's outputs and autograd's gradients, so that `plasticity verify` can check the export:

    python3 examples/guide/from_pytorch.py out/exported && build/plasticity verify out/exported/*.safetensors

For your own module, write a function like names_of_rnn() below and call export(). The papers: [2018] arXiv 1804.02464,
[2019] arXiv 2002.10585.
"""
import argparse
import json
import pathlib
import struct
import sys

try:
    import torch
    from torch import nn
except ImportError:
    sys.exit("from_pytorch.py: expected PyTorch to be installed, got none (pip install torch)")


class PlasticRNN(nn.Module):
    """[2018]: a recurrent network with decaying traces. Weights [pre, post], traces [batch, pre, post]."""

    def __init__(self, neurons):
        super().__init__()
        self.w = nn.Parameter(0.3 * torch.randn(neurons, neurons))
        self.alpha = nn.Parameter(0.3 * torch.randn(neurons, neurons))
        self.eta = nn.Parameter(torch.tensor([0.1]))

    def forward(self, current, state):
        y, hebb = state
        effective = self.w + self.alpha * hebb
        post = torch.tanh(current + torch.bmm(y.unsqueeze(1), effective).squeeze(1))
        hebb = (1 - self.eta) * hebb + self.eta * torch.bmm(y.unsqueeze(2), post.unsqueeze(1))
        return post, (post, hebb)


class ModulatedRNN(nn.Module):
    """[2019]: a recurrent network whose own activity sets the rate of its plasticity, fanned out to every neuron."""

    def __init__(self, inputs, neurons):
        super().__init__()
        self.x2h = nn.Linear(inputs, neurons)
        self.w = nn.Parameter(0.3 * torch.randn(neurons, neurons))
        self.alpha = nn.Parameter(0.3 * torch.randn(neurons, neurons))
        self.h2m = nn.Linear(neurons, 1)
        self.fan_out = nn.Linear(1, neurons)

    def forward(self, x, state):
        y, hebb = state
        effective = self.w + self.alpha * hebb
        post = torch.tanh(self.x2h(x) + torch.bmm(y.unsqueeze(1), effective).squeeze(1))
        rate = self.fan_out(torch.tanh(self.h2m(post)))
        hebb = torch.clamp(hebb + rate.unsqueeze(1) * torch.bmm(y.unsqueeze(2), post.unsqueeze(1)), -1, 1)
        return post, (post, hebb)


class PlasticLSTM(nn.Module):
    """[2019]: an LSTM with a plastic candidate gate and one alpha per neuron."""

    def __init__(self, inputs, neurons):
        super().__init__()
        self.x2h = nn.Linear(inputs, 4 * neurons)  # i, f, g, o
        self.h2gates = nn.Linear(neurons, 3 * neurons, bias=False)  # i, f, o
        self.w = nn.Parameter(0.3 * torch.randn(neurons, neurons))
        self.alpha = nn.Parameter(0.3 * torch.randn(neurons))
        self.h2m = nn.Linear(neurons, 1)
        self.fan_out = nn.Linear(1, neurons)

    def forward(self, x, state):
        h, c, hebb = state
        xi, xf, xg, xo = self.x2h(x).chunk(4, dim=1)
        hi, hf, ho = self.h2gates(h).chunk(3, dim=1)
        effective = self.w + self.alpha * hebb
        candidate = torch.tanh(xg + torch.bmm(h.unsqueeze(1), effective).squeeze(1))
        c = torch.sigmoid(xf + hf) * c + torch.sigmoid(xi + hi) * candidate
        post = torch.sigmoid(xo + ho) * torch.tanh(c)
        rate = self.fan_out(torch.tanh(self.h2m(post)))
        hebb = torch.clamp(hebb + rate.unsqueeze(1) * torch.bmm(h.unsqueeze(2), candidate.unsqueeze(1)), -2, 2)
        return post, (post, c, hebb)


# The following functions map the library's names to a module's tensors. `of` returns a parameter's value or its
# gradient. The weights of nn.Linear are [out, in], the library's are [in, out].
def names_of_rnn(module, of):
    return {"w": of(module.w), "alpha": of(module.alpha), "eta": of(module.eta)}


def names_of_modulator(module, of):
    return {"modulator.weight": of(module.h2m.weight)[0], "modulator.bias": of(module.h2m.bias),
            "fan_out.weight": of(module.fan_out.weight)[:, 0], "fan_out.bias": of(module.fan_out.bias)}


def names_of_modulated(module, of):
    return {"w_in": of(module.x2h.weight).T, "b": of(module.x2h.bias), "w": of(module.w), "alpha": of(module.alpha),
            **names_of_modulator(module, of)}


def names_of_lstm(module, of):
    return {"w_in": of(module.x2h.weight).T, "b": of(module.x2h.bias), "w_gates": of(module.h2gates.weight).T,
            "w": of(module.w), "alpha": of(module.alpha), **names_of_modulator(module, of)}


def save_file(path, tensors, metadata):
    """Writes a safetensors file with float64 tensors."""
    header, data = {"__metadata__": metadata}, b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.detach().to(torch.float64).contiguous().numpy().tobytes()
        header[name] = {"dtype": "F64", "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def export(path, module, names, spec, state, input_name, width, steps=6, batch=2):
    """Writes the parameters and a parity case.

    Network::load reads the parameters, "param.…", and the spec in the metadata. The parity case is a sequence, the
    module's outputs, and the gradients of sum(y * upstream).
    """
    module = module.double()
    inputs = torch.randn(steps, batch, width, dtype=torch.float64, requires_grad=True)
    state = tuple(torch.zeros(batch, *shape, dtype=torch.float64) for shape in state)
    outputs = []
    for x in inputs:
        y, state = module(x, state)
        outputs.append(y)
    outputs = torch.stack(outputs)
    upstream = torch.randn_like(outputs)
    (outputs * upstream).sum().backward()

    tensors = {f"param.{name}": value for name, value in names(module, lambda p: p).items()}
    tensors |= {f"grad.{name}": value for name, value in names(module, lambda p: p.grad).items()}
    tensors |= {f"input.{input_name}": inputs, f"grad.{input_name}": inputs.grad, "upstream.y": upstream,
                "expect.y": outputs, "expect.hebb_final": state[-1]}
    metadata = {"format": "plasticity-parity-1", "cell": "rnn", "rule": "decay", "rate": "fixed", "eligibility": "none",
                "alpha": "connection", "activation": "tanh", "modulator_source": "hidden", "I": "0", "clip": "1"}
    metadata |= spec | {"T": str(steps), "B": str(batch), "N": str(outputs.shape[2])}
    save_file(path, tensors, metadata)
    print(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(arguments.seed)
    inputs, neurons = 3, 5
    vector, trace = (neurons,), (neurons, neurons)
    export(arguments.folder / "plastic_rnn_2018.safetensors", PlasticRNN(neurons), names_of_rnn,
           {}, (vector, trace), "u", neurons)
    export(arguments.folder / "modulated_rnn_2019.safetensors", ModulatedRNN(inputs, neurons), names_of_modulated,
           {"rule": "hard_clip", "rate": "fan_out", "I": str(inputs)}, (vector, trace), "x", inputs)
    export(arguments.folder / "plastic_lstm_2019.safetensors", PlasticLSTM(inputs, neurons), names_of_lstm,
           {"cell": "lstm", "rule": "hard_clip", "rate": "fan_out", "alpha": "post", "I": str(inputs), "clip": "2"},
           (vector, vector, trace), "x", inputs)


if __name__ == "__main__":
    main()
