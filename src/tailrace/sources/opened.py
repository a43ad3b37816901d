"""The files that are open: by device and inode, by path, and by the names that their logs are known by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tailrace.sources.followed import FollowedFile
from tailrace.sources.generations import family

Key = tuple[int, int]
Log = tuple[str, str]


class Opened:
    """See the head of this module. Used by one thread; another may ask for a copy of all by ``list``."""

    def __init__(self) -> None:
        self._by_key: dict[Key, FollowedFile] = {}
        self._by_path: dict[str, FollowedFile] = {}
        self._by_log: dict[Log, list[FollowedFile]] = {}

    def __len__(self) -> int:
        return len(self._by_key)

    def __iter__(self) -> Iterator[FollowedFile]:
        return iter(list(self._by_key.values()))

    def __contains__(self, file: FollowedFile) -> bool:
        return self._by_key.get(file.key) is file

    def has(self, key: Key) -> bool:
        """Tell whether the file of this device and inode is open."""
        return key in self._by_key

    def at(self, paths: set[str]) -> list[FollowedFile]:
        """Return those of these paths."""
        return [self._by_path[path] for path in paths & self._by_path.keys()]

    def of(self, log: Log) -> Sequence[FollowedFile]:
        """Return those of a log (generations.py), by any of its names."""
        return self._by_log.get(log, ())

    def add(self, file: FollowedFile) -> None:
        """Take a file up."""
        self._by_key[file.key] = self._by_path[file.path] = file
        for log in set(map(family, file.paths)):
            self._by_log.setdefault(log, []).append(file)

    def remove(self, file: FollowedFile) -> None:
        """Let go of one, as it was when it was added."""
        del self._by_key[file.key]
        if self._by_path.get(file.path) is file:
            del self._by_path[file.path]
        for log in set(map(family, file.paths)):
            self._by_log[log].remove(file)
            if not self._by_log[log]:
                del self._by_log[log]
