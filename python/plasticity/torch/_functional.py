"""plastic(): a plastic cell over a sequence as a differentiable function."""
import functools
import sys
import warnings
from typing import Literal, Mapping, NamedTuple, Optional, Tuple, Union, overload

import torch
from torch import Tensor

from .._arguments import (
    check_mapping,
    check_options,
    check_parameter_names,
    check_precision,
    integer,
    spec_of_call,
    state_items,
)
from .._errors import bad_argument
from .._plan import State
from .._spec import INPUTS, MASKS, PARAMETERS, STATE, Execution, Precision, Spec
from . import _operators
from ._program import PRECISIONS
from ._signature import Signature, to_text

HALVES = (torch.bfloat16, torch.float16)


# The full names of the tensors besides the parameters, in the order of a signature.
_TENSORS = (
    *("inputs." + name for name in INPUTS), *("initial_state." + name for name in STATE), *("masks." + name for name in MASKS)
)


class _PreparedCall(NamedTuple):
    """The parts of a call that depend only on the names of its tensors and on its options."""

    signature: Signature
    parameters: Tuple[str, ...]  # in the order of the signature
    # Indices of the outputs; None for one that the call does not have.
    modulation: Optional[int]
    final_state: Tuple[Optional[int], ...]
    preactivation: Optional[int]


def _prepare(spec, given, present, bf16, checkpoint_interval, memory_budget, execution, return_preactivation):
    """`given`: the names of the parameters. `present`: for each of _TENSORS, whether the call has it."""
    integer("checkpoint_interval", checkpoint_interval)
    integer("memory_budget", memory_budget)
    others = [name for name, is_present in zip(_TENSORS, present) if is_present]
    spec = spec_of_call(spec, "w_in" in given, "inputs.x" in others)
    check_parameter_names(spec, given)
    parameters = [name for name in PARAMETERS if name in given]
    names = ["parameters." + name for name in parameters] + others
    if not any(not name.startswith("masks.") or name == "masks.clamp_value" for name in names):
        raise bad_argument("parameters", "names of " + ", ".join(spec.parameters), "none")
    modulation = 1 if spec.has_modulator else None
    final, index = [], 2 if spec.has_modulator else 1
    for exists in (spec.cell != "feedforward", spec.cell == "lstm", spec.alpha != "none", spec.eligibility != "none"):
        final.append(index if exists else None)
        index += exists
    signature = Signature(spec, bf16, checkpoint_interval, memory_budget, execution, return_preactivation, tuple(names))
    return _PreparedCall(signature, tuple(parameters), modulation, tuple(final), index if return_preactivation else None)


_prepare_cached = functools.lru_cache(maxsize=4096)(_prepare)  # torch.compile traces the function without a cache


def _whole(length):
    """Lengths of another type as int64. Raises ValueError for a fraction, unless the call is being compiled."""
    if length.dtype is torch.bool:
        raise bad_argument("masks.length.dtype", "an integer type", "torch.bool")
    whole = length.to(torch.int64)
    if length.is_floating_point() and not torch.compiler.is_compiling() and not torch.equal(whole.to(length.dtype), length):
        raise bad_argument("masks.length", "whole numbers", str(length[whole != length].tolist()[0]))
    return whole


def _mask(name, value):
    if not isinstance(value, Tensor):
        raise bad_argument(f"masks.{name}", "a tensor", type(value).__name__)
    if name == "length":
        return value if value.dtype is torch.int64 else _whole(value)
    if value.dtype is torch.uint8:
        return value
    return value.view(torch.uint8) if value.dtype is torch.bool and not torch.compiler.is_compiling() else (
        value != 0).to(torch.uint8)


def _level_of_caller():
    """The stacklevel of a warning that names the code which called plastic() or a module."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(("plasticity.", "torch.nn.modules.")):
        level, frame = level + 1, frame.f_back
    return level


def _as_constant(clamp_value):
    """clamp_value without its history. Warns if it requires a gradient."""
    if not isinstance(clamp_value, Tensor) or not clamp_value.requires_grad:
        return clamp_value
    if torch.is_grad_enabled() and not torch.compiler.is_compiling():
        warnings.warn("masks.clamp_value: expected a tensor that requires no gradient, got one that does. No gradient flows "
                      "through a clamped neuron; clamp_value.detach() avoids this warning", stacklevel=_level_of_caller())
    return clamp_value.detach()


_State = Union[State, Mapping[str, Optional[Tensor]]]
_Three = Tuple[Tensor, Optional[Tensor], State]
_Four = Tuple[Tensor, Optional[Tensor], State, Tensor]


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Tensor], *, x: Optional[Tensor] = None, u: Optional[Tensor] = None,
    pre: Optional[Tensor] = None, rate: Optional[Tensor] = None, state: Optional[_State] = None, reset: Optional[Tensor] = None,
    length: Optional[Tensor] = None, clamp: Optional[Tensor] = None, clamp_value: Optional[Tensor] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: Literal[False] = False,
) -> _Three: ...


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Tensor], *, x: Optional[Tensor] = None, u: Optional[Tensor] = None,
    pre: Optional[Tensor] = None, rate: Optional[Tensor] = None, state: Optional[_State] = None, reset: Optional[Tensor] = None,
    length: Optional[Tensor] = None, clamp: Optional[Tensor] = None, clamp_value: Optional[Tensor] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: Literal[True],
) -> _Four: ...


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Tensor], *, x: Optional[Tensor] = None, u: Optional[Tensor] = None,
    pre: Optional[Tensor] = None, rate: Optional[Tensor] = None, state: Optional[_State] = None, reset: Optional[Tensor] = None,
    length: Optional[Tensor] = None, clamp: Optional[Tensor] = None, clamp_value: Optional[Tensor] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: bool,
) -> Union[_Three, _Four]: ...


def plastic(
    spec: Spec,
    parameters: Mapping[str, Tensor],
    *,
    x: Optional[Tensor] = None,
    u: Optional[Tensor] = None,
    pre: Optional[Tensor] = None,
    rate: Optional[Tensor] = None,
    state: Optional[_State] = None,
    reset: Optional[Tensor] = None,
    length: Optional[Tensor] = None,
    clamp: Optional[Tensor] = None,
    clamp_value: Optional[Tensor] = None,
    precision: Optional[Precision] = None,
    checkpoint_interval: int = 0,
    memory_budget: int = 0,
    execution: Execution = "automatic",
    return_preactivation: bool = False,
) -> Union[_Three, _Four]:
    """Runs a plastic cell over T steps of B samples. Returns (y [T,B,N], modulation [T,B] or None, the final State).

    return_preactivation=True returns a fourth item, the pre-activation a [T,B,N], to which the activation is applied (of an
    LSTM: that of the candidate). A loss of it, such as torch.nn.functional.cross_entropy, has a gradient even if the
    activation is saturated.

    `parameters` has the names of files: "w", "alpha", "modulator.weight". The inputs are x [T,B,I] (through w_in and b),
    u [T,B,N] (a current, added to that of x; of an LSTM [T,B,4N]), pre [T,B,I] (feed-forward) and rate [T,B,N] (external).
    An absent state, or tensor of it, is zero. reset [T,B] zeroes the state before a step; from step length[b] of length [B]
    on the outputs are zero and the state stays; if clamp [T,B,N] is set, y (of an LSTM the candidate) is clamp_value [T,B,N],
    through which no gradient flows. A mask that is not bool or uint8 (length: int64)
    is converted; a length that is not a whole number raises.

    Gradients reach inputs, parameters and the initial state, from y, the pre-activation, the final state and modulation. A
    gradient of the modulation raises if the modulator of an LSTM reads the cell state. All tensors are contiguous, on one
    device and of one type: float32, or float64 on the CPU. precision="bf16" stores the traces of the tape as bfloat16. Under
    autocast, tensors of half precision are converted to float32, and the outputs are float32. CUDA work is enqueued on the
    current stream. A tape is recorded only if a gradient may be needed; memory_budget bounds its bytes, and
    checkpoint_interval sets its K. Gradients are first derivatives in reverse mode: forward mode, second derivatives
    and transforms of torch.func but vmap raise RuntimeError. vmap makes one call after the other; a batch axis is faster.
    Raises ValueError for a wrong argument, with its name.
    """
    check_options(spec, precision, execution)
    if type(checkpoint_interval) is not int or type(memory_budget) is not int:  # 1.0 and True are equal keys of a cache
        checkpoint_interval = integer("checkpoint_interval", checkpoint_interval)
        memory_budget = integer("memory_budget", memory_budget)
    if type(parameters) is not dict:
        check_mapping("parameters", parameters)
    y0, c0, hebb0, eligibility0 = (None, None, None, None) if state is None else state_items(state)
    given = tuple([name for name, value in parameters.items() if value is not None])
    present = (
        x is not None, u is not None, pre is not None, rate is not None,
        y0 is not None, c0 is not None, hebb0 is not None, eligibility0 is not None,
        reset is not None, length is not None, clamp is not None, clamp_value is not None,
    )
    compiling = torch.compiler.is_compiling()
    call = (_prepare if compiling else _prepare_cached)(
        spec, given, present, precision == "bf16", checkpoint_interval, memory_budget, execution, return_preactivation)
    signature = call.signature
    tensors = [parameters[name] for name in call.parameters]
    tensors += [value for value in (x, u, pre, rate, y0, c0, hebb0, eligibility0) if value is not None]
    for name, value in (("reset", reset), ("length", length), ("clamp", clamp)):
        if value is not None:
            tensors.append(_mask(name, value))
    if clamp_value is not None:
        tensors.append(_as_constant(clamp_value))
    eager = not compiling and _operators.is_eager(tensors)
    if not eager:
        for name, value in zip(signature.names, tensors):
            if not isinstance(value, Tensor):
                raise bad_argument(name, "a tensor", type(value).__name__)
    device = tensors[0].device.type
    if device != "meta" and torch.is_autocast_enabled(device):
        tensors = [value.float() if value.dtype in HALVES else value for value in tensors]
    if precision is not None and tensors[0].dtype in PRECISIONS:
        check_precision(precision, f"{tensors[0].dtype} tensors", PRECISIONS[tensors[0].dtype])
    # torch.jit.trace() checks a trace without gradients, and the traced program may be trained.
    may_record = torch.is_grad_enabled() or (not compiling and torch.jit.is_tracing())
    record = may_record and any([value.requires_grad for value in tensors])
    if eager:
        results = _operators.call(signature, tensors, record)
    else:
        anchors = [] if compiling or not record else _operators.anchors_of(signature.initial_state, tensors)
        results = torch.ops.plasticity.forward(to_text(*signature), tensors, record, anchors)

    modulation = None if call.modulation is None else results[call.modulation]
    final = State(*[None if index is None else results[index] for index in call.final_state])
    if call.preactivation is not None:
        return results[0], modulation, final, results[call.preactivation]
    return results[0], modulation, final
