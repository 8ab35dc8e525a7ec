"""The operators plasticity::forward and plasticity::backward, and their derivatives.

torch.compile and everything else that traces sees the operators. An eager call goes past PyTorch's dispatcher, which
would take longer than a small network: `_Plastic` makes the same calls.
"""
from typing import List, Optional, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from ._network import TRANSFORM, Network, from_text

# The tensors that backward reads: those of forward without the initial state, the tape, and y if there is a modulator.
# It gets anchors so that autograd finds a second derivative with respect to an initial state, which it then refuses.
_SCHEMAS = """
forward(str network, Tensor[] tensors, bool record, Tensor[] anchors) -> Tensor[]
backward(str network, Tensor[] kept, Tensor tape, Tensor?[] upstream, bool[] wanted, Tensor? y, Tensor[] anchors) -> Tensor[]
"""
_library = torch.library.Library("plasticity", "DEF")
for _schema in _SCHEMAS.strip().splitlines():
    _library.define(_schema, tags=(torch.Tag.needs_fixed_stride_order, torch.Tag.pt2_compliant_tag))


def _forward(network, tensors, record, anchors):
    # Zeros, since an operator's output has no undefined bytes: a tape has padding that no kernel writes.
    outputs, tape = from_text(network).program(tensors, torch.get_num_threads()).forward(tensors, record, True)
    return [*outputs, tape]


def _backward(network, kept, tape, upstream, wanted, y, anchors):
    program = _program_of_kept(from_text(network), kept)
    results = program.backward(kept, tape, upstream, wanted, y)
    empty = tape.new_empty(0, dtype=program.dtype)
    return [empty.clone() if result is None else result for result in results]


def _program_of_kept(network: Network, kept):
    from ._network import _program

    names = [name for name in network.names if not name.startswith("initial_state.")]
    steps, batch = network._replace(names=tuple(names)).sizes(kept)
    return _program(network, steps, batch, kept[0].dtype, kept[0].device, torch.get_num_threads())


def _forward_fake(network, tensors, record, anchors):
    program = from_text(network).program(tensors, torch.get_num_threads())
    first = tensors[0]
    outputs = [first.new_empty(shape) for shape in program.results]
    return [*outputs, first.new_empty(program.tape_bytes if record else 0, dtype=torch.uint8)]


def _backward_fake(network, kept, tape, upstream, wanted, y, anchors):
    program = _program_of_kept(from_text(network), kept)
    return [
        kept[0].new_empty(shape if want and not name.startswith("masks.") else 0)
        for want, name, (shape, _) in zip(wanted, program.network.names, program.wanted)
    ]


for _key in ("CPU", "CUDA"):
    _library.impl("forward", _forward, _key)
    _library.impl("backward", _backward, _key)
torch.library.register_fake("plasticity::forward", _forward_fake, lib=_library)
torch.library.register_fake("plasticity::backward", _backward_fake, lib=_library)

_TWICE = (
    "plasticity: expected a first derivative, got a derivative of the gradient of plastic(); the library computes first "
    "derivatives only, so create_graph=True cannot go through it"
)


# ---- Autograd for the operators.
def _setup_forward(ctx, inputs, output):
    network, tensors, record, anchors = inputs
    ctx.network, ctx.record, ctx.anchors = network, record, len(anchors)
    described = from_text(network)
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[-1])
    if record:
        kept = [tensor for name, tensor in zip(described.names, tensors) if not name.startswith("initial_state.")]
        y = [output[0]] if described.spec.has_modulator else []
        ctx.save_for_backward(*anchors, *kept, output[-1], *y)


def _autograd_forward(ctx, upstream):
    upstream = list(upstream[:-1])
    described = from_text(ctx.network)
    if not ctx.record:
        raise RuntimeError("plasticity: expected record=True in a forward pass that is differentiated, got False")
    wanted = list(ctx.needs_input_grad[1]) if isinstance(ctx.needs_input_grad[1], (list, tuple)) else [
        ctx.needs_input_grad[1]] * len(described.names)
    if all(each is None for each in upstream):
        return None, [None] * len(described.names), None, [None] * ctx.anchors
    saved = list(ctx.saved_tensors)
    anchors, saved = saved[: ctx.anchors], saved[ctx.anchors :]
    y = saved.pop() if described.spec.has_modulator else None
    tape = saved.pop()
    results = torch.ops.plasticity.backward(ctx.network, saved, tape, upstream, wanted, y, anchors)
    grads = [
        result if want and not name.startswith("masks.") else None
        for result, want, name in zip(results, wanted, described.names)
    ]
    return None, grads, None, [None] * ctx.anchors


def _refuse(ctx, *_):
    raise RuntimeError(_TWICE)


torch.library.register_autograd("plasticity::forward", _autograd_forward, setup_context=_setup_forward, lib=_library)
torch.library.register_autograd("plasticity::backward", _refuse, lib=_library)


# ---- Autograd for eager calls.
class _Plastic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, program_and_anchors, *tensors):
        program, anchors = program_and_anchors
        outputs, tape = program.forward(tensors, True)
        ctx.program = program
        ctx.set_materialize_grads(False)
        y = outputs[:1] if program.has_modulation else ()
        ctx.save_for_backward(*[tensors[k] for k in program.kept], tape, *y, *anchors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *upstream):
        program, saved = ctx.program, list(ctx.saved_tensors)
        anchors = [saved.pop() for _ in range(len(saved) - program.saved)] if program.initial else ()
        wanted = ctx.needs_input_grad[1:]
        y = saved.pop() if program.has_modulation else None
        tape = saved.pop()
        if torch.is_grad_enabled():  # create_graph=True
            with torch.no_grad():
                results = program.backward(saved, tape, upstream, wanted, y)
            given = [each for each in upstream if each is not None]
            return (None, *_Once.apply(len(results), *results, *given, *saved, *anchors))
        return (None, *program.backward(saved, tape, upstream, wanted, y))


def anchors_of(initial: Sequence[int], tensors: Sequence[Tensor]) -> List[Tensor]:
    """An empty tensor with the history of each initial state that requires a gradient.

    Backward does not read the initial state. If it kept one, its memory would stay, and it could not be changed in place.
    """
    return [torch.narrow_copy(tensors[k], 0, 0, 0) for k in initial if tensors[k].requires_grad and tensors[k].dim()]


class _Once(torch.autograd.Function):
    """Hands gradients through, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx, count, *tensors):
        ctx.set_materialize_grads(False)
        return tuple(None if each is None else each.view_as(each) for each in tensors[:count])

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(_TWICE)


_stack_size = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_in_transform = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
_FORWARD_MODE = (
    "plastic: expected reverse mode, got a tensor with a tangent of forward-mode AD; use torch.autograd.grad, or "
    "torch.autograd.functional.vjp"
)


def is_eager(tensors: Sequence[Tensor]) -> bool:
    """Whether nothing traces or intercepts this call, so that the dispatcher is not needed.

    Raises RuntimeError for forward mode, which the library does not have.
    """
    if forward_ad._current_level >= 0:
        if _in_transform():
            raise RuntimeError(TRANSFORM)
        for tensor in tensors:
            if isinstance(tensor, Tensor) and forward_ad.unpack_dual(tensor).tangent is not None:
                raise RuntimeError(_FORWARD_MODE)
    if _stack_size() or torch._C._get_tracing_state() is not None:
        return False
    for tensor in tensors:
        kind = type(tensor)
        if kind is not Parameter and (kind is not Tensor or tensor.is_neg()):
            return False
    return tensors[0].device.type != "meta"


def call(network: Network, tensors: List[Tensor], record: bool) -> Sequence[Tensor]:
    """The outputs of an eager call. Raises RuntimeError for torch.func transforms, which the library does not have."""
    try:
        program = network.program(tensors, torch.get_num_threads())
        if record:
            return _Plastic.apply((program, anchors_of(program.initial, tensors) if program.initial else ()), *tensors)
        return program.forward(tensors, False)[0]
    except RuntimeError as error:
        if _in_transform():
            raise RuntimeError(TRANSFORM) from error
        raise
