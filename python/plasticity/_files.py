"""Safetensors files, read and written by the library."""
import ctypes
import os
from typing import Dict, Mapping, Tuple

import numpy

from . import _c
from ._library import check, lib
from ._tensors import DTYPES, View

_NUMPY_DTYPES = {pair: dtype for dtype, pair in DTYPES.items()}


class _File:
    """Owns a file of the C interface."""

    def __init__(self, path=None):
        self.handle = ctypes.c_void_p()
        if path is None:
            check(lib.plasticity_file_create(ctypes.byref(self.handle)))
        else:
            check(lib.plasticity_file_load(os.fsencode(path), ctypes.byref(self.handle)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.plasticity_file_destroy(self.handle)


def load_file(path) -> Tuple[Dict[str, numpy.ndarray], Dict[str, str]]:
    """The tensors of a safetensors file as new arrays, and its metadata. bfloat16 is read as float32.

    Raises IOFailure if the file cannot be read, and FormatError, a ValueError, if it is not one.
    """
    with _File(path) as file:
        counts = (ctypes.c_size_t * 2)()
        check(lib.plasticity_file_counts(
            file.handle, ctypes.cast(counts, ctypes.POINTER(ctypes.c_size_t)),
            ctypes.cast(ctypes.byref(counts, ctypes.sizeof(ctypes.c_size_t)), ctypes.POINTER(ctypes.c_size_t)),
        ))
        tensors, metadata, text = {}, {}, ctypes.c_char_p()
        for index in range(counts[0]):
            check(lib.plasticity_file_tensor_name(file.handle, index, ctypes.byref(text)))
            name = text.value
            view = _c.Tensor()
            check(lib.plasticity_file_tensor(file.handle, name, ctypes.byref(view)))
            tensors[name.decode()] = _array_of(view)
        for index in range(counts[1]):
            check(lib.plasticity_file_metadata_key(file.handle, index, ctypes.byref(text)))
            key, value = text.value, ctypes.c_char_p()
            check(lib.plasticity_file_metadata(file.handle, key, ctypes.byref(value)))
            metadata[key.decode()] = value.value.decode()
        return tensors, metadata


def save_file(path, tensors: Mapping[str, numpy.ndarray], metadata: Mapping[str, str]) -> None:
    """Writes a safetensors file, completely or not at all. Raises IOFailure if it cannot be written."""
    with _File() as file:
        for name, array in tensors.items():
            check(lib.plasticity_file_set_tensor(file.handle, name.encode(), ctypes.byref(View(name, array).tensor)))
        for key, value in metadata.items():
            check(lib.plasticity_file_set_metadata(file.handle, key.encode(), str(value).encode()))
        check(lib.plasticity_file_save(file.handle, os.fsencode(path)))


def _array_of(view):
    shape = tuple(view.shape[axis] for axis in range(view.ndim))
    bfloat16 = (view.dtype.code, view.dtype.bits) == (_c.BFLOAT, 16)  # which NumPy lacks: the upper half of a float32
    dtype = numpy.dtype("u2") if bfloat16 else _NUMPY_DTYPES[(view.dtype.code, view.dtype.bits)]
    elements = int(numpy.prod(shape, dtype=numpy.int64))
    if elements == 0:
        return numpy.zeros(shape, "f4" if bfloat16 else dtype)
    raw = ctypes.string_at(view.data + view.byte_offset, elements * dtype.itemsize)
    array = numpy.frombuffer(raw, dtype).reshape(shape)
    return (array.astype("u4") << 16).view("f4") if bfloat16 else array.copy()
