"""Checks of arguments that NumPy, PyTorch and JAX share."""
from typing import Mapping

from . import _c
from ._errors import bad_argument
from ._spec import STATE, Spec

_NAMES = {**{name: name for name in STATE}, **{name + "0": name for name in STATE}}


def integer(name, value, bits=63):
    """`value` as an int. Raises for another type, for bool, for a negative value, and for one of more bits."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or not 0 <= value.__index__() < 1 << bits:
        raise bad_argument(name, f"an integer, at least 0 and less than 2**{bits}", repr(value))
    return value.__index__()


def check_options(spec, precision, execution):
    """Checks the arguments of plastic() that are neither numbers nor tensors."""
    if not isinstance(spec, Spec):
        raise bad_argument("spec", "a plasticity.Spec", type(spec).__name__)
    if precision not in (None, "bf16", "f32", "f64"):
        raise bad_argument("precision", "bf16, f32, f64 or None", repr(precision))
    if execution not in _c.EXECUTION:
        raise bad_argument("execution", "one of " + ", ".join(_c.EXECUTION), repr(execution))


def check_precision(precision, tensors, real):
    """`tensors`: their type in words; it has the precision `real`. bf16 stores the traces of f32."""
    if precision not in (None, real) and (precision, real) != ("bf16", "f32"):
        raise bad_argument("precision", f"{real} for {tensors}", precision)


def state_items(state, name="state"):
    """The tensors of a State, or of a mapping with its names or with those of files ("hebb0"), in the order of STATE."""
    if not isinstance(state, Mapping):
        if not isinstance(state, tuple) or len(state) != len(STATE):
            got = f"a tuple of {len(state)}" if isinstance(state, tuple) else type(state).__name__
            raise bad_argument(name, "a State or a mapping", got)
        return state
    items = dict.fromkeys(STATE)
    for given, value in state.items():
        if given not in _NAMES:
            raise bad_argument(name, "names of " + ", ".join(STATE), repr(given))
        if value is not None:
            if items[_NAMES[given]] is not None:
                raise bad_argument(name, f"one of {_NAMES[given]} and {_NAMES[given]}0", "both")
            items[_NAMES[given]] = value
    return tuple(items.values())
