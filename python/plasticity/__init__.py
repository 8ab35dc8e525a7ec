"""Differentiable plastic networks: the library's core on arrays. plasticity.torch and plasticity.jax differentiate it.

    Spec    a plastic cell: its equations and sizes
    Plan    its forward and backward pass, and single steps, on NumPy arrays and anything with __dlpack__
    initial_parameters, initial_state   arrays to start from
    load_file, save_file   safetensors files
"""
from ._errors import (
    CommunicationError,
    DeviceUnavailable,
    Error,
    FormatError,
    InternalError,
    InvalidArgument,
    InvalidSpec,
    IOFailure,
    OutOfMemory,
    Unsupported,
)
from ._files import load_file, save_file
from ._initial import initial_parameters, initial_state
from ._library import cuda_unavailable_reason, version
from ._plan import Gradients, Plan, Result, State
from ._spec import Spec

__version__ = version()
__all__ = [
    "CommunicationError",
    "DeviceUnavailable",
    "Error",
    "FormatError",
    "Gradients",
    "IOFailure",
    "InternalError",
    "InvalidArgument",
    "InvalidSpec",
    "OutOfMemory",
    "Plan",
    "Result",
    "Spec",
    "State",
    "Unsupported",
    "cuda_unavailable_reason",
    "initial_parameters",
    "initial_state",
    "load_file",
    "save_file",
    "version",
]
