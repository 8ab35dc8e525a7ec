"""Finds and loads the shared libraries.

They are looked for in the folder that PLASTICITY_LIBRARY_DIR names, otherwise in the package. The CUDA library is
loaded when a CUDA device is first used: a program that uses the CPU needs no CUDA.
"""
import ctypes
import glob
import os
import pathlib
import re
import sys
import threading

from . import _c
from ._errors import DeviceUnavailable, error_of

_lock = threading.Lock()
_cuda = None  # the loaded library, or the text that says why there is none


def folder():
    """The folder of the libraries."""
    chosen = os.environ.get("PLASTICITY_LIBRARY_DIR")
    return pathlib.Path(chosen) if chosen else pathlib.Path(__file__).resolve().parent


def _load_core():
    path = folder() / "libplasticity.so"
    try:
        # Global, so that the CUDA and XLA libraries find its symbols under any name of the file.
        library = _c.declare(ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL))
    except OSError as error:
        raise ImportError(
            f"plasticity: expected the shared library at {path}, got: {error}. Install the package with "
            "`pip install .`, or set PLASTICITY_LIBRARY_DIR to a folder with libplasticity.so"
        ) from error
    except AttributeError as error:
        raise ImportError(f"plasticity: {path} does not fit this package: {error}") from error
    return library


lib = _load_core()


def check(status):
    """Raises the exception for a status that is not OK."""
    if status:
        raise error_of(status, lib.plasticity_last_error().decode())


def version():
    """The version of the loaded library."""
    return lib.plasticity_version().decode()


def build_of(path):
    """A word that differs between two builds of a library: the time and the size of its file."""
    file = os.stat(path)
    return f"{file.st_mtime_ns:x}-{file.st_size:x}"


def _preload_cublas(path):
    """Loads cuBLAS from the first of its usual folders: the loader's own paths, Python's nvidia packages, a CUDA toolkit."""
    major = _cublas_major(path)
    folders = [None]
    for entry in sys.path:
        for package in (f"nvidia/cu{major}/lib", "nvidia/cublas/lib"):
            folders += glob.glob(os.path.join(entry or ".", package))
    for home in (os.environ.get("CUDA_HOME"), os.environ.get("CUDA_PATH"), "/usr/local/cuda"):
        if home:
            folders += [os.path.join(home, "lib64"), os.path.join(home, "targets/x86_64-linux/lib")]
    for each in folders:
        try:
            for name in ("libcublasLt.so", "libcublas.so"):
                file = f"{name}.{major}"
                ctypes.CDLL(file if each is None else os.path.join(each, file), mode=ctypes.RTLD_GLOBAL)
            return
        except OSError:
            continue


def _cublas_major(path):
    """The major version of the cuBLAS that a library needs, from the names in its bytes; 13 if there is none."""
    try:
        match = re.search(rb"libcublas\.so\.(\d+)", path.read_bytes())
    except OSError:
        match = None
    return match[1].decode() if match else "13"


def load_cuda():
    """Loads the CUDA library once. Raises DeviceUnavailable with the reason if it cannot."""
    global _cuda
    if isinstance(_cuda, ctypes.CDLL):
        return
    with _lock:
        if _cuda is None:
            # Beside the core in a package; in a folder of its own in a build tree.
            places = [folder() / name for name in ("libplasticity_cuda.so", "cuda/libplasticity_cuda.so")]
            path = next((place for place in places if place.exists()), None)
            if path is None:
                _cuda = f"CUDA: the package was built without it, there is no {places[0]}"
            else:
                _preload_cublas(path)
                try:
                    _cuda = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
                except OSError as error:
                    _cuda = f"CUDA: expected the library {path}, got: {error}"
    if isinstance(_cuda, str):
        raise DeviceUnavailable(_cuda)


def check_device(kind, index):
    """Raises DeviceUnavailable with the reason if no plan runs on the device."""
    if kind == _c.CUDA:
        load_cuda()
    check(lib.plasticity_device_check(_c.Device(kind, index)))


def cuda_unavailable_reason():
    """Why CUDA device 0 cannot be used; None if it can."""
    try:
        check_device(_c.CUDA, 0)
    except DeviceUnavailable as error:
        return str(error)
    return None
