"""Parameters and states to start from."""
import math
from typing import Any, Dict

import numpy

from ._arguments import check_spec, integer
from ._errors import bad_argument
from ._plan import State
from ._spec import Spec


def distribution_of(spec, name):
    """The distribution from which the C++ Network draws a parameter.

    ("uniform", bound), ("normal", standard deviation) or ("constant", value).
    """
    if name.startswith("modulator") or (spec.cell == "lstm" and name in ("w_in", "b", "w", "w_gates")):
        return "uniform", 1 / math.sqrt(spec.neurons)
    if name in ("w", "alpha"):
        return "normal", 0.01
    if name == "eta":
        return "constant", 0.01
    if name.startswith("fan_out"):
        return "uniform", 1.0
    return "uniform", 1 / math.sqrt(max(spec.inputs, 1))


def _dtype_of(dtype):
    if numpy.dtype(dtype) not in (numpy.dtype("f4"), numpy.dtype("f8")):
        raise bad_argument("dtype", "float32 or float64", str(dtype))
    return numpy.dtype(dtype)


def initial_parameters(spec: Spec, seed: Any = None, *, dtype: Any = "float32") -> Dict[str, numpy.ndarray]:
    """Draws parameters as NumPy arrays by name, from the distributions of the C++ Network, but with other random numbers.

    `seed` is that of numpy.random.default_rng(): equal seeds draw equal numbers, and None draws new ones.
    plasticity.jax.plastic() takes the arrays too.
    """
    check_spec(spec)
    dtype = _dtype_of(dtype)
    random = numpy.random.default_rng(seed)
    drawn = {}
    for name, shape in spec.parameters.items():
        kind, size = distribution_of(spec, name)
        if kind == "uniform":
            drawn[name] = random.uniform(-size, size, shape).astype(dtype)
        elif kind == "normal":
            drawn[name] = random.normal(0, size, shape).astype(dtype)
        else:
            drawn[name] = numpy.full(shape, size, dtype)
    return drawn


def initial_state(spec: Spec, batch: int, *, dtype: Any = "float32") -> State:
    """The zero state of a batch, as NumPy arrays."""
    check_spec(spec)
    dtype = _dtype_of(dtype)
    return State(**{name: numpy.zeros(shape, dtype) for name, shape in spec.state_of(integer("batch", batch)).items()})
