"""The specification of a cell: the library's names, sizes and shapes. Both models share it, so it imports no framework.

T B I N P, w, alpha, hebb: the names of the equations (README, papers in include/plasticity/spec.hpp).
"""
from dataclasses import dataclass

CELLS = ("feedforward", "rnn", "lstm")
RULES = ("decay", "oja", "hard_clip", "soft_clip", "additive", "read_clip")
RATES = ("fixed", "modulated", "fan_out", "external")
ELIGIBILITIES = ("none", "before", "after")
ALPHAS = ("scalar", "post", "connection")
ACTIVATIONS = ("tanh", "sigmoid", "relu", "identity", "softmax")


@dataclass(frozen=True)
class Spec:
    """The specification of a cell, with the library's fields, values and defaults."""

    cell: str = "rnn"
    rule: str = "decay"
    rate: str = "fixed"
    eligibility: str = "none"
    alpha: str = "connection"
    activation: str = "tanh"
    modulator_source: str = "hidden"
    inputs: int = 0
    neurons: int = 1
    clip: float = 1.0

    def __post_init__(self):
        for name, legal in (("cell", CELLS), ("rule", RULES), ("rate", RATES), ("eligibility", ELIGIBILITIES),
                            ("alpha", ALPHAS), ("activation", ACTIVATIONS),
                            ("modulator_source", ("hidden", "cell"))):
            if getattr(self, name) not in legal:
                raise ValueError(f"{name}: expected one of {', '.join(legal)}, got {getattr(self, name)}")
        if self.neurons < 1:
            raise ValueError(f"neurons: expected at least 1, got {self.neurons}")
        if self.inputs < (0 if self.cell == "rnn" else 1):
            raise ValueError(f"inputs: expected at least 1 for cell {self.cell}, got {self.inputs}")
        if self.eligibility != "none" and self.rate == "fixed":
            raise ValueError("rate: expected modulated, fan_out or external with an eligibility trace, got fixed")
        if self.cell == "lstm" and self.activation != "tanh":
            raise ValueError(f"activation: expected tanh for cell lstm, got {self.activation}")
        if self.cell != "lstm" and self.modulator_source == "cell":
            raise ValueError(f"modulator_source: expected hidden for cell {self.cell}, got cell")

    @property
    def presynaptic(self):
        return self.inputs if self.cell == "feedforward" else self.neurons

    @property
    def has_modulator(self):
        return self.rate in ("modulated", "fan_out")

    @property
    def has_eta(self):
        return self.rate == "fixed" or self.eligibility != "none"

    def parameter_shapes(self):
        n, p, gates = self.neurons, self.presynaptic, 4 if self.cell == "lstm" else 1
        shapes = {"w": (p, n), "alpha": {"scalar": (1,), "post": (n,), "connection": (p, n)}[self.alpha]}
        if self.cell != "feedforward" and self.inputs > 0:
            shapes |= {"w_in": (self.inputs, gates * n), "b": (gates * n,)}
        if self.cell == "lstm":
            shapes["w_gates"] = (n, 3 * n)
        if self.has_eta:
            shapes["eta"] = (1,)
        if self.has_modulator:
            shapes |= {"modulator.weight": (n,), "modulator.bias": (1,)}
        if self.rate == "fan_out":
            shapes |= {"fan_out.weight": (n,), "fan_out.bias": (n,)}
        return shapes

    def input_shapes(self, steps, batch):
        feedforward = self.cell == "feedforward"
        shapes = {}
        if not feedforward and self.inputs > 0:
            shapes["x"] = (steps, batch, self.inputs)
        if feedforward or self.inputs == 0:
            shapes["u"] = (steps, batch, self.neurons)
        if feedforward:
            shapes["pre"] = (steps, batch, self.inputs)
        if self.rate == "external":
            shapes["rate"] = (steps, batch, self.neurons)
        return shapes

    def state_shapes(self, batch):
        n, p = self.neurons, self.presynaptic
        shapes = {"hebb": (batch, p, n)}
        if self.cell != "feedforward":
            shapes["y"] = (batch, n)
        if self.cell == "lstm":
            shapes["c"] = (batch, n)
        if self.eligibility != "none":
            shapes["eligibility"] = (batch, p, n)
        return shapes
