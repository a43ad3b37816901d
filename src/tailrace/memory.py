"""What the process tells its allocator.

A block of lines takes some megabytes for some milliseconds, again and again. Left to itself glibc gives such memory
back each time, and the kernel fills it with zeros when it is asked for again: a quarter of the CPU of reading a file.
"""

from __future__ import annotations

import contextlib
import ctypes

import pyarrow as pa

from tailrace.limits import HEAP_FREE_BYTES_MAX, HEAP_PIECE_BYTES_MAX

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8  # malloc.h


def few_arenas() -> None:
    """Have threads share what glibc keeps of freed memory, and keep enough of it for the next block.

    An arena for each thread holds 40 MiB more while lines pour in.
    """
    with contextlib.suppress(OSError, AttributeError):  # another libc has no arenas
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_MMAP_THRESHOLD, HEAP_PIECE_BYTES_MAX)
        libc.mallopt(_M_TRIM_THRESHOLD, HEAP_FREE_BYTES_MAX)


def one_allocator() -> None:
    """Have columns come from where everything else does: Arrow's own pool keeps 25 MiB of what an agent has freed."""
    few_arenas()
    pa.set_memory_pool(pa.system_memory_pool())
