"""Differentiable plastic networks in JAX: plastic(), usable under jit, grad and vmap."""
try:
    import jax as _jax
except ImportError as error:
    raise ImportError("plasticity.jax needs JAX: pip install jax") from error

from .._plan import State
from .._spec import Spec
from ._functional import plastic

__all__ = ["Spec", "State", "plastic"]
