"""The core calls on arrays: NumPy arrays and anything with __dlpack__, in place."""
import ctypes
from typing import Any, Dict, NamedTuple

import numpy

from . import _c
from ._arguments import check_mapping, check_parameter_names, check_spec, integer, state_items
from ._calls import Options, PlanHandle
from ._errors import bad_argument
from ._library import check, lib
from ._spec import INPUTS, MASKS, PARAMETERS, STATE, Execution, Precision, Spec
from ._tensors import ALIGNMENT, View, aligned_bytes

_MASK_DTYPES = {"masks.reset": ("uint8", "bool"), "masks.clamp": ("uint8", "bool"), "masks.length": ("int64",)}


class State(NamedTuple):
    """The tensors that are carried from step to step. A tensor that the cell does not have, or that is absent, is None.

    y [B,N] (the h of an LSTM), c [B,N], hebb [B,P,N], eligibility [B,P,N].
    """

    y: Any = None
    c: Any = None
    hebb: Any = None
    eligibility: Any = None

    def detach(self) -> "State":
        """The same state without its history, for truncated backpropagation. Arrays that have none are kept."""
        return State(*(tensor.detach() if hasattr(tensor, "detach") else tensor for tensor in self))

    def to(self, *args, **kwargs) -> "State":
        """The same state on another device or of another type: tensor.to(*args, **kwargs) of every tensor."""
        return State(*(None if tensor is None else tensor.to(*args, **kwargs) for tensor in self))


class Result(NamedTuple):
    """The results of forward: y [T,B,N], modulation [T,B] or None, and the final state."""

    y: Any
    modulation: Any
    state: State


class Gradients(NamedTuple):
    """The results of backward, by the names of parameters, inputs and state."""

    parameters: Dict[str, Any]
    inputs: Dict[str, Any]
    state: State


def device_of(device: Any) -> tuple:
    """(kind, index) of "cpu", "cuda" or "cuda:1"."""
    name, _, index = str(device).partition(":")
    if name not in ("cpu", "cuda") or (index and not (index.isascii() and index.isdigit())):
        raise bad_argument("device", "cpu, cuda or cuda:INDEX", repr(device))
    return (_c.CUDA if name == "cuda" else _c.CPU, int(index or 0))


class Plan:
    """Runs one Spec, at fixed sizes, on one device: the C++ Plan on arrays.

    The arrays of a call are x [T,B,I], u [T,B,N] (of an LSTM [T,B,4N]), pre [T,B,I] and rate [T,B,N]; the masks reset [T,B],
    length [B] (int64), clamp [T,B,N] and clamp_value [T,B,N]; a State; and parameters by name, with the shapes of
    `spec.parameters`. In step(), T is 1.

    Arrays are used in place. An array that would have to be copied (for its type, layout or device) raises ValueError.
    T is `steps`, B is `batch`, K is `checkpoint_interval`; 0 lets the plan choose K and sets no memory budget. f64 runs on
    the CPU only. Results are new NumPy arrays, or those given in `out` by name ("y", "modulation",
    "final_state.hebb"; "dparameters.w", "dinputs.x", "dinitial_state.y"). The pre-activation "a" [T,B,N] is computed only
    into an array in `out`. On a CUDA device `out`, `tape` and `scratch` must be given, since the package has no arrays of its
    own there, and `stream` is a cudaStream_t as an integer.

    The memory of `tape`, `scratch` and step states is aligned at 64 bytes. On the CPU other memory is copied.

    >>> import numpy
    >>> plan = Plan(Spec(neurons=3), steps=2)
    >>> weights = {"w": numpy.zeros((3, 3), "f4"), "alpha": numpy.zeros((3, 3), "f4"), "eta": numpy.full(1, .1, "f4")}
    >>> plan.forward(weights, u=numpy.ones((2, 1, 3), "f4")).y.shape
    (2, 1, 3)
    """

    def __init__(
        self,
        spec: Spec,
        *,
        steps: int = 1,
        batch: int = 1,
        device: Any = "cpu",
        precision: Precision = "f32",
        threads: int = 0,
        checkpoint_interval: int = 0,
        memory_budget: int = 0,
        execution: Execution = "automatic",
    ) -> None:
        check_spec(spec)
        for name, value, legal in (("precision", precision, _c.PRECISION), ("execution", execution, _c.EXECUTION)):
            if value not in legal:
                raise bad_argument(name, "one of " + ", ".join(legal), repr(value))
        options = Options(
            integer("steps", steps), integer("batch", batch), precision, device_of(device), integer("threads", threads, 31),
            integer("checkpoint_interval", checkpoint_interval), integer("memory_budget", memory_budget), execution,
        )
        self.spec, self._options, self._plan = spec, options, PlanHandle(spec, options)
        self._dtype = numpy.float64 if precision == "f64" else numpy.float32

    @property
    def steps(self) -> int:
        """T."""
        return self._options.steps

    @property
    def batch(self) -> int:
        """B."""
        return self._options.batch

    @property
    def tape_bytes(self) -> int:
        """Bytes of the tape, which forward writes and backward reads."""
        return self._plan.tape_bytes

    @property
    def scratch_bytes(self) -> int:
        """Bytes of the scratch of forward, backward and step."""
        return self._plan.scratch_bytes

    @property
    def step_state_bytes(self) -> int:
        """Bytes of the step state of load, step and store."""
        return self._plan.step_state_bytes

    @property
    def checkpoint_interval(self) -> int:
        """The chosen K, at least 1."""
        return self._plan.checkpoint_interval

    @property
    def execution(self) -> str:
        """The chosen execution; automatic on the CPU."""
        return self._plan.execution

    def make_tape(self) -> numpy.ndarray:
        """A new tape in host memory, 64-byte aligned. Raises OutOfMemory, a MemoryError; `memory_budget` bounds its bytes."""
        return aligned_bytes(self.tape_bytes, "tape")

    def forward(self, parameters, *, x=None, u=None, pre=None, rate=None, state=None, reset=None, length=None, clamp=None,
                clamp_value=None, tape=None, scratch=None, out=None, stream=None) -> Result:
        """Runs T steps. Records them on `tape` for backward, if given. An absent state, or tensor of it, is zero."""
        call = _PlanCall(self, "forward", out)
        call.read_all(parameters, (x, u, pre, rate), (reset, length, clamp, clamp_value))
        call.read_state("initial_state", state)
        y, modulation = call.write_outputs()
        final = State(*(call.write(f"final_state.{name}") for name in STATE))
        call.run(tape, scratch, stream)
        return Result(y, modulation, final)

    def backward(self, parameters, tape, *, x=None, u=None, pre=None, rate=None, reset=None, length=None, clamp=None,
                 clamp_value=None, dy=None, da=None, dfinal_state=None, scratch=None, out=None, stream=None) -> Gradients:
        """Computes the gradients of the forward pass that wrote the tape.

        `dy`, `da` and `dfinal_state` are the upstream gradients; an absent one is zero. Parameters, inputs and masks are those
        of forward. Gradients of parameters are added to arrays in `out`; the others overwrite theirs.
        """
        if tape is None:
            raise bad_argument("tape", "the tape that forward wrote", "None")
        call = _PlanCall(self, "backward", out)
        call.read_all(parameters, (x, u, pre, rate), (reset, length, clamp, clamp_value))
        call.read("dy", dy)
        call.read("da", da)
        call.read_state("dfinal_state", dfinal_state)
        weights = {name: call.write(f"dparameters.{name}", zero=True) for name in self.spec.parameters}
        given = {name for name, value in zip(INPUTS, (x, u, pre, rate)) if value is not None}
        inputs = {name: call.write(f"dinputs.{name}") for name in INPUTS if name in given}
        initial = State(*(call.write(f"dinitial_state.{name}") for name in STATE))
        call.run(tape, scratch, stream)
        return Gradients(weights, inputs, initial)

    def load(self, state=None, *, step_state=None, stream=None):
        """Returns the step state, memory that holds `state` for step(). An absent tensor is zero.

        A copy() of it branches a simulation. NumPy aligns copies at 16 bytes, and step() copies memory that is not aligned at
        64 bytes twice per call. load(store(step_state)) is an aligned copy.
        """
        call = _PlanCall(self, "load", None)
        call.read_state("state", state)
        step_state = self._own("step_state", self.step_state_bytes) if step_state is None else step_state
        call.run(step_state, None, stream)
        return step_state

    def step(self, parameters, step_state, *, x=None, u=None, pre=None, rate=None, reset=None, clamp=None, clamp_value=None,
             scratch=None, out=None, stream=None):
        """Runs one step and updates the step state. Returns y [1,B,N] and modulation [1,B] or None."""
        call = _PlanCall(self, "step", out)
        call.read_all(parameters, (x, u, pre, rate), (reset, None, clamp, clamp_value))
        y, modulation = call.write_outputs()
        call.run(step_state, scratch, stream)
        return y, modulation

    def store(self, step_state, *, out=None, stream=None) -> State:
        """Returns a copy of the state in the step state."""
        call = _PlanCall(self, "store", out)
        state = State(*(call.write(f"state.{name}") for name in STATE))
        call.run(step_state, None, stream)
        return state

    def _own(self, name, size):
        if self._options.device[0] != _c.CPU:
            raise bad_argument(name, f"{size} bytes on the device, 64-byte aligned", "None")
        return aligned_bytes(size, name)


class _PlanCall:
    """One call of a Plan: its tensors are added by read() and write(), then run() makes the call."""

    def __init__(self, plan, function, out):
        self.plan, self.function = plan, function
        self.steps = plan.steps if function in ("forward", "backward") else 1
        if out is not None:
            check_mapping("out", out)
        self.out = {} if out is None else dict(out)
        self.names, self.views = [], []

    def read_all(self, parameters, inputs, masks):
        """Adds parameters by name, and inputs and masks in the order of INPUTS and MASKS; None: absent."""
        check_mapping("parameters", parameters)
        check_parameter_names(self.plan.spec, parameters)
        for name in PARAMETERS:
            self.read(f"parameters.{name}", parameters.get(name))
        for group, names, values in (("inputs", INPUTS, inputs), ("masks", MASKS, masks)):
            for name, value in zip(names, values):
                self.read(f"{group}.{name}", value)

    def read_state(self, group, state):
        for name, value in zip(STATE, () if state is None else state_items(state, group)):
            self.read(f"{group}.{name}", value)

    def read(self, name, value):
        if value is not None:
            self._add(name, View(name, value))

    def write(self, name, zero=False):
        """The array that the call writes; None if the cell has no such tensor."""
        plan = self.plan
        shape = plan.spec.shape(name, self.steps, plan.batch)
        value = self.out.pop(name, None)
        if value is None and shape is None:
            return None
        if value is None:
            if plan._options.device[0] != _c.CPU:
                raise bad_argument("out", f"an array for {name} on the device", "none")
            value = numpy.zeros(shape, plan._dtype) if zero else numpy.empty(shape, plan._dtype)
        self._add(name, View(name, value, writable=True))
        return value

    def write_outputs(self):
        """y and modulation; the pre-activation too if `out` has it."""
        if "a" in self.out:
            self.write("a")
        return self.write("y"), self.write("modulation")

    def _add(self, name, view):
        real = "float64" if self.plan._options.precision == "f64" else "float32"
        legal = _MASK_DTYPES.get(name, (real,))
        if view.dtype not in legal:
            remedy = f"astype({legal[0]!r}) makes a copy that fits"
            if legal == ("float32",) and view.dtype == "float64":
                remedy += ", and precision='f64' makes a plan for float64"
            raise bad_argument(f"{name}.dtype", " or ".join(legal), f"{view.dtype}; {remedy}")
        self.names.append(name)
        self.views.append(view)

    def run(self, memory, scratch, stream):
        """Makes the call. `memory` is the tape or the step state; None: no tape."""
        if self.out:
            raise bad_argument("out", "tensors that this call computes", ", ".join(map(repr, self.out)))
        plan = self.plan
        stream = None if stream is None else integer("stream", stream, 64)
        count = len(self.names)
        encoded = [name.encode() for name in self.names]
        arguments = (_c.Argument * max(count, 1))(
            *(_c.Argument(name, ctypes.pointer(view.tensor)) for name, view in zip(encoded, self.views))
        )
        name = "tape" if self.function in ("forward", "backward") else "step_state"
        blocks = [_MemoryBlock(plan, name, memory, *_READ_AND_WRITTEN[self.function])]
        if self.function in ("forward", "backward", "step"):
            scratch = plan._own("scratch", plan.scratch_bytes) if scratch is None else scratch
            blocks.append(_MemoryBlock(plan, "scratch", scratch, False, False))
        function = getattr(lib, "plasticity_plan_" + self.function)
        memories = [block.memory for block in blocks]
        check(function(plan._plan.handle, stream, ctypes.cast(arguments, ctypes.c_void_p), count, *memories))
        for block in blocks:
            block.finish()


# Whether a call reads and writes its tape or step state.
_READ_AND_WRITTEN = {
    "forward": (False, True), "backward": (True, False), "load": (False, True), "step": (True, True), "store": (True, False),
}


class _MemoryBlock:
    """A tape, a step state or scratch memory of a call. On the CPU, memory that is not aligned has an aligned copy."""

    def __init__(self, plan, name, value, read, written):
        self.memory, self.aligned, self.written = _c.Memory(None, 0), None, written
        if value is None:
            return
        view = View(name, value, writable=True)
        pointer = view.pointer
        if pointer and pointer % ALIGNMENT and (plan._options.device[0], view.tensor.device.kind) == (_c.CPU, _c.CPU):
            self.given = numpy.frombuffer((ctypes.c_char * view.bytes).from_address(pointer), "u1")
            self.aligned = aligned_bytes(view.bytes, name)
            if read:
                self.aligned[:] = self.given
            pointer = self.aligned.ctypes.data
        self.memory = _c.Memory(pointer, view.bytes)

    def finish(self):
        """Copies the results of the call to the memory that is not aligned."""
        if self.written and self.aligned is not None:
            self.given[:] = self.aligned
