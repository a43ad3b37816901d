"""inotify as an alarm clock: it says early what polling would find later, and may be absent or wrong without harm."""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import struct

from tailrace.limits import WATCHES_MAX

_MODIFY, _ATTRIB, _MOVED_FROM, _MOVED_TO, _CREATE, _DELETE = 0x2, 0x4, 0x40, 0x80, 0x100, 0x200
_MOVE_SELF, _DELETE_SELF, _OVERFLOW, _IGNORED, _ONLYDIR = 0x800, 0x400, 0x4000, 0x8000, 0x1000000
_NAMES_CHANGED = _ATTRIB | _MOVED_FROM | _MOVED_TO | _CREATE | _DELETE | _MOVE_SELF | _DELETE_SELF | _OVERFLOW
_EVENT = struct.Struct("iIII")
_READ_BYTES = 64 * 1024


class Watch:
    """Watches directories. One thread uses it; ``wake`` may be called by any."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = getattr(libc, "inotify_add_watch", None)
        start = getattr(libc, "inotify_init1", None)
        self._fd = start(os.O_NONBLOCK | os.O_CLOEXEC) if start else -1
        self._alarm, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._directories: dict[int, str] = {}
        self._watched: dict[str, int] = {}
        self._poll = select.poll()
        for fd in (self._fd, self._alarm):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    def watch(self, directory: str) -> bool:
        """Have changes in a directory reported; tell whether that is possible."""
        if directory in self._watched:
            return True
        if self._fd < 0 or self._add is None or len(self._watched) >= WATCHES_MAX:
            return False
        mask = _MODIFY | _NAMES_CHANGED & ~_OVERFLOW | _ONLYDIR
        number = self._add(self._fd, os.fsencode(directory), mask)
        if number < 0:
            return False
        self._directories[number] = directory
        self._watched[directory] = number
        return True

    def wait(self, timeout_s: float) -> None:
        """Block until something was reported or ``wake`` was called, for ``timeout_s`` at most."""
        self._poll.poll(max(0.0, timeout_s) * 1000)

    def wake(self) -> None:
        """End a ``wait`` of another thread, or the next one."""
        with contextlib.suppress(BlockingIOError):  # it is full of calls already
            os.write(self._ring, b"!")

    def changes(self) -> tuple[set[str], bool]:
        """Return the paths whose content changed, and whether names changed too (or reports were lost)."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._alarm, 4096)
        paths: set[str] = set()
        names = False
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            names |= self._take(data, paths)
        return paths, names

    def _take(self, data: bytes, paths: set[str]) -> bool:
        names = False
        place = 0
        while place < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size
            name = data[place : place + length].rstrip(b"\0")
            place += length
            names |= bool(mask & _NAMES_CHANGED)
            directory = self._directories.get(number)
            if mask & _IGNORED and directory is not None:
                del self._directories[number], self._watched[directory]
            elif mask & _MODIFY and directory is not None:
                paths.add(f"{directory}/{os.fsdecode(name)}")
        return names

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in (self._fd, self._alarm, self._ring):
            if fd >= 0:
                os.close(fd)
