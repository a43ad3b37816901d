"""Files that are not open because there is nothing to read in them as long as they stay as they are.

They are quiet files that made room for others, compressed files that were read to their end, and copies of what is
known. Size and time of change tell whether that still holds. Used by one thread; ``sizes`` may be called by any.
"""

from __future__ import annotations

import heapq
import os
import resource
import time
from collections.abc import Container, Iterable
from dataclasses import dataclass

from tailrace.limits import FILES_OPEN_MAX, SECOND_NS
from tailrace.sources.find import Found
from tailrace.sources.followed import FollowedFile

_TURN_S = 0.1
_ROOM_FILES = 32

Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Parked:
    path: str
    size: int
    mtime_ns: int
    copy: bool


class Parked:
    """See the head of this module."""

    def __init__(self) -> None:
        self._files: dict[Key, _Parked] = {}
        self._keys: dict[str, Key] = {}

    def sizes(self) -> list[tuple[str, int]]:
        """Return path and size of each."""
        return [(one.path, one.size) for one in self._files.copy().values()]

    def among(self, paths: set[str]) -> list[Key]:
        """Return those of these paths."""
        return [self._keys[path] for path in paths & self._keys.keys()]

    def put(self, key: Key, path: str, fd: int, *, copy: bool = False) -> None:
        """Leave an open file alone; ``copy``: as long as its original is what it is."""
        status = os.fstat(fd)
        self.take(key)
        self._files[key] = _Parked(path, status.st_size, status.st_mtime_ns, copy)
        self._keys[path] = key

    def take(self, key: Key) -> None:
        """Have a file looked at again."""
        parked = self._files.pop(key, None)
        if parked is not None:
            self._keys.pop(parked.path, None)

    def take_copies(self) -> None:
        """Have the copies looked at again: an original is no longer what it was."""
        for key in [key for key, parked in self._files.items() if parked.copy]:
            self.take(key)

    def take_absent(self, found: Container[Key]) -> list[str]:
        """Let go of what is not ``found`` any more; return the paths."""
        absent = {key: parked.path for key, parked in self._files.items() if key not in found}
        for key in absent:
            self.take(key)
        if absent:
            self.take_copies()
        return list(absent.values())

    def differs(self, one: Found, *, sweep: bool) -> bool:
        """Tell whether a file that is not open may hold something new; ``sweep``: whether nothing was told or not."""
        parked = self._files.get(one.key)
        if parked is None:
            return True
        if one.told and not sweep and parked.path == one.path:
            return False
        try:
            status = os.stat(one.path)
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) != (parked.size, parked.mtime_ns)


def files_max() -> int:
    """Return how many files may be open: half of the descriptors that the process may have are for others."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(8, min(FILES_OPEN_MAX, soft // 2))


def dispensable(files: Iterable[FollowedFile]) -> list[FollowedFile]:
    """Return some of the open files that can be closed to make room, the most dispensable first.

    Their lines are acknowledged, and each was read since it was opened. One that has more to read has had its turn; one
    that could not be found again has not.
    """
    idle = [file for file in files if file.acked == file.offset and file.size >= 0 and not file.held]
    least = heapq.nsmallest(_ROOM_FILES, idle, key=lambda one: (one.gone, one.offset != one.size, one.changed))
    return [file for file in least if not _lost_when_closed(file) and (file.offset == file.size or _had_turn(file))]


def _lost_when_closed(file: FollowedFile) -> bool:
    return file.gone and (file.offset != file.size or not os.fstat(file.content.fd).st_nlink)


def _had_turn(file: FollowedFile) -> bool:
    return time.time_ns() - file.opened > _TURN_S * SECOND_NS
