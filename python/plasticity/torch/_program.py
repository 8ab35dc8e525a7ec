"""A signature for sizes, a type and a device: checks tensors, and runs a plan on their memory."""
import ctypes
import functools
import math

import torch

from .. import _c
from .._arguments import sequence_of, sequence_sizes
from .._calls import Options, plan_for
from .._errors import InvalidArgument, bad_argument
from .._tensors import ALIGNMENT
from . import _memory

PRECISIONS = {torch.float32: "f32", torch.float64: "f64"}
_MASK_DTYPES = {"masks.reset": torch.uint8, "masks.clamp": torch.uint8, "masks.length": torch.int64}
_SMALL = 1 << 16  # bytes: PyTorch fills such a tensor with one thread, and such scratch memory is kept
TRANSFORM_ERROR = (
    "plastic: expected no torch.func transform but vmap (of PyTorch 2.5) and no is_grads_batched=True, got one; use "
    "torch.autograd.grad, with torch.func.functional_call outside of a transform, or torch.autograd.functional.jacobian "
    "without vectorize"
)


def check_dense(name, tensor):
    """Raises ValueError for a sparse or nested tensor, which has no strides; returns any other."""
    if tensor.layout is not torch.strided or tensor.is_nested:
        got = "a nested tensor" if tensor.is_nested else f"layout {tensor.layout}; `.to_dense()` makes a copy that is one"
        raise bad_argument(name, "a dense tensor", got)
    return tensor


def program_for(signature, tensors, threads):
    """The program that runs a call with these tensors. Raises ValueError for one that does not fit."""
    program = program_for_backward(signature, tensors, threads)
    program.check(tensors)
    return program


def program_for_backward(signature, saved, threads):
    """The program of the forward pass that saved these tensors: all of the signature but the initial state."""
    name, place = _sequence_in(signature.names)  # the same place in `saved`: the initial state follows the inputs
    return _program(signature, *sequence_sizes(name, saved[place]), saved[0].dtype, saved[0].device, threads)


@functools.lru_cache(maxsize=4096)
def _sequence_in(names):
    """The name that sequence_of() returns, and its place."""
    name = sequence_of(names)
    return name, names.index(name)


@functools.lru_cache(maxsize=1024)
def _program(signature, steps, batch, dtype, device, threads):
    return Program(signature, steps, batch, dtype, device, threads)


def _strides(shape):
    """The strides of a dense row-major tensor of a shape."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(size, 1)
    return tuple(strides)


class Program:
    """A signature for T steps, B samples, a type and a device: its plan, the shapes of its tensors, its two calls."""

    def __init__(self, signature, steps, batch, dtype, device, threads):
        spec = signature.spec
        if dtype not in PRECISIONS:
            raise bad_argument(
                f"{signature.names[0]}.dtype", "torch.float32 or torch.float64",
                f"{dtype}; `.float()` makes a float32 copy, and precision='bf16' keeps bfloat16 traces",
            )
        if signature.bf16 and dtype != torch.float32:
            raise bad_argument("precision", "f64 for torch.float64 tensors", "bf16")
        if device.type not in ("cpu", "cuda", "meta"):
            raise bad_argument(f"{signature.names[0]}.device", "cpu or cuda", str(device))
        self.signature, self.spec, self.dtype, self.device = signature, spec, dtype, device
        self.on_gpu = device.type == "cuda"
        place = (_c.CUDA, device.index or 0) if self.on_gpu else (_c.CPU, 0)
        options = Options(
            steps, batch, "bf16" if signature.bf16 else PRECISIONS[dtype], place, 0 if self.on_gpu else threads,
            signature.checkpoint_interval, signature.memory_budget, signature.execution,
        )
        self.plan = plan_for(spec, options)
        if self.plan.execution == "graph" and signature.execution == "automatic":
            # A captured graph belongs to the addresses of one call, and PyTorch's change. step has the same bits.
            self.plan = plan_for(spec, options._replace(execution="step"))
        self.steps, self.batch = steps, batch
        self.tape_bytes, self.scratch_bytes = self.plan.tape_bytes, self.plan.scratch_bytes

        def shape(name):
            return spec.shape(name, steps, batch)

        for name in signature.names:
            if shape(name) is None:
                raise bad_argument(name, "none for a cell without it", "a tensor")
        self.expected = [(torch.Size(shape(name)), _MASK_DTYPES.get(name, dtype)) for name in signature.names]
        self.output_shapes = [shape(name) for name in signature.output_names]
        self._outputs = [(each, _strides(each)) for each in self.output_shapes]
        self._forward_names = (*signature.names, *signature.output_names)
        # Backward reads all but the initial state, which is on the tape.
        self.initial_state = signature.initial_state
        self.saved = [k for k in range(len(signature.names)) if k not in self.initial_state]  # indices
        self._saved_names = tuple(signature.names[k] for k in self.saved)
        self._upstream_names = tuple("d" + name for name in signature.output_names)
        self.has_modulation = "modulation" in signature.output_names
        self._scratch = []  # small blocks that no call uses now
        self._backward_layouts = {}  # (indices of the upstream gradients, wanted gradients) -> _backward_layout()

    def check(self, tensors):
        """Raises ValueError for the first tensor of another shape, type, device or layout."""
        device = self.device
        for tensor, (shape, dtype) in zip(tensors, self.expected):
            if (tensor.shape != shape or tensor.dtype is not dtype or tensor.device != device
                    or not tensor.is_contiguous()):
                self._raise_for(tensors)

    def _raise_for(self, tensors):
        first = self.signature.names[0]
        for name, tensor, (shape, dtype) in zip(self.signature.names, tensors, self.expected):
            if tensor.device != self.device:
                raise bad_argument(f"{name}.device", f"{self.device} as of {first}", str(tensor.device))
            if tensor.dtype is not dtype:
                raise bad_argument(f"{name}.dtype", f"{dtype}" + ("" if name.startswith("masks") else f" as of {first}"),
                                   str(tensor.dtype))
            if tuple(tensor.shape) != tuple(shape):
                raise bad_argument(f"{name}.shape", list(shape), list(tensor.shape))
            check_dense(name, tensor)
            if not tensor.is_contiguous():
                raise bad_argument(
                    name, "a contiguous tensor", f"strides {tuple(tensor.stride())} for shape {list(shape)}; "
                    "`.contiguous()` makes a copy that is one",
                )

    def _stream(self):
        return torch.cuda.current_stream(self.device).cuda_stream if self.on_gpu else None

    def _allocate(self, size, name):
        if not self.on_gpu and size >= _memory.MIN_BYTES:
            return _memory.take(size, name)
        return torch.empty_strided((size,), (1,), dtype=torch.uint8, device=self.device)

    def _take_scratch(self):
        """Scratch memory of a call, which _give_back() keeps for the next if it is small and on the CPU."""
        try:
            return self._scratch.pop()
        except IndexError:
            return self._allocate(self.scratch_bytes, "scratch")

    def _give_back(self, scratch):
        # On a GPU the next call may be on another stream.
        if not self.on_gpu and self.scratch_bytes <= _SMALL:
            self._scratch.append(scratch)

    def forward(self, tensors, record, zero_tape=False):
        """The outputs, and the tape: an empty tensor if nothing is recorded. zero_tape: its padding is zero."""
        dtype, device = self.dtype, self.device
        make = torch.empty_strided  # takes less time than torch.empty
        outputs = [make(shape, strides, dtype=dtype, device=device) for shape, strides in self._outputs]
        tape = self._allocate(self.tape_bytes if record else 0, "tape")
        if zero_tape:
            tape.zero_()
        scratch = self._take_scratch()
        pointers = [tensor.data_ptr() for tensor in tensors]
        pointers += [tensor.data_ptr() for tensor in outputs]
        self.plan.call(
            "forward", self._forward_names, pointers, self._stream(), tape.data_ptr() if record else None,
            self.tape_bytes if record else 0, scratch.data_ptr(), self.scratch_bytes,
        )
        self._give_back(scratch)
        return outputs, tape

    def backward(self, saved, tape, upstream, wanted, y=None):
        """The gradients of the tensors that `wanted` marks; None for the others.

        `saved`: the tensors of the signature without the initial state. `upstream`: a gradient or None for every output.
        `y`: that output, if the cell has a modulator.
        """
        if self.has_modulation:
            upstream = list(upstream)
            dmodulation = upstream.pop(1)
            if dmodulation is not None:
                with torch.autocast(self.device.type, enabled=False):
                    return self._backward_of_modulation(saved, tape, upstream, wanted, y, dmodulation)
        return self._backward(saved, tape, upstream, wanted)

    def _backward_layout(self, given, wanted):
        """The names of the tensors of a backward call, and (index, shape, strides, bytes to set to zero) of each gradient."""
        names, dtype = self.signature.names, self.dtype
        upstream = [name for name in self._upstream_names if name != "dmodulation"]
        gradients = []
        for k, (name, (shape, _)) in enumerate(zip(names, self.expected)):
            if wanted[k] and not name.startswith("masks."):
                # The library adds to the gradients of parameters, and writes the others.
                zeroed = math.prod(shape) * (torch.finfo(dtype).bits // 8) if name.startswith("parameters.") else 0
                gradients.append((k, shape, _strides(shape), zeroed))
        call_names = (*self._saved_names, *(upstream[k] for k in given), *("d" + names[k] for k, *_ in gradients))
        return call_names, gradients

    def _backward(self, saved, tape, upstream, wanted):
        """backward() without the gradient of the modulation, which `upstream` lacks."""
        dtype, device = self.dtype, self.device
        given, pointers = [], [tensor.data_ptr() for tensor in saved]
        alive = []  # converted gradients, whose memory the call reads
        for k, tensor in enumerate(upstream):
            if tensor is not None:
                if tensor.dtype is not dtype or not tensor.is_contiguous() or tensor.is_neg():
                    tensor = tensor.to(dtype).contiguous().resolve_neg()
                    alive.append(tensor)
                given.append(k)
                try:
                    pointers.append(tensor.data_ptr())
                except RuntimeError as error:  # a batch of tensors has no memory of its own
                    raise RuntimeError(TRANSFORM_ERROR) from error
        key = (tuple(given), tuple(wanted))
        layout = self._backward_layouts.get(key)
        if layout is None:
            layout = self._backward_layouts[key] = self._backward_layout(*key)
        call_names, gradients = layout
        results = [None] * len(wanted)
        for k, shape, strides, zeroed in gradients:
            result = torch.empty_strided(shape, strides, dtype=dtype, device=device)
            pointer = result.data_ptr()
            if zeroed:
                if self.on_gpu or zeroed <= _SMALL:
                    result.zero_()
                else:
                    # PyTorch would fill a large tensor with its own threads, which then wait actively for more work
                    # while those of the library need the processors.
                    ctypes.memset(pointer, 0, zeroed)
            results[k] = result
            pointers.append(pointer)
        if not self.on_gpu and tape.data_ptr() % ALIGNMENT:  # a hook of saved tensors returned other memory
            tape = self._allocate(self.tape_bytes, "tape").copy_(tape)
        scratch = self._take_scratch()
        self.plan.call(
            "backward", call_names, pointers, self._stream(), tape.data_ptr(), self.tape_bytes, scratch.data_ptr(),
            self.scratch_bytes,
        )
        self._give_back(scratch)
        return results

    def _backward_of_modulation(self, saved, tape, upstream, wanted, y, dmodulation):
        """As _backward(), with a gradient of M = tanh(y v + v0): its part is added to that of y, v and v0."""
        if self.spec.modulator_source == "cell":
            raise InvalidArgument(
                "modulation: expected no gradient if modulator_source is cell, because the cell state of every step is not "
                "kept, got one; use modulation.detach(), or modulator_source='hidden'"
            )
        named = dict(zip(self._saved_names, saved))
        v, v0 = named["parameters.modulator.weight"], named["parameters.modulator.bias"]
        q = dmodulation.to(self.dtype) * (1 - torch.tanh(y @ v + v0) ** 2)
        if "masks.length" in named:
            q = q * (torch.arange(self.steps, device=self.device)[:, None] < named["masks.length"])
        through_y = q.unsqueeze(-1) * v
        upstream[0] = through_y if upstream[0] is None else upstream[0] + through_y
        results = self._backward(saved, tape, upstream, wanted)
        for name, part in (("weight", lambda: torch.einsum("tb,tbn->n", q, y)), ("bias", lambda: q.sum().reshape(1))):
            k = self.signature.names.index(f"parameters.modulator.{name}")
            if results[k] is not None:
                results[k] += part()
        return results
