"""Reads .safetensors files: eight bytes of length, a JSON header, raw little-endian numbers."""
import json
import struct

import numpy

DTYPES = {"F64": "<f8", "F32": "<f4", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}


def load(path):
    """The tensors of a file (name -> array) and its metadata (name -> string)."""
    with open(path, "rb") as file:
        prefix = file.read(8)
        if len(prefix) < 8:
            raise ValueError(f"{path}: expected a .safetensors file, got {len(prefix)} bytes")
        (length,) = struct.unpack("<Q", prefix)
        header = json.loads(file.read(length))
        data = file.read()
    metadata = header.pop("__metadata__", {})
    tensors = {}
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        numbers = numpy.frombuffer(data[begin:end], dtype=DTYPES[entry["dtype"]])
        tensors[name] = numbers.reshape(entry["shape"])
    return tensors, metadata
