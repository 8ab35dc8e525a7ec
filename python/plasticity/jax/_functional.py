"""plastic() for JAX: two foreign calls, and the rule that makes one the derivative of the other."""
import functools
from typing import Literal, Mapping, NamedTuple, Optional, Tuple, Union, overload

import jax
import jax.numpy as jnp
import numpy

from .. import _c
from .._arguments import (
    check_mapping,
    check_options,
    check_parameter_names,
    check_precision,
    integer,
    sequence_of,
    sequence_sizes,
    spec_of_call,
    state_items,
)
from .._calls import Options, plan_for
from .._errors import bad_argument
from .._plan import State
from .._spec import INPUTS, PARAMETERS, STATE, Execution, Precision, Spec, output_names
from ._handler import TARGET, register_all

Array = jax.Array
_PRECISIONS = {"float32": "f32", "float64": "f64"}


class _StaticArguments(NamedTuple):
    """The arguments of a call that are no arrays. Hashable, as JAX requires of static arguments."""

    spec: Spec
    options: Options
    return_preactivation: bool

    @property
    def output_names(self):
        return output_names(self.spec, self.return_preactivation)

    @property
    def dtype(self):
        return jnp.float64 if self.options.precision == "f64" else jnp.float32

    def shape(self, name):
        return self.spec.shape(name, self.options.steps, self.options.batch)


def _padded(size):
    """A multiple of 64 bytes, so that the elements of vmap stay aligned."""
    return (size + 63) // 64 * 64


def _foreign(static, function, names, arrays, results):
    """Runs "forward" or "backward" in the handler. `results`: name -> (shape, dtype); returns their arrays.

    The handler reads the numbers in the order of PlanNumber (python/xla/handler.cpp).
    """
    spec, options = static.spec, static.options
    c = spec._as_c()
    numbers = [
        c.cell, c.rule, c.rate, c.eligibility, c.alpha, c.activation, c.modulator_source, c.inputs, c.neurons,
        options.steps, options.batch, _c.PRECISION.index(options.precision), options.threads,
        options.checkpoint_interval, options.memory_budget, _c.EXECUTION.index(options.execution),
    ]
    shapes = [jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in results.values()]
    foreign = jax.ffi.ffi_call(TARGET, shapes, vmap_method="expand_dims")

    # JAX calls this derivative only if a second derivative is needed, not for a gradient under stop_gradient().
    @jax.custom_vjp
    def run(*operands):
        made = foreign(
            *operands, function=function, names=" ".join([*names, *results]), plan=numpy.array(numbers, numpy.int64),
            clip=numpy.float64(spec.clip),
        )
        return _vary(made, _axes_of(operands))

    def refuse(_, upstream):
        raise NotImplementedError(
            "plasticity: expected a first derivative, got a derivative of the gradient of plastic(); the library computes "
            "first derivatives only"
        )

    run.defvjp(lambda *operands: (run(*operands), None), refuse)
    return run(*arrays)


def _axes_of(arrays):
    """The mesh axes over which any of the arrays varies within shard_map."""
    axes = frozenset()
    for each in arrays if hasattr(jax, "typeof") else ():
        kind = jax.typeof(each)
        axes |= kind.manual_axis_type.varying if hasattr(kind, "manual_axis_type") else getattr(kind, "vma", axes)
    return axes


def _vary(arrays, axes):
    """The arrays, varying over all of these axes. shard_map then adds up the gradients of those that varied over fewer."""
    cast = functools.partial(jax.lax.pcast, to="varying") if hasattr(jax.lax, "pcast") else getattr(jax.lax, "pvary", None)
    missing = [tuple(axes - _axes_of([each])) for each in arrays]
    return [cast(each, over) if over else each for each, over in zip(arrays, missing)]


def _forward(static, floats, masks, record):
    """The outputs by name, and the tape or None."""
    real = static.dtype
    results = {name: (static.shape(name), real) for name in static.output_names}
    if record:
        results["tape"] = ((_padded(_sizes(static)[0]),), jnp.uint8)
    results["scratch"] = ((_padded(_sizes(static)[1]),), jnp.uint8)
    names, arrays = [*floats, *masks], [*floats.values(), *masks.values()]
    values = dict(zip(results, _foreign(static, "forward", names, arrays, results)))
    return {name: values[name] for name in static.output_names}, values.get("tape")


@functools.lru_cache(maxsize=1024)
def _sizes(static):
    """Bytes of tape and scratch: the maxima over the platforms of this process."""
    sizes = [(0, 0)]
    for device in {(_c.CPU, 0), static.options.device}:
        plan = plan_for(static.spec, static.options._replace(device=device))
        sizes.append((plan.tape_bytes, plan.scratch_bytes))
    return tuple(max(each) for each in zip(*sizes))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _plastic(static, floats, masks):
    return _forward(static, floats, masks, record=False)[0]


def _plastic_forward(static, floats, masks):
    floats = {name: each.value for name, each in floats.items()}
    masks = {name: each.value for name, each in masks.items()}
    outputs, tape = _forward(static, floats, masks, record=True)
    kept = {name: value for name, value in floats.items() if not name.startswith("initial_state.")}
    initial = [name for name in floats if name.startswith("initial_state.")]
    y = outputs["y"] if static.spec.has_modulator else None
    # The names of the initial state are static; empty arrays carry them.
    return outputs, (kept, {name: jnp.zeros(0) for name in initial}, masks, tape, y)


def _plastic_backward(static, residuals, upstream):
    kept, initial, masks, tape, y = residuals
    upstream = {
        name: value for name, value in upstream.items() if not isinstance(value, jax.custom_derivatives.SymbolicZero)
    }
    dmodulation = upstream.pop("modulation", None)
    parts = {}
    if dmodulation is not None:
        parts, through_y = _modulation_parts(static, kept, masks, y, dmodulation)
        upstream["y"] = upstream["y"] + through_y if "y" in upstream else through_y
    grads = {name: None for name in [*kept, *initial]}
    if upstream:
        real = static.dtype
        wanted = [name for name in grads if name != "masks.clamp_value"]
        results = {"d" + name: (static.shape(name), real) for name in wanted}
        results["scratch"] = ((_padded(_sizes(static)[1]),), jnp.uint8)
        names = [*kept, *masks, *("d" + name for name in upstream), "tape"]
        arrays = [*kept.values(), *masks.values(), *upstream.values(), tape]
        values = dict(zip(results, _foreign(static, "backward", names, arrays, results)))
        for name in wanted:
            grads[name] = values["d" + name] + parts.get(name, 0)
    return grads, {name: None for name in masks}


def _modulation_parts(static, kept, masks, y, dmodulation):
    """The parts of the gradients of v, v0 and y that a gradient of M = tanh(y v + v0) adds."""
    if static.spec.modulator_source == "cell":
        raise bad_argument(
            "modulation", "no gradient if modulator_source is cell, because the cell state of every step is not kept",
            "one; use jax.lax.stop_gradient(modulation)",
        )
    v, v0 = kept["parameters.modulator.weight"], kept["parameters.modulator.bias"]
    q = dmodulation * (1 - jnp.tanh(y @ v + v0) ** 2)
    if "masks.length" in masks:
        length = masks["masks.length"]
        length = length if length.ndim == 1 else length[:, 0]
        q = q * (jnp.arange(static.options.steps)[:, None] < length)
    parts = {"parameters.modulator.weight": jnp.einsum("tb,tbn->n", q, y), "parameters.modulator.bias": q.sum()[None]}
    return parts, q[..., None] * v


_plastic.defvjp(_plastic_forward, _plastic_backward, symbolic_zeros=True)
# An eager call is traced once per signature. Within shard_map JAX has no symbolic zeros for eager calls.
_compiled = jax.jit(_plastic, static_argnums=0)


_State = Union[State, Mapping[str, Optional[Array]]]
_Three = Tuple[Array, Optional[Array], State]
_Four = Tuple[Array, Optional[Array], State, Array]


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Array], *, x: Optional[Array] = None, u: Optional[Array] = None,
    pre: Optional[Array] = None, rate: Optional[Array] = None, state: Optional[_State] = None, reset: Optional[Array] = None,
    length: Optional[Array] = None, clamp: Optional[Array] = None, clamp_value: Optional[Array] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: Literal[False] = False,
) -> _Three: ...


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Array], *, x: Optional[Array] = None, u: Optional[Array] = None,
    pre: Optional[Array] = None, rate: Optional[Array] = None, state: Optional[_State] = None, reset: Optional[Array] = None,
    length: Optional[Array] = None, clamp: Optional[Array] = None, clamp_value: Optional[Array] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: Literal[True],
) -> _Four: ...


@overload
def plastic(
    spec: Spec, parameters: Mapping[str, Array], *, x: Optional[Array] = None, u: Optional[Array] = None,
    pre: Optional[Array] = None, rate: Optional[Array] = None, state: Optional[_State] = None, reset: Optional[Array] = None,
    length: Optional[Array] = None, clamp: Optional[Array] = None, clamp_value: Optional[Array] = None,
    precision: Optional[Precision] = None, checkpoint_interval: int = 0, memory_budget: int = 0,
    execution: Execution = "automatic", return_preactivation: bool,
) -> Union[_Three, _Four]: ...


def plastic(
    spec: Spec,
    parameters: Mapping[str, Array],
    *,
    x: Optional[Array] = None,
    u: Optional[Array] = None,
    pre: Optional[Array] = None,
    rate: Optional[Array] = None,
    state: Optional[_State] = None,
    reset: Optional[Array] = None,
    length: Optional[Array] = None,
    clamp: Optional[Array] = None,
    clamp_value: Optional[Array] = None,
    precision: Optional[Precision] = None,
    checkpoint_interval: int = 0,
    memory_budget: int = 0,
    execution: Execution = "automatic",
    return_preactivation: bool = False,
) -> Union[_Three, _Four]:
    """Runs a plastic cell over T steps of B samples. Returns (y [T,B,N], modulation [T,B] or None, the final State).

    Arguments and results are those of plasticity.torch.plastic. The gradient of clamp_value is zero, since none flows through
    a clamped neuron. float64 needs JAX's jax_enable_x64. Works under jit, grad,
    vmap and shard_map; the batch axis of the arguments is faster than vmap, which runs one sequence after the other.
    A second derivative raises NotImplementedError; jax.lax.stop_gradient() makes a gradient a constant.
    """
    check_options(spec, precision, execution)
    checkpoint_interval = integer("checkpoint_interval", checkpoint_interval)
    memory_budget = integer("memory_budget", memory_budget)
    check_mapping("parameters", parameters)
    spec = spec_of_call(spec, "w_in" in parameters, x is not None)
    check_parameter_names(spec, parameters)
    floats = _named_floats(parameters, (x, u, pre, rate), state, clamp_value)
    masks = _named_masks(reset, length, clamp)
    sequence = sequence_of(floats)
    steps, batch = sequence_sizes(sequence, floats[sequence])
    precision = _precision_of(precision, floats)
    register_all()
    gpu = jax.default_backend() in ("gpu", "cuda")
    options = Options(
        steps, batch, precision, (_c.CUDA if gpu else _c.CPU, 0), 0, checkpoint_interval, memory_budget, execution,
    )
    static = _StaticArguments(spec, options, return_preactivation)
    _check_arrays(static, floats, masks)
    if "masks.length" in masks:
        masks["masks.length"] = _int64(masks["masks.length"])
    axes = _axes_of([*floats.values(), *masks.values()])
    floats, masks = (dict(zip(each, _vary(each.values(), axes))) for each in (floats, masks))
    results = _compiled(static, floats, masks)
    final = State(**{name: results.get(f"final_state.{name}") for name in STATE})
    three = results["y"], results.get("modulation"), final
    return (*three, results["a"]) if return_preactivation else three


def _named_floats(parameters, inputs, state, clamp_value):
    """The arrays of real numbers by their full names, in the order of a call; absent ones are left out."""
    given = {"parameters." + name: parameters.get(name) for name in PARAMETERS}
    given.update({"inputs." + name: value for name, value in zip(INPUTS, inputs)})
    given.update({"initial_state." + name: value for name, value in zip(STATE, () if state is None else state_items(state))})
    given["masks.clamp_value"] = clamp_value
    return {name: jnp.asarray(value) for name, value in given.items() if value is not None}


def _named_masks(reset, length, clamp):
    """The given masks by their full names, those but the length as bool."""
    masks = {}
    for name, value in (("reset", reset), ("length", length), ("clamp", clamp)):
        if value is not None:
            value = jnp.asarray(value)
            if name == "length" and not jnp.issubdtype(value.dtype, jnp.integer):
                _check_whole(value)
            masks["masks." + name] = value if name == "length" or value.dtype == jnp.bool_ else value != 0
    return masks


def _check_whole(length):
    """Raises ValueError for lengths that are bool, and, unless they are being traced, for a fraction."""
    if length.dtype == jnp.bool_:
        raise bad_argument("masks.length.dtype", "an integer type", "bool")
    if not isinstance(length, jax.core.Tracer):
        numbers = numpy.asarray(length)  # jnp would trace the check within jit
        fractions = numbers[numbers != numpy.trunc(numbers)]
        if fractions.size:
            raise bad_argument("masks.length", "whole numbers", str(fractions[0]))


def _precision_of(precision, floats):
    """The precision of a plan for these arrays. Raises InvalidArgument if `precision` is another one."""
    first = next(iter(floats))
    dtype = str(floats[first].dtype)
    if dtype not in _PRECISIONS:
        raise bad_argument(f"{first}.dtype", "float32 or float64", dtype)
    check_precision(precision, f"{dtype} arrays", _PRECISIONS[dtype])
    return "bf16" if precision == "bf16" else _PRECISIONS[dtype]


def _check_arrays(static, floats, masks):
    """Raises InvalidArgument for an array that does not fit, and for a parameter that is missing."""
    first = next(iter(floats))
    dtype = str(floats[first].dtype)
    for name, value in {**floats, **masks}.items():
        shape = static.shape(name)
        if shape is None:
            raise bad_argument(name, "none for a cell without it", "an array")
        if value.shape != shape:
            raise bad_argument(f"{name}.shape", list(shape), list(value.shape))
        if name in floats and str(value.dtype) != dtype:
            raise bad_argument(f"{name}.dtype", f"{dtype} as of {first}", str(value.dtype))
    for name, shape in static.spec.parameters.items():
        if "parameters." + name not in floats:
            raise bad_argument(f"parameters.{name}", f"an array of shape {list(shape)}", "none")


def _int64(length):
    """Lengths as int64. If JAX has no such type: pairs of int32, low and high half, which the handler joins."""
    if jax.config.jax_enable_x64:
        return length.astype(jnp.int64)
    low = length.astype(jnp.int32)
    return jnp.stack([low, low >> 31], axis=-1)
