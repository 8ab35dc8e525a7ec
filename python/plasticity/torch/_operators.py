"""The operators plasticity::forward and plasticity::backward, and their derivatives.

torch.compile and everything else that traces sees the operators. An eager call goes past PyTorch's dispatcher, which
would take longer than a small network: `_Plastic` makes the same calls.
"""
from typing import List, Sequence

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn import Parameter

from .._errors import InvalidArgument
from ._program import TRANSFORM_ERROR, check_dense, program_for, program_for_backward
from ._signature import Signature, from_text, to_text

# `signature` is the text of a Signature. Backward reads the saved tensors (those of forward without the initial state), the
# tape, and y if there is a modulator. It gets the anchors of anchors_of() so that autograd finds a second derivative with
# respect to an initial state, which it then refuses.
_SCHEMAS = """
forward(str signature, Tensor[] tensors, bool record, Tensor[] anchors) -> Tensor[]
backward(str signature, Tensor[] saved, Tensor tape, Tensor?[] upstream, bool[] wanted, Tensor? y, Tensor[] anchors) -> Tensor[]
"""
_library = torch.library.Library("plasticity", "DEF")
for _schema in _SCHEMAS.strip().splitlines():
    _library.define(_schema, tags=(torch.Tag.needs_fixed_stride_order, torch.Tag.pt2_compliant_tag))


def _forward(signature, tensors, record, anchors):
    program = program_for(from_text(signature), tensors, torch.get_num_threads())
    # Zeros, since an operator's output has no undefined bytes: a tape has padding that no kernel writes.
    outputs, tape = program.forward(tensors, record, zero_tape=True)
    return [*outputs, tape]


def _backward(signature, saved, tape, upstream, wanted, y, anchors):
    program = program_for_backward(from_text(signature), saved, torch.get_num_threads())
    results = program.backward(saved, tape, upstream, wanted, y)
    empty = tape.new_empty(0, dtype=program.dtype)
    return [empty.clone() if result is None else result for result in results]


def _forward_fake(signature, tensors, record, anchors):
    program = program_for(from_text(signature), tensors, torch.get_num_threads())
    first = tensors[0]
    outputs = [first.new_empty(shape) for shape in program.output_shapes]
    return [*outputs, first.new_empty(program.tape_bytes if record else 0, dtype=torch.uint8)]


def _backward_fake(signature, saved, tape, upstream, wanted, y, anchors):
    program = program_for_backward(from_text(signature), saved, torch.get_num_threads())
    return [
        saved[0].new_empty(shape if want and not name.startswith("masks.") else 0)
        for want, name, (shape, _) in zip(wanted, program.signature.names, program.expected)
    ]


for _key in ("CPU", "CUDA"):
    _library.impl("forward", _forward, _key)
    _library.impl("backward", _backward, _key)
torch.library.register_fake("plasticity::forward", _forward_fake, lib=_library)
torch.library.register_fake("plasticity::backward", _backward_fake, lib=_library)

_SECOND_DERIVATIVE_ERROR = (
    "plasticity: expected a first derivative, got a derivative of the gradient of plastic(); the library computes first "
    "derivatives only, so create_graph=True cannot go through it"
)


# ---- Autograd for the operators.
def _setup_forward(ctx, inputs, output):
    text, tensors, record, anchors = inputs
    ctx.text, ctx.signature, ctx.record, ctx.anchors = text, from_text(text), record, len(anchors)
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[-1])
    if record:
        saved = [tensor for name, tensor in zip(ctx.signature.names, tensors) if not name.startswith("initial_state.")]
        y = [output[0]] if ctx.signature.spec.has_modulator else []
        ctx.save_for_backward(*anchors, *saved, output[-1], *y)


def _autograd_forward(ctx, upstream):
    upstream, names = list(upstream[:-1]), ctx.signature.names
    if not ctx.record:
        raise RuntimeError("plasticity: expected record=True in a forward pass that is differentiated, got False")
    if all(each is None for each in upstream):
        return None, [None] * len(names), None, [None] * ctx.anchors
    wanted = ctx.needs_input_grad[1]  # one bool per tensor, or one for all
    wanted = list(wanted) if isinstance(wanted, (list, tuple)) else [wanted] * len(names)
    saved = list(ctx.saved_tensors)
    anchors, saved = saved[: ctx.anchors], saved[ctx.anchors :]
    y = saved.pop() if ctx.signature.spec.has_modulator else None
    tape = saved.pop()
    results = torch.ops.plasticity.backward(ctx.text, saved, tape, upstream, wanted, y, anchors)
    grads = [
        result if want and not name.startswith("masks.") else None
        for result, want, name in zip(results, wanted, names)
    ]
    return None, grads, None, [None] * ctx.anchors


def _refuse(ctx, *_):
    raise RuntimeError(_SECOND_DERIVATIVE_ERROR)


torch.library.register_autograd("plasticity::forward", _autograd_forward, setup_context=_setup_forward, lib=_library)
torch.library.register_autograd("plasticity::backward", _refuse, lib=_library)


# ---- torch.func.vmap: one call per element. Gradients flow through the calls to tensors outside of vmap.
def _forward_of_batch(info, in_dims, text, tensors, record, anchors):
    signature, axes, calls = from_text(text), in_dims[1], []
    for k in range(info.batch_size):
        each = [tensor if axis is None else tensor.select(axis, k).contiguous() for tensor, axis in zip(tensors, axes)]
        record = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in each)
        anchors = anchors_of(signature.initial_state, each) if record else []
        calls.append(torch.ops.plasticity.forward(text, each, record, anchors)[:-1])
    if calls:
        outputs = [torch.stack(each) for each in zip(*calls)]
    else:
        each = [
            tensor if axis is None else tensor.new_empty(tensor.shape[:axis] + tensor.shape[axis + 1 :])
            for tensor, axis in zip(tensors, axes)
        ]
        shapes = program_for(signature, each, torch.get_num_threads()).output_shapes
        outputs = [tensors[0].new_empty((0, *shape)) for shape in shapes]
    # The tapes belong to the calls; the batch has none.
    return [*outputs, tensors[0].new_empty(0, dtype=torch.uint8)], [*(0 for _ in outputs), None]


HAS_VMAP = hasattr(torch.library, "register_vmap")  # since PyTorch 2.5
if HAS_VMAP:
    torch.library.register_vmap("plasticity::forward", _forward_of_batch, lib=_library)


def _only_vmap():
    """Whether every active transform of torch.func is vmap."""
    try:
        from torch._functorch.pyfunctorch import VmapInterpreter, retrieve_all_functorch_interpreters
    except ImportError:
        return False
    return all(isinstance(each, VmapInterpreter) for each in retrieve_all_functorch_interpreters())


# ---- Autograd for eager calls.
class _Plastic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, program_and_anchors, *tensors):
        program, anchors = program_and_anchors
        outputs, tape = program.forward(tensors, True)
        ctx.program = program
        ctx.set_materialize_grads(False)
        y = outputs[:1] if program.has_modulation else ()
        ctx.save_for_backward(*[tensors[k] for k in program.saved], tape, *y, *anchors)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *upstream):
        program, all_saved = ctx.program, ctx.saved_tensors
        count = len(program.saved)
        saved, tape, rest = all_saved[:count], all_saved[count], all_saved[count + 1 :]
        y, anchors = (rest[0], rest[1:]) if program.has_modulation else (None, rest)
        wanted = ctx.needs_input_grad[1:]
        if torch.is_grad_enabled():  # create_graph=True
            with torch.no_grad():
                results = program.backward(saved, tape, upstream, wanted, y)
            given = [each for each in upstream if each is not None]
            return (None, *_FirstDerivative.apply(len(results), *results, *given, *saved, *anchors))
        return (None, *program.backward(saved, tape, upstream, wanted, y))


def anchors_of(initial_state: Sequence[int], tensors: Sequence[Tensor]) -> List[Tensor]:
    """An empty tensor with the history of each initial state that requires a gradient. `initial_state`: their indices.

    Backward does not read the initial state. If it kept one, its memory would stay, and it could not be changed in place.
    """
    # PyTorch 2.4 has no derivative of narrow_copy().
    return [tensors[k].narrow(0, 0, 0).clone() for k in initial_state if tensors[k].requires_grad and tensors[k].dim()]


class _FirstDerivative(torch.autograd.Function):
    """Returns the first `count` tensors, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx, count, *tensors):
        ctx.set_materialize_grads(False)
        return tuple(None if each is None else each.view_as(each) for each in tensors[:count])

    @staticmethod
    def backward(ctx, *_):
        raise RuntimeError(_SECOND_DERIVATIVE_ERROR)


_stack_size = getattr(torch._C, "_len_torch_dispatch_stack", lambda: 1)
_in_transform = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)
_FORWARD_MODE_ERROR = (
    "plastic: expected reverse mode, got a tensor with a tangent of forward-mode AD; use torch.autograd.grad, or "
    "torch.autograd.functional.vjp"
)


def is_eager(tensors: Sequence[Tensor]) -> bool:
    """Whether nothing traces or intercepts this call, so that the dispatcher is not needed.

    Raises RuntimeError for forward mode, which the library does not have.
    """
    if forward_ad._current_level >= 0:
        if _in_transform():
            raise RuntimeError(TRANSFORM_ERROR)
        for tensor in tensors:
            if isinstance(tensor, Tensor) and forward_ad.unpack_dual(tensor).tangent is not None:
                raise RuntimeError(_FORWARD_MODE_ERROR)
    if _stack_size() or torch._C._get_tracing_state() is not None:
        return False
    for tensor in tensors:
        kind = type(tensor)
        if (kind is not Parameter and kind is not Tensor) or tensor.is_neg():
            return False
    return tensors[0].device.type != "meta"


def call(signature: Signature, tensors: List[Tensor], record: bool) -> Sequence[Tensor]:
    """The outputs of an eager call. Raises RuntimeError for transforms of torch.func other than vmap."""
    try:
        program = program_for(signature, tensors, torch.get_num_threads())
        if record:
            anchors = anchors_of(program.initial_state, tensors) if program.initial_state else ()
            return _Plastic.apply((program, anchors), *tensors)
        return program.forward(tensors, False)[0]
    except (RuntimeError, InvalidArgument) as error:  # a batch of tensors has no memory of its own
        if _in_transform():
            if HAS_VMAP and _only_vmap():  # the rule for a batch, _forward_of_batch, has anchors of its own
                anchors = anchors_of(signature.initial_state, tensors) if record else []
                return torch.ops.plasticity.forward(to_text(*signature), tensors, record, anchors)
            raise RuntimeError(TRANSFORM_ERROR) from error
        for name, tensor in zip(signature.names, tensors):
            check_dense(name, tensor)
        raise
