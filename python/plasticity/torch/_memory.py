"""Large tapes and scratch memory on the CPU, used again from call to call.

The C library's allocator returns large blocks to the system at once. A new block costs a page fault for every 4 KB, which
takes longer than a forward pass. So a few free blocks are kept here. A block returns when PyTorch frees its storage.
Free blocks have together at most an eighth of the machine's memory: a training loop with a tape of that size reuses it,
and other programs lose little. A block that 64 requests in a row have not used is freed, since the program has changed its
sizes.
"""
import os
import threading
import weakref

import torch

from .._tensors import aligned_bytes

MIN_BYTES = 1 << 20  # PyTorch's allocator serves smaller blocks well
MAX_BLOCKS = 4  # free blocks that are kept
MAX_BYTES = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 8  # of the free blocks together
MAX_AGE = 64  # requests
_free = []  # (number of the last request before the block returned, block), the oldest first
_requests = 0
_lock = threading.RLock()  # a finalizer may run inside take()


def take(size: int, name: str) -> torch.Tensor:
    """A tensor of `size` bytes, 64-byte aligned, with undefined content. Raises OutOfMemory with `name`."""
    global _requests
    block = None
    with _lock:
        _requests += 1
        for k, (_, each) in enumerate(_free):
            if size <= each.size <= 2 * size:
                block = _free.pop(k)[1]
                break
        while _free and _requests - _free[0][0] > MAX_AGE:
            del _free[0]
    if block is None:
        block = aligned_bytes(size, name)
    view = block[:size]
    weakref.finalize(view, _give_back, block).atexit = False
    return torch.from_numpy(view)  # its storage keeps the view alive


def _give_back(block):
    if block.size > MAX_BYTES:
        return
    with _lock:
        _free.append((_requests, block))
        while len(_free) > MAX_BLOCKS or sum(each.size for _, each in _free) > MAX_BYTES:
            del _free[0]


def release_memory() -> None:
    """Frees the memory on the CPU that this package keeps for the tapes and scratch memory of later calls.

    It keeps up to four blocks of 1 MiB or more, together at most an eighth of the machine's memory. Tensors and tapes in use
    stay. On a GPU PyTorch's allocator keeps the memory: torch.cuda.empty_cache() frees it.
    """
    with _lock:
        _free.clear()
