"""Safetensors files, read and written by the library."""
import ctypes
import math
import os
from typing import Dict, Mapping, Optional, Tuple

import numpy

from . import _c
from ._arguments import check_mapping
from ._errors import bad_argument
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
            check(lib.plasticity_file_load(path, ctypes.byref(self.handle)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.plasticity_file_destroy(self.handle)


def load_file(path) -> Tuple[Dict[str, numpy.ndarray], Dict[str, str]]:
    """The tensors of a safetensors file as new arrays, and its metadata. bfloat16 is read as float32.

    Raises IOFailure if the file cannot be read, and FormatError, a ValueError, if it is not one.
    """
    with _File(_path_of(path)) as file:
        counts = (ctypes.c_size_t * 2)()
        check(lib.plasticity_file_counts(
            file.handle, ctypes.cast(counts, ctypes.POINTER(ctypes.c_size_t)),
            ctypes.cast(ctypes.byref(counts, ctypes.sizeof(ctypes.c_size_t)), ctypes.POINTER(ctypes.c_size_t)),
        ))
        tensors, metadata, text = {}, {}, ctypes.c_char_p()
        nothing = View("nothing", numpy.empty(0, "u1"))
        for index in range(counts[0]):
            check(lib.plasticity_file_tensor_name(file.handle, index, ctypes.byref(text)))
            name = text.value
            view = _c.Tensor()
            check(lib.plasticity_file_tensor(file.handle, name, ctypes.byref(view)))
            tensors[name.decode()] = _copy_of(view)
            # An empty tensor takes its place, so that the file's memory is freed as the arrays grow.
            check(lib.plasticity_file_set_tensor(file.handle, name, ctypes.byref(nothing.tensor)))
        for index in range(counts[1]):
            check(lib.plasticity_file_metadata_key(file.handle, index, ctypes.byref(text)))
            key, value = text.value, ctypes.c_char_p()
            check(lib.plasticity_file_metadata(file.handle, key, ctypes.byref(value)))
            metadata[key.decode()] = value.value.decode()
        return tensors, metadata


def save_file(path, tensors: Mapping[str, numpy.ndarray], metadata: Optional[Mapping[str, str]] = None) -> None:
    """Writes a safetensors file, completely or not at all. Raises IOFailure if it cannot be written."""
    path, metadata = _path_of(path), {} if metadata is None else metadata
    check_mapping("tensors", tensors)
    check_mapping("metadata", metadata)
    with _File() as file:
        for name, array in tensors.items():
            encoded = _encoded("tensors", "names", name)
            check(lib.plasticity_file_set_tensor(file.handle, encoded, ctypes.byref(View(name, array).tensor)))
        for key, value in metadata.items():
            value = _encoded(f"metadata[{key!r}]", "a text", str(value))
            check(lib.plasticity_file_set_metadata(file.handle, _encoded("metadata", "keys", key), value))
        check(lib.plasticity_file_save(file.handle, path))


def _path_of(path):
    """A path as the bytes that the C interface takes."""
    if not isinstance(path, (str, bytes, os.PathLike)):
        raise bad_argument("path", "a str, bytes or os.PathLike", type(path).__name__)
    path = os.fsencode(path)
    if b"\0" in path:
        raise bad_argument("path", "one without NUL", repr(path))
    return path


def _encoded(argument, expected, text):
    """A text as the bytes that the C interface takes, which end at a NUL."""
    try:
        if "\0" not in text:
            return text.encode()
    except (AttributeError, TypeError, UnicodeEncodeError):
        pass
    raise bad_argument(argument, f"{expected} of UTF-8 without NUL", repr(text))


def _copy_of(view):
    """A new array with the elements of a tensor of the C interface. bfloat16, which NumPy lacks, becomes float32."""
    array = _array_of(view)
    if (view.dtype.code, view.dtype.bits) != (_c.BFLOAT, 16):
        return array.copy()
    wide = array.astype("u4")  # bfloat16 is the upper half of a float32
    wide <<= 16
    return wide.view("f4")


def _array_of(view):
    """The elements of a tensor of the C interface, in its memory. bfloat16 is seen as uint16."""
    shape = tuple(view.shape[axis] for axis in range(view.ndim))
    pair = (view.dtype.code, view.dtype.bits)
    dtype = numpy.dtype("u2") if pair == (_c.BFLOAT, 16) else _NUMPY_DTYPES[pair]
    elements = math.prod(shape)
    if elements == 0:
        return numpy.zeros(shape, dtype)
    memory = (ctypes.c_byte * (elements * dtype.itemsize)).from_address(view.data + view.byte_offset)
    return numpy.frombuffer(memory, dtype).reshape(shape)
