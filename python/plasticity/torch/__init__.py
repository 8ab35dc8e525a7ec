"""Differentiable plastic networks in PyTorch.

    plastic          a plastic cell over a sequence, as a function with gradients
    PlasticRNN, PlasticLSTM, PlasticLinear   modules
    load             the module in a file
    release_memory   frees memory that is kept for later calls
"""
try:
    import torch as _torch
    from torch.utils import _pytree
except ImportError as error:
    raise ImportError("plasticity.torch needs PyTorch: pip install torch") from error

from .._plan import State
from .._spec import Spec
from ._base import PlasticModule
from ._functional import plastic
from ._memory import release_memory
from ._modules import PlasticLinear, PlasticLSTM, PlasticRNN, load

if hasattr(_torch.serialization, "add_safe_globals"):  # so that torch.load(weights_only=True) reads a State
    _torch.serialization.add_safe_globals([State, Spec])
if hasattr(_pytree, "_register_namedtuple"):  # so that torch.export.save() writes a program that returns a State
    _pytree._register_namedtuple(State, serialized_type_name="plasticity.State")

__all__ = ["PlasticLSTM", "PlasticLinear", "PlasticModule", "PlasticRNN", "Spec", "State", "load", "plastic", "release_memory"]
