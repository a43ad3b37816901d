"""A lock between processes: an flock on a file, let go by the kernel when its process dies.

Without `fcntl` (Windows) there is none: give each process a prefix of its own there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

try:
    import fcntl
except ImportError:  # pragma: no cover
    fcntl = None  # type: ignore[assignment]

_held: set[int] = set()
"""Descriptors of locks that are held now; a child that is forked meanwhile shares the lock until it closes them."""


def try_lock(fd: int) -> bool:
    """Take the lock of an open file, if nobody has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(path: str, seconds: float) -> Iterator[None]:
    """Hold the lock of a path inside the block. Raises BlockingIOError when another process keeps it longer."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    _held.add(fd)
    try:
        deadline = time.monotonic() + seconds
        pause = 0.0001
        while not try_lock(fd):
            if time.monotonic() > deadline:
                raise BlockingIOError(11, "another process holds the lock", path)
            time.sleep(pause)
            pause = min(pause * 2, 0.005)
        yield
    finally:
        # Said, not left to close(): a child that was forked meanwhile has the same open file.
        if fcntl is not None:
            fcntl.flock(fd, fcntl.LOCK_UN)
        _held.discard(fd)
        os.close(fd)


def _let_go() -> None:
    """Close in a child what its parent held; else the lock of a parent that is killed would stay with the child."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go)
