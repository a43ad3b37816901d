"""Pushes that wait on disk for a server.

    SPOOL/PID-RANDOM/owner                      locked while its process lives
    SPOOL/PID-RANDOM/TIME_NS-COUNT-KEY.gz       the body of one push: gzip of COUNT JSON lines; KEY its idempotency key

A file is complete when it has its name (it is written under another and renamed), and is removed when the server has
acknowledged it; a crash in between sends it twice under the same key, which the server stores once. A process takes
over the directories of those that are gone. The bound is on the bytes of one process, a push counted as the blocks of a
disk that it takes: what does not fit is refused.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import deque
from typing import NamedTuple

from tailrace_sdk.limits import BLOCK_BYTES
from tailrace_sdk.lock import try_lock


class Waiting(NamedTuple):
    """A push on disk."""

    path: str
    lines: int
    key: str
    bytes: int


class Spool:
    """The spool of one process. Belongs to one thread at a time."""

    def __init__(self, directory: str, bytes_max: int) -> None:
        self._root = os.path.abspath(os.path.expanduser(directory))
        self._bytes_max = bytes_max
        self._own = ""
        self._owner = -1
        self.waiting: deque[Waiting] = deque()
        self.bytes = 0

    def add(self, body: bytes, count: int, key: str) -> bool:
        """Keep a push behind all others; False when the spool is full. Raises OSError."""
        size = _on_disk(len(body))
        if self.bytes + size > self._bytes_max:
            return False
        self._open()
        path = os.path.join(self._own, f"{time.time_ns():020d}-{count}-{key}.gz")
        part = path + ".part"
        try:
            with open(part, "wb") as file:
                file.write(body)
            os.rename(part, path)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(part)
            raise
        self.waiting.append(Waiting(path, count, key, size))
        self.bytes += size
        return True

    def remove(self, done: Waiting) -> None:
        """Forget the oldest push."""
        self.waiting.remove(done)
        self.bytes -= done.bytes
        with contextlib.suppress(OSError):
            os.unlink(done.path)

    def adopt(self) -> int:
        """Take over what processes that are gone have left; return how many lines."""
        found: list[Waiting] = []
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(self._root):
                place = os.path.join(self._root, name)
                if place != self._own and os.path.isdir(place):
                    found += self._adopt(place)
        if found:
            self.waiting = deque(sorted([*self.waiting, *found], key=lambda one: os.path.basename(one.path)))
            self.bytes += sum(one.bytes for one in found)
        return sum(one.lines for one in found)

    def close(self) -> None:
        """Let others take over what is left; an empty directory is removed."""
        if self._owner < 0:
            return
        if not self.waiting:
            _remove(self._own)
        os.close(self._owner)
        self._own, self._owner = "", -1

    def after_fork(self) -> None:
        """Leave everything to the parent, whose lock the child must not hold."""
        if self._owner >= 0:
            os.close(self._owner)
        self._own, self._owner = "", -1
        self.waiting = deque()
        self.bytes = 0

    def _open(self) -> None:
        if self._owner >= 0:
            return
        own = os.path.join(self._root, f"{os.getpid()}-{os.urandom(4).hex()}")
        os.makedirs(own, mode=0o700)
        self._owner = os.open(os.path.join(own, "owner"), os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        try_lock(self._owner)
        self._own = own

    def _adopt(self, place: str) -> list[Waiting]:
        """Return the pushes of a directory whose process is gone, moved into our own."""
        owner = -1
        try:
            owner = os.open(os.path.join(place, "owner"), os.O_RDWR)
            if not try_lock(owner):
                return []
            names = sorted(name for name in os.listdir(place) if name.endswith(".gz"))
            if names:
                self._open()
            moved = [one for one in (self._move(place, name) for name in names) if one]
            _remove(place)
        except OSError:
            return []
        else:
            return moved
        finally:
            if owner >= 0:
                os.close(owner)

    def _move(self, place: str, name: str) -> Waiting | None:
        path = os.path.join(self._own, name)
        _, count, key = name[: -len(".gz")].split("-", 2)
        os.rename(os.path.join(place, name), path)
        return Waiting(path, int(count), key, _on_disk(os.stat(path).st_size))


def _on_disk(size: int) -> int:
    return -(-size // BLOCK_BYTES) * BLOCK_BYTES


def _remove(directory: str) -> None:
    """Remove a directory of a spool, and what a crash left in it."""
    with contextlib.suppress(OSError):
        for name in os.listdir(directory):
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
