"""What the process tells its allocator."""

from __future__ import annotations

import contextlib
import ctypes

import pyarrow as pa

_M_ARENA_MAX = -8  # malloc.h


def few_arenas() -> None:
    """Have threads share what glibc keeps of freed memory: an arena for each holds 40 MiB more while lines pour in."""
    with contextlib.suppress(OSError, AttributeError):  # another libc has no arenas
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def one_allocator() -> None:
    """Have columns come from where everything else does: Arrow's own pool keeps 25 MiB of what an agent has freed."""
    few_arenas()
    pa.set_memory_pool(pa.system_memory_pool())
