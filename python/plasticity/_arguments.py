"""Checks of arguments that NumPy, PyTorch and JAX share."""
import dataclasses
from typing import Mapping

from . import _c
from ._errors import bad_argument
from ._spec import PARAMETERS, STATE, Spec

# The names of a state in arguments and in files, "hebb" and "hebb0".
_STATE_NAMES = {**{name: name for name in STATE}, **{name + "0": name for name in STATE}}
# The tensors whose shapes hold T and B.
_SEQUENCES = ("inputs.x", "inputs.u", "inputs.pre")


def integer(name, value, bits=63):
    """`value` as an int. Raises for another type, for bool, for a negative value, and for one of more bits."""
    number = value
    if type(value) is not int:  # torch.compile of PyTorch 2.4 cannot trace int.__index__()
        number = -1 if isinstance(value, bool) or not hasattr(value, "__index__") else value.__index__()
    if not 0 <= number < 1 << bits:
        raise bad_argument(name, f"an integer, at least 0 and less than 2**{bits}", repr(value))
    return number


def check_spec(spec):
    """Raises InvalidArgument for anything but a Spec."""
    if not isinstance(spec, Spec):
        raise bad_argument("spec", "a plasticity.Spec", type(spec).__name__)


def check_mapping(name, value):
    """Raises InvalidArgument for anything that has no names, such as a list. torch.nn.ParameterDict is no Mapping, but fits."""
    if not hasattr(value, "keys") or not hasattr(value, "get"):
        hint = "; its library_parameters() are one" if hasattr(value, "library_parameters") else ""
        raise bad_argument(name, "a mapping of names", type(value).__name__ + hint)


def check_options(spec, precision, execution):
    """Checks the arguments of plastic() that are neither numbers nor tensors."""
    check_spec(spec)
    if precision not in (None, "bf16", "f32", "f64"):
        raise bad_argument("precision", "bf16, f32, f64 or None", repr(precision))
    if execution not in _c.EXECUTION:
        raise bad_argument("execution", "one of " + ", ".join(_c.EXECUTION), repr(execution))


def check_precision(precision, tensors, real):
    """`tensors`: their type in words; it has the precision `real`. bf16 stores the traces of f32."""
    if precision not in (None, real) and (precision, real) != ("bf16", "f32"):
        raise bad_argument("precision", f"{real} for {tensors}", precision)


def check_parameter_names(spec, names):
    """Raises InvalidArgument for a name that no cell has. A parameter that this cell lacks is an error of the library."""
    for name in names:
        if name not in PARAMETERS:
            raise bad_argument("parameters", "names of " + ", ".join(spec.parameters), repr(name))


def spec_of_call(spec, has_w_in, has_x):
    """The spec of a call: an rnn without w_in and x takes its current u alone, so its I is 0."""
    if spec.inputs and spec.cell == "rnn" and not has_w_in and not has_x:
        return dataclasses.replace(spec, inputs=0)
    return spec


def sequence_of(names):
    """The name of the tensor whose shape holds T and B: the first of the inputs x, u and pre."""
    for name in names:
        if name in _SEQUENCES:
            return name
    raise bad_argument("inputs", "one of x, u and pre", "none")


def sequence_sizes(name, tensor):
    """(T, B) of the tensor that sequence_of() names."""
    if tensor.ndim != 3:
        raise bad_argument(f"{name}.shape", "three axes, [T,B,…]", list(tensor.shape))
    return int(tensor.shape[0]), int(tensor.shape[1])


def state_items(state, name="state"):
    """The tensors of a State, or of a mapping with its names or with those of files ("hebb0"), in the order of STATE."""
    if not isinstance(state, Mapping):
        if not isinstance(state, tuple) or len(state) != len(STATE):
            got = f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise bad_argument(name, "a State or a mapping", got)
        return state
    items = dict.fromkeys(STATE)
    for given, value in state.items():
        if given not in _STATE_NAMES:
            raise bad_argument(name, "names of " + ", ".join(STATE), repr(given))
        if value is not None:
            if items[_STATE_NAMES[given]] is not None:
                raise bad_argument(name, f"one of {_STATE_NAMES[given]} and {_STATE_NAMES[given]}0", "both")
            items[_STATE_NAMES[given]] = value
    return tuple(items.values())
