"""Views of NumPy arrays and of anything with __dlpack__ as tensors of the C interface, without copies."""
import ctypes

import numpy

from . import _c
from ._errors import OutOfMemory, bad_argument

DTYPES = {
    numpy.dtype("f8"): (_c.FLOAT, 64),
    numpy.dtype("f4"): (_c.FLOAT, 32),
    numpy.dtype("f2"): (_c.FLOAT, 16),
    numpy.dtype("i8"): (_c.INT, 64),
    numpy.dtype("i4"): (_c.INT, 32),
    numpy.dtype("u1"): (_c.UINT, 8),
    numpy.dtype("?"): (_c.BOOL, 8),
}
_DTYPE_NAMES = {(_c.FLOAT, 64): "float64", (_c.FLOAT, 32): "float32", (_c.FLOAT, 16): "float16", (_c.BFLOAT, 16): "bfloat16",
          (_c.INT, 64): "int64", (_c.INT, 32): "int32", (_c.UINT, 8): "uint8", (_c.BOOL, 8): "bool"}
ALIGNMENT = 64

_get_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_get_pointer.restype, _get_pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_is_valid = ctypes.pythonapi.PyCapsule_IsValid
_is_valid.restype, _is_valid.argtypes = ctypes.c_int, [ctypes.py_object, ctypes.c_char_p]
_VERSIONED_HEADER = 32  # bytes before DLTensor in DLManagedTensorVersioned; its flags are the last 8 of them
_READ_ONLY = 1


def aligned_bytes(size, name):
    """A NumPy array of `size` bytes at a multiple of 64. Raises OutOfMemory with `name`: "tape", "scratch", …"""
    try:
        room = numpy.empty(size + ALIGNMENT, numpy.uint8)
    except (MemoryError, ValueError) as error:  # ValueError: more bytes than an array can have
        hint = "; memory_budget= bounds the bytes of a tape" if name == "tape" else ""
        raise OutOfMemory(f"{name}: expected {size} bytes of memory, got none{hint}") from error
    start = -room.ctypes.data % ALIGNMENT
    return room[start : start + size]


class View:
    """A tensor of the C interface over an array; keeps the array, or its DLPack capsule, alive.

    Raises InvalidArgument with `name` for an array that would have to be copied, or that may not be written if `writable`.
    """

    __slots__ = ("tensor", "shape", "dtype", "_keep")

    def __init__(self, name, value, writable=False):
        if isinstance(value, numpy.ndarray):
            self._of_numpy(name, value, writable)
        elif hasattr(value, "__dlpack__"):
            self._of_dlpack(name, value, writable)
        else:
            raise bad_argument(
                name, "a NumPy array or an object with __dlpack__", f"{type(value).__name__}; numpy.asarray() makes an array"
            )
        tensor = self.tensor
        self.shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
        self.dtype = _DTYPE_NAMES.get((tensor.dtype.code, tensor.dtype.bits), f"type {tensor.dtype.code}.{tensor.dtype.bits}")

    @property
    def pointer(self):
        return (self.tensor.data or 0) + self.tensor.byte_offset or None

    @property
    def bytes(self):
        count = self.tensor.dtype.bits // 8
        for size in self.shape:
            count *= size
        return count

    def _of_numpy(self, name, array, writable):
        if isinstance(array, numpy.ma.MaskedArray):
            raise bad_argument(name, "an array without a mask", "a masked array; its filled() makes one")
        if array.dtype not in DTYPES:
            raise bad_argument(f"{name}.dtype", "one of " + ", ".join(str(each) for each in DTYPES), str(array.dtype))
        if not array.flags.c_contiguous:
            raise bad_argument(
                name, "a dense row-major array",
                f"strides {array.strides} for shape {array.shape}; numpy.ascontiguousarray() makes a copy that is one",
            )
        if writable and not array.flags.writeable:
            raise bad_argument(name, "an array that may be written", "a read-only one; numpy.array() makes a copy that may be")
        code, bits = DTYPES[array.dtype]
        shape = (ctypes.c_int64 * max(array.ndim, 1))(*array.shape)
        self._keep = (array, shape)
        self.tensor = _c.Tensor(
            array.ctypes.data, _c.Device(_c.CPU, 0), array.ndim, _c.DType(code, bits, 1), shape, None, 0
        )

    def _of_dlpack(self, name, value, writable):
        if hasattr(value, "is_neg") and value.is_neg():  # PyTorch exports its memory without the sign
            raise bad_argument(name, "a tensor without the negative bit", "one with it; `.resolve_neg()` makes a copy that is one")
        try:
            capsule = _capsule_of(value)
        except (BufferError, RuntimeError, TypeError, ValueError) as error:
            raise bad_argument(name, "an array that exports its memory through DLPack", str(error)) from error
        if _is_valid(capsule, b"dltensor_versioned"):
            address = _get_pointer(capsule, b"dltensor_versioned") + _VERSIONED_HEADER
            if writable and ctypes.c_uint64.from_address(address - 8).value & _READ_ONLY:
                raise bad_argument(name, "an array that may be written", "a read-only one")
        else:
            address = _get_pointer(capsule, b"dltensor")
        # The capsule is not renamed: it stays the owner, and releases the memory when it is destroyed.
        self.tensor = _c.Tensor.from_address(address)
        self._keep = (value, capsule)


def _capsule_of(value):
    arguments = {"max_version": (1, 0)}
    if value.__dlpack_device__()[0] == _c.CUDA:
        arguments["stream"] = 1  # the order of streams is the caller's
    try:
        return value.__dlpack__(**arguments)
    except TypeError:  # an exporter from before version 1.0 of DLPack
        arguments.pop("max_version")
        return value.__dlpack__(**arguments)
