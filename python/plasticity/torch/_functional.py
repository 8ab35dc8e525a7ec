"""plastic(): a plastic cell over a sequence as a differentiable function."""
import dataclasses
import functools
from typing import Mapping, Optional, Tuple, Union

import torch
from torch import Tensor

from .. import _c
from .._errors import bad_argument
from .._plan import State
from .._spec import PARAMETERS, STATE, Execution, Spec
from . import _operators
from ._network import Network, to_text

_HALVES = (torch.bfloat16, torch.float16)


@functools.lru_cache(maxsize=1024)
def _without_inputs(spec):
    return dataclasses.replace(spec, inputs=0)


@functools.lru_cache(maxsize=4096)
def _network(*fields):
    return Network(*fields)


def _state_items(state):
    if isinstance(state, Mapping):
        for name in state:
            if name not in STATE and name not in _NUMBERED:
                raise bad_argument("state", "names of " + ", ".join(STATE), repr(name))
        return [state.get(name, state.get(name + "0")) for name in STATE]
    if not isinstance(state, tuple) or len(state) != len(STATE):
        raise bad_argument("state", "a State or a mapping", type(state).__name__)
    return state


_NUMBERED = tuple(name + "0" for name in STATE)


def _mask(name, value):
    if not isinstance(value, Tensor):
        raise bad_argument(f"masks.{name}", "a tensor", type(value).__name__)
    if name == "length":
        return value if value.dtype is torch.int64 else value.to(torch.int64)
    if value.dtype is torch.uint8:
        return value
    return value.view(torch.uint8) if value.dtype is torch.bool and not torch.compiler.is_compiling() else (
        value != 0).to(torch.uint8)


def plastic(
    spec: Spec,
    parameters: Mapping[str, Tensor],
    *,
    x: Optional[Tensor] = None,
    u: Optional[Tensor] = None,
    pre: Optional[Tensor] = None,
    rate: Optional[Tensor] = None,
    state: Optional[Union[State, Mapping[str, Optional[Tensor]]]] = None,
    reset: Optional[Tensor] = None,
    length: Optional[Tensor] = None,
    clamp: Optional[Tensor] = None,
    clamp_value: Optional[Tensor] = None,
    precision: Optional[str] = None,
    checkpoint_interval: int = 0,
    memory_budget: int = 0,
    execution: Execution = "automatic",
    return_current: bool = False,
) -> Union[Tuple[Tensor, Optional[Tensor], State], Tuple[Tensor, Optional[Tensor], State, Tensor]]:
    """Runs a plastic cell over T steps of B samples. Returns (y [T,B,N], modulation [T,B] or None, the final State).

    return_current=True returns a fourth item, the current a [T,B,N] to which the activation is applied (of an LSTM: that
    of the candidate). A loss of it has a gradient even if the activation is saturated, for example
    torch.nn.functional.cross_entropy.

    `parameters` has the names of files: "w", "alpha", "modulator.weight". The inputs are x [T,B,I] (through w_in and b),
    u [T,B,N], of an LSTM [T,B,4N] (a current, added to that of x), pre [T,B,I] (feed-forward) and rate [T,B,N] (external). An absent state, or tensor of
    it, is zero. reset [T,B] zeroes the state before a step; from step length[b] on the outputs are zero and the state
    stays; if clamp [T,B,N] is set, y is clamp_value. A mask that is not bool or uint8 (length: int64) is converted.

    Gradients reach inputs, parameters and the initial state, from y, the current, the final state and modulation. A gradient of the
    modulation raises if the modulator of an LSTM reads the cell state. All tensors are contiguous, on one device and of one
    type: float32, or float64 on the CPU. precision="bf16" stores the traces of the tape (on a GPU all traces) as bfloat16.
    Under autocast, tensors of half precision are converted to float32, and the outputs are float32. CUDA work is enqueued on
    the current stream. A tape is recorded only if a gradient may be needed; memory_budget bounds its bytes, and
    checkpoint_interval sets its K. Raises ValueError for a wrong argument, with its name.
    """
    if spec.inputs and spec.cell == "rnn" and "w_in" not in parameters and x is None:
        spec = _without_inputs(spec) if not torch.compiler.is_compiling() else dataclasses.replace(spec, inputs=0)
    names, tensors = [], []
    for name in parameters:
        if name not in PARAMETERS:
            raise bad_argument("parameters", "names of " + ", ".join(spec.parameters), repr(name))
    for name in PARAMETERS:
        value = parameters.get(name)
        if value is not None:
            names.append("parameters." + name)
            tensors.append(value)
    for name, value in (("x", x), ("u", u), ("pre", pre), ("rate", rate)):
        if value is not None:
            names.append("inputs." + name)
            tensors.append(value)
    if state is not None:
        for name, value in zip(STATE, _state_items(state)):
            if value is not None:
                names.append("initial_state." + name)
                tensors.append(value)
    if clamp_value is not None:
        names.append("masks.clamp_value")
        tensors.append(clamp_value)
    if not tensors:
        raise bad_argument("parameters", "names of " + ", ".join(spec.parameters), "none")
    for name, value in zip(names, tensors):
        if not isinstance(value, Tensor):
            raise bad_argument(name, "a tensor", type(value).__name__)
    if torch.is_autocast_enabled(tensors[0].device.type):
        tensors = [value.float() if value.dtype in _HALVES else value for value in tensors]
    record = False
    if torch.is_grad_enabled():
        for value in tensors:
            if value.requires_grad:
                record = True
                break
    for name, value in (("reset", reset), ("length", length), ("clamp", clamp)):
        if value is not None:
            names.append("masks." + name)
            tensors.append(_mask(name, value))
    bf16 = precision == "bf16"
    if precision not in (None, "bf16", "f32", "f64"):
        raise bad_argument("precision", "bf16, f32, f64 or None", repr(precision))
    if execution not in _c.EXECUTION:
        raise bad_argument("execution", "one of " + ", ".join(_c.EXECUTION), repr(execution))

    if torch.compiler.is_compiling() or not _operators.is_eager(tensors):
        text = to_text(spec, bf16, checkpoint_interval, memory_budget, execution, return_current, names)
        results = torch.ops.plasticity.forward(text, tensors, record)
    else:
        network = _network(spec, bf16, checkpoint_interval, memory_budget, execution, return_current, tuple(names))
        results = _operators.call(network, tensors, record)

    index, modulation = 1, None
    if spec.has_modulator:
        modulation, index = results[1], 2
    final = [None, None, None, None]
    for k, present in enumerate(
        (spec.cell != "feedforward", spec.cell == "lstm", spec.alpha != "none", spec.eligibility != "none")
    ):
        if present:
            final[k] = results[index]
            index += 1
    state = State(final[0], final[1], final[2], final[3])
    return (results[0], modulation, state, results[index]) if return_current else (results[0], modulation, state)
