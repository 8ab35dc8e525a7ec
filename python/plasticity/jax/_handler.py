"""Registers the handlers of libplasticity_xla.so with JAX."""
import ctypes
import functools

import jax

from .._library import folder, load_cuda

TARGET = "plasticity_call"
_platforms = {"cpu": "plasticity_xla_cpu", "CUDA": "plasticity_xla_cuda"}


@functools.lru_cache(maxsize=None)
def _library():
    path = folder() / "libplasticity_xla.so"
    try:
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(f"plasticity.jax: expected the library {path}, got: {error}") from error


@functools.lru_cache(maxsize=None)
def register(platform):
    """Makes the handler known for "cpu" or "CUDA"."""
    if platform == "CUDA":
        load_cuda()
    function = getattr(_library(), _platforms[platform])
    jax.ffi.register_ffi_target(TARGET, jax.ffi.pycapsule(function), platform=platform, api_version=1)


def register_all():
    """Registers for the CPU, and for CUDA if JAX runs on it."""
    register("cpu")
    if any(device.platform in ("gpu", "cuda") for device in jax.devices()):
        register("CUDA")
