"""A cell and the tensors of a call: checks them, and runs plans on their memory."""
import ctypes
import functools
import math
from typing import NamedTuple, Tuple

import torch

from .. import _c
from .._calls import Options, plan_for
from .._errors import FormatError, InvalidArgument, bad_argument
from .._library import build_of, folder
from .._spec import Spec
from .._tensors import ALIGNMENT
from . import _memory

REAL = {torch.float32: "f32", torch.float64: "f64"}
_MASK_TYPES = {"masks.reset": torch.uint8, "masks.clamp": torch.uint8, "masks.length": torch.int64}
_SMALL_SCRATCH = 1 << 16  # bytes
TRANSFORM = (
    "plastic: expected no torch.func transform and no is_grads_batched=True, got one; use torch.autograd.grad, with "
    "torch.func.functional_call outside of a transform, or torch.autograd.functional.jacobian without vectorize"
)
# The tensors whose shapes hold T and B.
_SEQUENCES = ("inputs.x", "inputs.u", "inputs.pre")


class Network(NamedTuple):
    """The content of the operators' string: a spec, the options of its plans, and the names of the tensors."""

    spec: Spec
    bf16: bool
    checkpoint_interval: int
    memory_budget: int
    execution: str
    current: bool
    names: Tuple[str, ...]

    @property
    def outputs(self):
        return _outputs(self.spec, self.current)

    @property
    def initial(self):
        """The places of the tensors of the initial state."""
        return [k for k, name in enumerate(self.names) if name.startswith("initial_state.")]

    def sizes(self, tensors):
        """(T, B) of the call."""
        for name, tensor in zip(self.names, tensors):
            if name in _SEQUENCES:
                if tensor.dim() != 3:
                    raise bad_argument(f"{name}.shape", "three axes, [T,B,…]", list(tensor.shape))
                return int(tensor.shape[0]), int(tensor.shape[1])
        raise bad_argument("inputs", "one of x, u and pre", "none")

    def program(self, tensors, threads):
        """The checked call for these tensors. Raises ValueError for one that does not fit."""
        steps, batch = self.sizes(tensors)
        first = tensors[0]
        program = _program(self, steps, batch, first.dtype, first.device, threads)
        program.check(tensors)
        return program


@functools.lru_cache(maxsize=None)
def _outputs(spec, current):
    final = [f"final_state.{name}" for name in spec.state_of(1)]
    return ("y", *(["modulation"] if spec.has_modulator else []), *final, *(["a"] if current else []))


_FIELDS = ("cell", "rule", "rate", "eligibility", "alpha", "activation", "modulator_source", "inputs", "neurons", "clip")


# PyTorch keeps compiled programs on disk under a hash of their text, and they contain the size of a tape. Another build
# of the library may lay out its tape differently.
_BUILD = build_of(folder() / "libplasticity.so")


def to_text(spec, bf16, checkpoint_interval, memory_budget, execution, current, names):
    """The string that the operators take. torch.compile traces this, so it is plain string work."""
    return (
        f"{spec._text} {'bf16' if bf16 else 'real'} {checkpoint_interval} {memory_budget} "
        f"{execution} {'current' if current else 'none'} {_BUILD}: {' '.join(names)}"
    )


@functools.lru_cache(maxsize=4096)
def from_text(text):
    """The Network of such a string. Raises ValueError for any other."""
    head, colon, names = text.partition(":")
    words = head.split()
    if not colon or len(words) != len(_FIELDS) + 6:
        raise FormatError(f"network: expected a spec, five options, a build, a colon and names, got {text!r}")
    spec = Spec(*words[:7], int(words[7]), int(words[8]), float(words[9]))
    return Network(spec, words[10] == "bf16", int(words[11]), int(words[12]), words[13], words[14] == "current",
                   tuple(names.split()))


@functools.lru_cache(maxsize=1024)
def _program(network, steps, batch, dtype, device, threads):
    return Program(network, steps, batch, dtype, device, threads)


def _strides(shape):
    """Strides of a dense row-major tensor."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.insert(0, step)
        step *= max(size, 1)
    return tuple(strides)


class Program:
    """A Network for sizes, a type and a device: its plan, the shapes of its tensors, its two calls."""

    def __init__(self, network, steps, batch, dtype, device, threads):
        spec = network.spec
        if dtype not in REAL:
            raise bad_argument(
                f"{network.names[0]}.dtype", "torch.float32 or torch.float64",
                f"{dtype}; `.float()` makes a float32 copy, and precision='bf16' keeps bfloat16 traces",
            )
        if network.bf16 and dtype != torch.float32:
            raise bad_argument("precision", "f64 for torch.float64 tensors", "bf16")
        if device.type not in ("cpu", "cuda", "meta"):
            raise bad_argument(f"{network.names[0]}.device", "cpu or cuda", str(device))
        self.network, self.spec, self.dtype, self.device = network, spec, dtype, device
        self.on_gpu = device.type == "cuda"
        place = (_c.CUDA, device.index or 0) if self.on_gpu else (_c.CPU, 0)
        options = Options(
            steps, batch, "bf16" if network.bf16 else REAL[dtype], place, 0 if self.on_gpu else threads,
            network.checkpoint_interval, network.memory_budget, network.execution,
        )
        self.plan = plan_for(spec, options)
        if self.plan.execution == "graph" and network.execution == "automatic":
            # A captured graph belongs to the addresses of one call, and PyTorch's change. step has the same bits.
            self.plan = plan_for(spec, options._replace(execution="step"))
        self.steps, self.batch = steps, batch
        self.tape_bytes, self.scratch_bytes = self.plan.tape_bytes, self.plan.scratch_bytes

        def shape(name):
            return spec.shape(name, steps, batch)

        for name in network.names:
            if shape(name) is None:
                raise bad_argument(name, "none for a cell without it", "a tensor")
        self.wanted = [(torch.Size(shape(name)), _MASK_TYPES.get(name, dtype)) for name in network.names]
        self.results = [shape(name) for name in network.outputs]
        self.made = [(each, _strides(each)) for each in self.results]
        self.forward_names = (*network.names, *network.outputs)
        # Backward reads all but the initial state, which is on the tape.
        self.initial = network.initial
        self.kept = [k for k in range(len(network.names)) if k not in self.initial]
        self.kept_names = tuple(network.names[k] for k in self.kept)
        self.upstream = tuple("d" + name for name in network.outputs)
        self.has_modulation = "modulation" in network.outputs
        self.saved = len(self.kept) + 1 + self.has_modulation  # tensors that backward reads, with the tape
        self._scratch = []  # small ones that no call uses now
        self._recipes = {}  # (upstream gradients, wanted gradients) -> _recipe()

    def check(self, tensors):
        device = self.device
        for tensor, (shape, dtype) in zip(tensors, self.wanted):
            if (tensor.shape != shape or tensor.dtype is not dtype or tensor.device != device
                    or not tensor.is_contiguous()):
                self._explain(tensors)

    def _explain(self, tensors):
        first = self.network.names[0]
        for name, tensor, (shape, dtype) in zip(self.network.names, tensors, self.wanted):
            if tensor.device != self.device:
                raise bad_argument(f"{name}.device", f"{self.device} as of {first}", str(tensor.device))
            if tensor.dtype is not dtype:
                raise bad_argument(f"{name}.dtype", f"{dtype}" + ("" if name.startswith("masks") else f" as of {first}"),
                                   str(tensor.dtype))
            if tuple(tensor.shape) != tuple(shape):
                raise bad_argument(f"{name}.shape", list(shape), list(tensor.shape))
            if not tensor.is_contiguous():
                raise bad_argument(
                    name, "a contiguous tensor", f"strides {tuple(tensor.stride())} for shape {list(shape)}; "
                    "`.contiguous()` makes a copy that is one",
                )

    def _stream(self):
        return torch.cuda.current_stream(self.device).cuda_stream if self.on_gpu else None

    def _memory(self, size):
        if not self.on_gpu and size >= _memory.SMALLEST:
            return _memory.take(size)
        return torch.empty_strided((size,), (1,), dtype=torch.uint8, device=self.device)

    def _take_scratch(self):
        """Scratch memory of a call, which _give_back() keeps for the next if it is small and on the CPU."""
        try:
            return self._scratch.pop()
        except IndexError:
            return self._memory(self.scratch_bytes)

    def _give_back(self, scratch):
        # On a GPU the next call may be on another stream.
        if not self.on_gpu and self.scratch_bytes <= _SMALL_SCRATCH:
            self._scratch.append(scratch)

    def forward(self, tensors, record, zero_tape=False):
        """The outputs, and the tape: an empty tensor if nothing is recorded."""
        dtype, device = self.dtype, self.device
        make = torch.empty_strided  # takes less time than torch.empty
        outputs = [make(shape, strides, dtype=dtype, device=device) for shape, strides in self.made]
        tape = self._memory(self.tape_bytes if record else 0)
        if zero_tape:
            tape.zero_()
        scratch = self._take_scratch()
        pointers = [tensor.data_ptr() for tensor in tensors]
        pointers += [tensor.data_ptr() for tensor in outputs]
        self.plan.call(
            "forward", self.forward_names, pointers, self._stream(), tape.data_ptr() if record else None,
            self.tape_bytes if record else 0, scratch.data_ptr(), self.scratch_bytes,
        )
        self._give_back(scratch)
        return outputs, tape

    def backward(self, kept, tape, upstream, wanted, y=None):
        """The gradients of the tensors that `wanted` marks; None for the others.

        `kept`: the tensors without the initial state. `upstream`: a gradient or None for every output.
        """
        if self.has_modulation:
            upstream = list(upstream)
            through_y = upstream.pop(1)
            if through_y is not None:
                with torch.autocast(self.device.type, enabled=False):
                    return self._backward_of_modulation(kept, tape, upstream, wanted, y, through_y)
        return self._backward(kept, tape, upstream, wanted)

    def _recipe(self, given, wanted):
        """The names of a backward call, and how the tensors of its results are made."""
        names, dtype = self.network.names, self.dtype
        upstream = [name for name in self.upstream if name != "dmodulation"]
        makers = []  # (index, shape, strides, bytes to be set to zero)
        for k, (name, (shape, _)) in enumerate(zip(names, self.wanted)):
            if wanted[k] and not name.startswith("masks."):
                # The library adds to the gradients of parameters, and writes the others.
                added = math.prod(shape) * (torch.finfo(dtype).bits // 8) if name.startswith("parameters.") else 0
                makers.append((k, shape, _strides(shape), added))
        call_names = (*self.kept_names, *(upstream[k] for k in given), *("d" + names[k] for k, *_ in makers))
        return call_names, makers

    def _backward(self, kept, tape, upstream, wanted):
        dtype, device = self.dtype, self.device
        given, pointers = [], [tensor.data_ptr() for tensor in kept]
        alive = []
        for k, tensor in enumerate(upstream):
            if tensor is not None:
                if tensor.dtype is not dtype or not tensor.is_contiguous() or tensor.is_neg():
                    tensor = tensor.to(dtype).contiguous().resolve_neg()
                    alive.append(tensor)
                given.append(k)
                try:
                    pointers.append(tensor.data_ptr())
                except RuntimeError as error:  # a batch of tensors has no memory of its own
                    raise RuntimeError(TRANSFORM) from error
        key = (tuple(given), tuple(wanted))
        recipe = self._recipes.get(key)
        if recipe is None:
            recipe = self._recipes[key] = self._recipe(*key)
        call_names, makers = recipe
        results = [None] * len(wanted)
        for k, shape, strides, added in makers:
            result = torch.empty_strided(shape, strides, dtype=dtype, device=device)
            pointer = result.data_ptr()
            if added:
                if self.on_gpu:
                    result.zero_()
                else:
                    # PyTorch would fill a large tensor with its own threads, which then wait actively for more work
                    # while those of the library need the processors.
                    ctypes.memset(pointer, 0, added)
            results[k] = result
            pointers.append(pointer)
        if not self.on_gpu and tape.data_ptr() % ALIGNMENT:  # a hook of saved tensors returned other memory
            tape = self._memory(self.tape_bytes).copy_(tape)
        scratch = self._take_scratch()
        self.plan.call(
            "backward", call_names, pointers, self._stream(), tape.data_ptr(), self.tape_bytes, scratch.data_ptr(),
            self.scratch_bytes,
        )
        self._give_back(scratch)
        return results

    def _backward_of_modulation(self, kept, tape, upstream, wanted, y, dmodulation):
        """As _backward(), with a gradient of M = tanh(y v + v0): its part is added to that of y, v and v0."""
        if self.spec.modulator_source == "cell":
            raise InvalidArgument(
                "modulation: expected no gradient if modulator_source is cell, because the cell state of every step is not "
                "kept, got one; use modulation.detach(), or modulator_source='hidden'"
            )
        named = dict(zip(self.kept_names, kept))
        v, v0 = named["parameters.modulator.weight"], named["parameters.modulator.bias"]
        q = dmodulation.to(self.dtype) * (1 - torch.tanh(y @ v + v0) ** 2)
        if "masks.length" in named:
            q = q * (torch.arange(self.steps, device=self.device)[:, None] < named["masks.length"])
        through_y = q.unsqueeze(-1) * v
        upstream[0] = through_y if upstream[0] is None else upstream[0] + through_y
        results = self._backward(kept, tape, upstream, wanted)
        for name, part in (("weight", lambda: torch.einsum("tb,tbn->n", q, y)), ("bias", lambda: q.sum().reshape(1))):
            k = self.network.names.index(f"parameters.modulator.{name}")
            if results[k] is not None:
                results[k] += part()
        return results
