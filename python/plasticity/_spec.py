"""The description of a plastic cell."""
import ctypes
import dataclasses
import functools
from typing import Any, Dict, Literal, Mapping, Optional, Tuple

from . import _c
from ._errors import FormatError, InvalidSpec
from ._library import check, lib

Cell = Literal["feedforward", "rnn", "lstm"]
Rule = Literal["decay", "oja", "hard_clip", "soft_clip", "additive", "read_clip"]
Rate = Literal["fixed", "modulated", "fan_out", "external"]
Eligibility = Literal["none", "before", "after"]
Granularity = Literal["scalar", "post", "connection", "none"]
Activation = Literal["tanh", "sigmoid", "relu", "identity", "softmax"]
ModulatorSource = Literal["hidden", "cell"]
Precision = Literal["f64", "f32", "bf16"]
Execution = Literal["automatic", "step", "graph", "cta", "cluster", "grid"]

PARAMETERS = (
    "w_in", "b", "w", "w_gates", "alpha", "eta", "modulator.weight", "modulator.bias", "fan_out.weight", "fan_out.bias",
)
INPUTS = ("x", "u", "pre", "rate")
STATE = ("y", "c", "hebb", "eligibility")
MASKS = ("reset", "length", "clamp", "clamp_value")

_CHOICES = {
    "cell": _c.CELL,
    "rule": _c.RULE,
    "rate": _c.RATE,
    "eligibility": _c.ELIGIBILITY,
    "alpha": _c.ALPHA,
    "activation": _c.ACTIVATION,
    "modulator_source": _c.MODULATOR_SOURCE,
}


@dataclasses.dataclass(frozen=True)
class Spec:
    """A plastic cell: its equations and its sizes. Fields, values and defaults are those of the C++ Spec.

    A step, for presynaptic activity x, input current u, weights w, coefficients alpha and Hebbian trace H:

        y_j = f(u_j + sum_i x_i (w_ij + alpha_ij H_ij));  then `rule` updates H

    cell: the source of x and y
        feedforward x is the input, y the output                        [2016, 2018]
        rnn         x is the last output, y the output                  [2018, 2019]
        lstm        x is the last h, y the candidate, the plastic gate  [2019]
    rule: the update of H at the rate g_j with the drive X
        decay       H <- (1 - g_j) H + g_j X                            [2016, 2018]
        oja         H <- H + g_j (X - y_j^2 H)                          [2018]
        hard_clip   H <- clamp(H + g_j X, -clip, clip)                  [2019]
        soft_clip   H <- clamp(H + p (1 - H) if p >= 0 else H + p (1 + H), -1, 1) with p = g_j X  [2019]
        additive    H <- H + g_j X
        read_clip   as additive; the activation reads clamp(H, -clip, clip)                       [2019]
    rate: the source of g_j
        fixed       g_j = eta                                           [2016, 2018]
        modulated   g_j = M = tanh(v . y + v0)                          [2019]
        fan_out     g_j = M F_j + F0_j                                  [2019]
        external    an input
    eligibility: the drive X
        none        X = x_i y_j
        before      X = E, then E <- (1 - eta) E + eta x_i y_j          [2019]
        after       E <- (1 - eta) E + eta x_i y_j, then X = E
    alpha: "scalar", "post" (one per postsynaptic neuron), "connection", or "none" for a cell without a plastic part.
    activation: f.
    modulator_source: the vector that M reads, y (of an lstm h) or the cell state of an lstm.
    inputs: I. 0 in an rnn whose input is the current u.
    neurons: N.
    clip: the bound of hard_clip and read_clip.

    Papers: Miconi, arXiv 1609.02228 [2016]; Miconi, Clune and Stanley, arXiv 1804.02464 [2018]; Miconi, Rawal, Clune and
    Stanley, arXiv 2002.10585 [2019].

    Raises ValueError for an unknown value or a combination that the equations do not define.
    """

    cell: Cell = "rnn"
    rule: Rule = "decay"
    rate: Rate = "fixed"
    eligibility: Eligibility = "none"
    alpha: Granularity = "connection"
    activation: Activation = "tanh"
    modulator_source: ModulatorSource = "hidden"
    inputs: int = 0
    neurons: int = 1
    clip: float = 1.0

    def __post_init__(self) -> None:
        for field, names in _CHOICES.items():
            value = getattr(self, field)
            if value not in names:
                raise InvalidSpec(f"{field}: expected one of {', '.join(names)}, got {value!r}")
        for field in ("inputs", "neurons"):
            value = getattr(self, field)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise InvalidSpec(f"{field}: expected an integer, got {value!r}")
            object.__setattr__(self, field, int(value.__index__()))
        if getattr(self.clip, "requires_grad", False):
            raise InvalidSpec("clip: expected a number, got a tensor that requires a gradient; the clip is not learned")
        try:
            object.__setattr__(self, "clip", float(self.clip))
        except (TypeError, ValueError):
            raise InvalidSpec(f"clip: expected a number, got {self.clip!r}") from None
        check(lib.plasticity_spec_validate(self._as_c()))
        # One string for all fields. A tracer treats it as a constant, but may make numbers symbolic.
        object.__setattr__(self, "_text", " ".join(
            [*(getattr(self, name) for name in _CHOICES), str(self.inputs), str(self.neurons), repr(self.clip)]))

    def __hash__(self) -> int:
        return hash(self._text)  # the hash of the fields takes longer, and every call looks its plan up by a spec

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, Any]) -> "Spec":
        """The spec in the metadata of a parity case or of a saved network: cell, rule, …, I, N, clip.

        Other keys are ignored. Raises ValueError for a key that is missing or wrong.
        """
        fields: Dict[str, Any] = {}
        for key, field in (*((name, name) for name in _CHOICES), ("I", "inputs"), ("N", "neurons"), ("clip", "clip")):
            if key not in metadata:
                raise FormatError(f"metadata '{key}': expected a value, got none")
            fields[field] = metadata[key]
        for key, field, number in (("I", "inputs", int), ("N", "neurons", int), ("clip", "clip", float)):
            try:
                fields[field] = number(fields[field])
            except (TypeError, ValueError):
                raise FormatError(f"metadata '{key}': expected a number, got {fields[field]!r}") from None
        return cls(**fields)

    def to_metadata(self) -> Dict[str, str]:
        """The metadata that from_metadata() reads and that a saved network has."""
        fields = {name: str(getattr(self, name)) for name in _CHOICES}
        clip = repr(self.clip)
        return {**fields, "I": str(self.inputs), "N": str(self.neurons), "clip": clip[:-2] if clip.endswith(".0") else clip}

    @property
    def presynaptic(self) -> int:
        """P: `inputs` in a feedforward cell, `neurons` in a recurrent one."""
        return self.inputs if self.cell == "feedforward" else self.neurons

    @property
    def has_clip(self) -> bool:
        """Whether the rule uses `clip`."""
        return self.rule in ("hard_clip", "read_clip")

    @property
    def has_modulator(self) -> bool:
        """Whether there is a modulator M."""
        return self.rate in ("modulated", "fan_out")

    @property
    def parameters(self) -> Dict[str, Tuple[int, ...]]:
        """The shape of every parameter by its name in files."""
        return _present(self, "parameters", PARAMETERS, 1, 1)

    def inputs_of(self, steps: int, batch: int) -> Dict[str, Tuple[int, ...]]:
        """The shape of every input of T steps and B samples."""
        return _present(self, "inputs", INPUTS, steps, batch)

    def state_of(self, batch: int) -> Dict[str, Tuple[int, ...]]:
        """The shape of every tensor of the state of B samples."""
        return _present(self, "initial_state", STATE, 1, batch)

    def shape(self, name: str, steps: int, batch: int) -> Optional[Tuple[int, ...]]:
        """The shape of a tensor by its full name, "inputs.x" or "y"; None if this cell has no such tensor."""
        return _shape(self, name, steps, batch)

    def _as_c(self) -> _c.Spec:
        return _c.Spec(
            *(names.index(getattr(self, field)) for field, names in _CHOICES.items()), self.inputs, self.neurons, self.clip
        )


def _present(spec, group, names, steps, batch):
    shapes = {name: _shape(spec, f"{group}.{name}", steps, batch) for name in names}
    return {name: shape for name, shape in shapes.items() if shape is not None}


@functools.lru_cache(maxsize=4096)
def _shape(spec, name, steps, batch):
    sizes, ndim = (ctypes.c_int64 * _c.MAX_AXES)(), ctypes.c_int32()
    check(lib.plasticity_spec_shape(spec._as_c(), steps, batch, name.encode(), sizes, ctypes.byref(ndim)))
    return tuple(sizes[: ndim.value]) if ndim.value else None


@functools.lru_cache(maxsize=None)
def output_names(spec, return_preactivation):
    """The names of the outputs of plastic() over a sequence: y, modulation, the final state, and the pre-activation a."""
    final = [f"final_state.{name}" for name in spec.state_of(1)]
    return ("y", *(["modulation"] if spec.has_modulator else []), *final, *(["a"] if return_preactivation else []))
