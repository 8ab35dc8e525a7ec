"""Plans, and calls on them whose argument lists are made once.

A call of the C interface takes a list of named tensors. For a plan and a set of names only the pointers change from
call to call, so the list is built once and kept. A call from Python then takes microseconds.
"""
import ctypes
import functools
from typing import NamedTuple

from . import _c
from ._library import check, check_device, lib

_DTYPES = {"f64": _c.DType(_c.FLOAT, 64, 1), "f32": _c.DType(_c.FLOAT, 32, 1), "bf16": _c.DType(_c.FLOAT, 32, 1)}
_MASK_DTYPES = {
    "masks.reset": _c.DType(_c.UINT, 8, 1),
    "masks.clamp": _c.DType(_c.UINT, 8, 1),
    "masks.length": _c.DType(_c.INT, 64, 1),
}


class Options(NamedTuple):
    """The options of a plan, besides the spec."""

    steps: int
    batch: int
    precision: str = "f32"
    device: tuple = (_c.CPU, 0)
    threads: int = 0
    checkpoint_interval: int = 0
    memory_budget: int = 0
    execution: str = "automatic"


class PlanHandle:
    """Owns a plan of the C interface. Any number of threads may use it at once."""

    def __init__(self, spec, options):
        self.spec, self.options, self.handle = spec, options, None  # the handle of the C interface
        if options.device[0] == _c.CUDA:
            check_device(*options.device)
        with_options = _c.PlanOptions(
            options.steps, options.batch, _c.Device(*options.device), options.threads,
            _c.PRECISION.index(options.precision), options.checkpoint_interval, options.memory_budget,
            _c.EXECUTION.index(options.execution),
        )
        handle = ctypes.c_void_p()
        check(lib.plasticity_plan_create(spec._as_c(), with_options, ctypes.byref(handle)))
        self.handle = handle.value
        needs, execution = _c.PlanNeeds(), ctypes.c_int()
        check(lib.plasticity_plan_needs_of(handle, ctypes.byref(needs)))
        check(lib.plasticity_plan_execution(handle, ctypes.byref(execution)))
        self.tape_bytes, self.scratch_bytes, self.step_state_bytes = needs.tape_bytes, needs.scratch_bytes, needs.step_state_bytes
        self.checkpoint_interval = needs.checkpoint_interval
        self.execution = _c.EXECUTION[execution.value]
        self._free = {}  # (function, names) -> argument lists that no call uses

    def __reduce__(self):  # a copy makes a plan of its own, because each destroys its own
        return PlanHandle, (self.spec, self.options)

    def __del__(self, destroy=lib.plasticity_plan_destroy):  # at the end of the program `lib` may be gone
        if self.handle is not None:
            destroy(self.handle)

    def call(self, function, names, pointers, stream, tape, tape_bytes, scratch, scratch_bytes):
        """Runs "forward" or "backward" with the tensors `names` at `pointers`. Raises the library's error."""
        free = self._free.setdefault((function, names), [])
        try:
            arguments = free.pop()
        except IndexError:
            arguments = _ArgumentList(self, function, names)
        for tensor, pointer in zip(arguments.tensors, pointers):
            tensor.data = pointer
        arguments.tape.data, arguments.tape.bytes = tape, tape_bytes
        arguments.scratch.data, arguments.scratch.bytes = scratch, scratch_bytes
        status = arguments.function(
            self.handle, stream, arguments.address, arguments.count, arguments.tape, arguments.scratch
        )
        free.append(arguments)
        if status:
            check(status)


class _ArgumentList:
    """The function of a call, its list of named tensors, and its memory. One call at a time may use it."""

    __slots__ = ("function", "tensors", "address", "count", "tape", "scratch", "_keep")

    def __init__(self, plan, function, names):
        spec, options = plan.spec, plan.options
        device = _c.Device(*options.device)
        self.function = getattr(lib, "plasticity_plan_" + function)
        self.count = len(names)
        self.tape, self.scratch = _c.Memory(), _c.Memory()
        array = (_c.Tensor * len(names))()
        arguments = (_c.Argument * len(names))()
        self._keep = [array, arguments]
        self.tensors = []
        for k, name in enumerate(names):
            shape = spec.shape(name, options.steps, options.batch) or ()
            sizes = (ctypes.c_int64 * max(len(shape), 1))(*shape)
            encoded = name.encode()
            self._keep += [sizes, encoded]
            tensor = array[k]
            tensor.device, tensor.ndim, tensor.shape = device, len(shape), sizes
            tensor.dtype = _MASK_DTYPES.get(name, _DTYPES[options.precision])
            arguments[k].name = encoded
            arguments[k].tensor = ctypes.pointer(tensor)
            self.tensors.append(tensor)
        self.address = ctypes.cast(arguments, ctypes.c_void_p)


@functools.lru_cache(maxsize=256)
def plan_for(spec, options):
    """The plan for a spec and Options. Plans are kept and shared."""
    return PlanHandle(spec, options)
