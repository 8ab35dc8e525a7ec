"""The operators plasticity::forward and plasticity::backward, and their derivatives.

torch.compile and everything else that traces sees the operators. An eager call goes past PyTorch's dispatcher, which
would take longer than a small network: `_Plastic` makes the same calls.
"""
from typing import List, Optional, Sequence

import torch
from torch import Tensor

from ._network import Network, from_text

# The tensors that backward reads: those of forward without the initial state, the tape, and y if there is a modulator.
_SCHEMAS = """
forward(str network, Tensor[] tensors, bool record) -> Tensor[]
backward(str network, Tensor[] kept, Tensor tape, Tensor?[] upstream, bool[] wanted, Tensor? y) -> Tensor[]
"""
_library = torch.library.Library("plasticity", "DEF")
for _schema in _SCHEMAS.strip().splitlines():
    _library.define(_schema, tags=(torch.Tag.needs_fixed_stride_order, torch.Tag.pt2_compliant_tag))


def _forward(network, tensors, record):
    # Zeros, since an operator's output has no undefined bytes: a tape has padding that no kernel writes.
    outputs, tape = from_text(network).program(tensors, torch.get_num_threads()).forward(tensors, record, True)
    return [*outputs, tape]


def _backward(network, kept, tape, upstream, wanted, y):
    program = _program_of_kept(from_text(network), kept)
    results = program.backward(kept, tape, upstream, wanted, y)
    empty = tape.new_empty(0, dtype=program.dtype)
    return [empty.clone() if result is None else result for result in results]


def _program_of_kept(network: Network, kept):
    from ._network import _program

    names = [name for name in network.names if not name.startswith("initial_state.")]
    steps, batch = network._replace(names=tuple(names)).sizes(kept)
    return _program(network, steps, batch, kept[0].dtype, kept[0].device, torch.get_num_threads())


def _forward_fake(network, tensors, record):
    program = from_text(network).program(tensors, torch.get_num_threads())
    first = tensors[0]
    outputs = [first.new_empty(shape) for shape in program.results]
    return [*outputs, first.new_empty(program.tape_bytes if record else 0, dtype=torch.uint8)]


def _backward_fake(network, kept, tape, upstream, wanted, y):
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
    network, tensors, record = inputs
    ctx.network, ctx.record = network, record
    described = from_text(network)
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[-1])
    if record:
        kept = [tensor for name, tensor in zip(described.names, tensors) if not name.startswith("initial_state.")]
        y = [output[0]] if described.spec.has_modulator else []
        ctx.save_for_backward(*kept, output[-1], *y)


def _autograd_forward(ctx, upstream):
    upstream = list(upstream[:-1])
    described = from_text(ctx.network)
    if not ctx.record:
        raise RuntimeError("plasticity: expected record=True in a forward pass that is differentiated, got False")
    wanted = list(ctx.needs_input_grad[1]) if isinstance(ctx.needs_input_grad[1], (list, tuple)) else [
        ctx.needs_input_grad[1]] * len(described.names)
    if all(each is None for each in upstream):
        return None, [None] * len(described.names), None
    saved = list(ctx.saved_tensors)
    y = saved.pop() if described.spec.has_modulator else None
    tape = saved.pop()
    results = torch.ops.plasticity.backward(ctx.network, saved, tape, upstream, wanted, y)
    grads = [
        result if want and not name.startswith("masks.") else None
        for result, want, name in zip(results, wanted, described.names)
    ]
    return None, grads, None


def _refuse(ctx, *_):
    raise RuntimeError(_TWICE)


torch.library.register_autograd("plasticity::forward", _autograd_forward, setup_context=_setup_forward, lib=_library)
torch.library.register_autograd("plasticity::backward", _refuse, lib=_library)


# ---- Autograd for eager calls.
class _Plastic(torch.autograd.Function):
    @staticmethod
    def forward(ctx, program, *tensors):
        outputs, tape = program.forward(tensors, True)
        ctx.program = program
        ctx.set_materialize_grads(False)
        y = outputs[:1] if program.has_modulation else ()
        ctx.save_for_backward(*[tensors[k] for k in program.kept], tape, *y)
        return tuple(outputs)

    @staticmethod
    def backward(ctx, *upstream):
        program, saved = ctx.program, list(ctx.saved_tensors)
        wanted = ctx.needs_input_grad[1:]
        y = saved.pop() if program.has_modulation else None
        tape = saved.pop()
        if torch.is_grad_enabled():  # create_graph=True
            with torch.no_grad():
                results = program.backward(saved, tape, upstream, wanted, y)
            return (None, *_Once.apply(len(results), *results, *[each for each in upstream if each is not None], *saved))
        return (None, *program.backward(saved, tape, upstream, wanted, y))


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
_PLAIN = (Tensor, torch.nn.Parameter)


def is_eager(tensors: Sequence[Tensor]) -> bool:
    """Whether nothing traces or intercepts this call, so that the dispatcher is not needed."""
    if _stack_size():
        return False
    for tensor in tensors:
        if type(tensor) not in _PLAIN:
            return False
    return tensors[0].device.type != "meta"


def call(network: Network, tensors: List[Tensor], record: bool) -> Sequence[Tensor]:
    """The outputs of an eager call."""
    program = network.program(tensors, torch.get_num_threads())
    if record:
        return _Plastic.apply(program, *tensors)
    return program.forward(tensors, False)[0]
