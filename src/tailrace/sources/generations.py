"""What was read before and is not open: the generations of each log, known by inode or by content.

A *family* are the names that one log has had: ``app.log``, ``app.log.1``, ``app.log.2.gz``, ``app-2026-11-20.log``.
Each content that stood under one of them is a *generation* (followed.py: name, offset, hashes). A generation that was
truncated or deleted can only be met again as a copy or compressed, by its content; the others by device and inode.

Bound. GENERATIONS_MAX of a family are remembered that can only be met by content and were not, when all files that
there are have been compared with them; beyond that the oldest go, and are to be dropped from the ledger
(``forgotten``). A later life knows a copy by its content alone, so it begins with as many as there are copies.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable
from functools import lru_cache

from tailrace.limits import GENERATIONS_MAX
from tailrace.record import Origin
from tailrace.sources.known import Known

_ROTATED = re.compile(
    r"[-._]?(?:19|20)\d\d[-_.]?\d\d[-_.]?\d\d(?:[-_.T:]?\d+)*"
    r"|(?<=[a-z])(?:[-._]\d{1,3})+$|(?:\.(?:old|bak|orig|prev)|~)$"
)
"""The date in a name, or the number or word at its end, that rotation gives."""


@lru_cache(maxsize=4096)
def family(path: str) -> tuple[str, str]:
    """Return what the generations of one log have in common: the directory, and the name without date and number."""
    directory, name = os.path.split(path)
    return sys.intern(directory), _ROTATED.sub("", name.removesuffix(".gz"))


_FALLING = bytes(range(255, -1, -1))


def older_first(path: str, mtime_ns: int) -> tuple[int, int, bytes, bool]:
    """Return what generations are sorted by: the last change.

    Times of change are coarse; of two in one tick, rotation has made the name of the older one longer or higher. A
    packed one has the time and the name of the file that it is made of, and comes behind that.
    """
    name = path.removesuffix(".gz")
    return mtime_ns, -len(name), os.fsencode(name).translate(_FALLING), name != path


def may_be_copy(path: str, original: str) -> bool:
    """Tell whether a file can be a copy of another by its name: rotation adds to the name, and packs."""
    if path == original:
        return False
    base = os.path.split(original)
    return path.startswith(original) or family(path) == (base if not path.endswith(".gz") else family(original))


class Generations:
    """See the head of this module."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        """``origins`` are those of the ledger."""
        self.forgotten: list[str] = []
        self._by_key: dict[tuple[int, int], Known] = {}
        self._keys: dict[str, tuple[int, int]] = {}
        self._families: dict[tuple[str, str], dict[str, Known]] = {}
        self._ended: set[tuple[str, str]] = set()
        for known in sorted(filter(None, map(Known.of, origins)), key=lambda one: one.born):
            self.put(known)
        self._newest = {log: self.of(log)[-1].born for log in self._families}

    def __contains__(self, key: tuple[int, int]) -> bool:
        return key in self._by_key

    def get(self, key: tuple[int, int]) -> Known | None:
        """Return the generation of a device and inode, if its file was still there when it was closed."""
        return self._by_key.get(key)

    def families(self) -> Iterable[tuple[str, str]]:
        """Return the families that have any."""
        return list(self._families)

    def of(self, log: tuple[str, str]) -> list[Known]:
        """Return the generations of a family, oldest first."""
        return sorted(self._families.get(log, {}).values(), key=lambda one: one.born)

    def predates(self, log: tuple[str, str], changed_ns: int) -> bool:
        """Tell whether that was before all that the ledger knows of a family; of one that it does not know, always."""
        newest = self._newest.get(log)
        return newest is None or changed_ns < newest

    def put(self, known: Known, key: tuple[int, int] | None = None) -> None:
        """Remember a generation whose file is there, now under ``key``."""
        key = key or known.key
        older = self._by_key.get(key)
        if older is not None and older.name != known.name:
            self.end(older)
        self._by_key[key] = known
        self._keys[known.name] = key
        for log in map(family, known.paths):
            self._families.setdefault(log, {})[known.name] = known

    def take(self, known: Known) -> None:
        """Let go of one that is open again."""
        key = self._keys.pop(known.name, None)
        if key is not None:
            del self._by_key[key]
        for log in map(family, known.paths):
            generations = self._families.get(log, {})
            generations.pop(known.name, None)
            if not generations:
                self._families.pop(log, None)

    def end(self, known: Known) -> None:
        """Remember content that was truncated or deleted: a copy of it may stand beside."""
        self.take(known)
        for log in map(family, known.paths):
            self._families.setdefault(log, {})[known.name] = known
            self._ended.add(log)

    def forget(self) -> None:
        """Forget the oldest of what has ended: every file that could be a copy was compared with it."""
        for log in self._ended:
            ended = [one for one in self.of(log) if one.name not in self._keys]
            for oldest in ended[: max(0, len(ended) - GENERATIONS_MAX)]:
                self.take(oldest)
                self.forgotten.append(oldest.name)
        self._ended.clear()
