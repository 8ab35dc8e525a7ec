"""Differentiable plastic networks in JAX: plastic(), usable under jit, grad and vmap."""
try:
    import jax as _jax
except ImportError as error:
    raise ImportError("plasticity.jax needs JAX: pip install jax") from error
try:
    from jax import ffi as _ffi  # noqa: F401
except ImportError as error:
    raise ImportError(
        f"plasticity.jax: expected JAX 0.5 or later, which Python 3.10 or later can install, got {_jax.__version__}"
    ) from error

from .._plan import State
from .._spec import Spec
from ._functional import plastic

__all__ = ["Spec", "State", "plastic"]
