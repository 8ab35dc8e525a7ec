"""Large tapes and scratch memory on the CPU, used again from call to call.

The C library's allocator returns large blocks to the system at once. A new block costs a page fault for every 4 KB, which
takes longer than a forward pass. So a few free blocks are kept here. A block returns when PyTorch frees its storage.
"""
import threading
import weakref

import torch

from .._tensors import aligned_bytes

MIN_BYTES = 1 << 20  # PyTorch's allocator serves smaller blocks well
MAX_BLOCKS = 4  # free blocks that are kept
_free, _lock = [], threading.RLock()  # a finalizer may run inside take()


def take(size: int, name: str) -> torch.Tensor:
    """A tensor of `size` bytes, 64-byte aligned, with undefined content. Raises OutOfMemory with `name`."""
    block = None
    with _lock:
        for k, each in enumerate(_free):
            if size <= each.size <= 2 * size:
                block = _free.pop(k)
                break
    if block is None:
        block = aligned_bytes(size, name)
    view = block[:size]
    weakref.finalize(view, _give_back, block).atexit = False
    return torch.from_numpy(view)  # its storage keeps the view alive


def _give_back(block):
    with _lock:
        _free.append(block)
        del _free[:-MAX_BLOCKS]


def release() -> None:
    """Frees the blocks that are kept."""
    with _lock:
        _free.clear()
