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
_LOCAL = {
    *(0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x2FC12FC1, 0xCA451A4E),  # ext, XFS, Btrfs, F2FS, ZFS, bcachefs
    *(0x01021994, 0x858458F6, 0x4D44, 0x3153464A, 0x52654973),  # tmpfs, ramfs, FAT, JFS, ReiserFS
}
"""File systems (the numbers of statfs) on which nobody but this kernel writes, so that it can tell of every change."""


class Watch:
    """Watches directories. One thread uses it; ``wake`` may be called by any."""

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._add = getattr(libc, "inotify_add_watch", None)
        self._remove = getattr(libc, "inotify_rm_watch", None)
        start = getattr(libc, "inotify_init1", None)
        self._fd = start(os.O_NONBLOCK | os.O_CLOEXEC) if start else -1
        self._alarm, self._ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._directories: dict[int, dict[str, None]] = {}
        self._watched: dict[str, tuple[int, tuple[int, int]]] = {}
        self._statfs = getattr(libc, "statfs", None)
        self._local: dict[int, bool] = {}
        self._poll = select.poll()
        for fd in (self._fd, self._alarm):
            if fd >= 0:
                self._poll.register(fd, select.POLLIN)

    def watch(self, directory: str, key: tuple[int, int]) -> bool:
        """Have changes in a directory reported; tell whether all of them will be.

        ``key`` is its device and inode: under a path may stand another directory than before.
        """
        watched = self._watched.get(directory)
        if watched is None or watched[1] != key:
            if watched is not None:
                self._drop(directory)
            if self._fd < 0 or self._add is None or len(self._watched) >= WATCHES_MAX:
                return False
            number = self._add(self._fd, os.fsencode(directory), _MODIFY | _NAMES_CHANGED & ~_OVERFLOW | _ONLYDIR)
            if number < 0:
                return False
            self._directories.setdefault(number, {})[directory] = None
            self._watched[directory] = number, key
        return self._is_local(directory, key[0])

    def _is_local(self, directory: str, device: int) -> bool:
        if device not in self._local:
            told = ctypes.create_string_buffer(256)
            answered = self._statfs is not None and self._statfs(os.fsencode(directory), told) == 0
            self._local[device] = answered and ctypes.c_ulong.from_buffer(told).value & 0xFFFFFFFF in _LOCAL
        return self._local[device]

    def _drop(self, directory: str) -> None:
        """Stop watching what stood under a path."""
        number, _ = self._watched.pop(directory)
        paths = self._directories[number]
        del paths[directory]
        if not paths:
            del self._directories[number]
            if self._remove is not None:
                self._remove(self._fd, number)

    def wait(self, timeout_s: float) -> None:
        """Block until something was reported or ``wake`` was called, for ``timeout_s`` at most."""
        self._poll.poll(max(0.0, timeout_s) * 1000)

    def wake(self) -> None:
        """End a ``wait`` of another thread, or the next one."""
        with contextlib.suppress(BlockingIOError):  # it is full of calls already
            os.write(self._ring, b"!")

    def changes(self) -> tuple[set[str], set[str] | None]:
        """Return the paths that were written or whose rights changed, and the directories whose names did.

        None instead of the second when reports were lost.
        """
        with contextlib.suppress(BlockingIOError):
            os.read(self._alarm, 4096)
        paths: set[str] = set()
        directories: set[str] = set()
        lost = False
        while self._fd >= 0:
            try:
                data = os.read(self._fd, _READ_BYTES)
            except BlockingIOError:
                break
            lost |= self._take(data, paths, directories)
        return paths, None if lost else directories

    def _take(self, data: bytes, paths: set[str], directories: set[str]) -> bool:
        lost = False
        place = 0
        while place < len(data):
            number, mask, _, length = _EVENT.unpack_from(data, place)
            place += _EVENT.size
            name = data[place : place + length].rstrip(b"\0")
            place += length
            lost |= bool(mask & _OVERFLOW)
            for directory in list(self._directories.get(number, ())):
                if mask & (_MODIFY | _ATTRIB):
                    paths.add(f"{directory}/{os.fsdecode(name)}")
                elif mask & _NAMES_CHANGED:
                    directories.add(directory)
                elif mask & _IGNORED:
                    directories.add(directory)
                    del self._watched[directory]
            if mask & _IGNORED:
                self._directories.pop(number, None)
        return lost

    def close(self) -> None:
        """Give the descriptors back."""
        for fd in (self._fd, self._alarm, self._ring):
            if fd >= 0:
                os.close(fd)
