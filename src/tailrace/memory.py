"""What the process tells its allocator."""

from __future__ import annotations

import contextlib
import ctypes

_M_ARENA_MAX = -8  # malloc.h


def few_arenas() -> None:
    """Have threads share what glibc keeps of freed memory: an arena for each holds 40 MiB more while lines pour in."""
    with contextlib.suppress(OSError, AttributeError):  # another libc has no arenas
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)
