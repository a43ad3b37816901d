"""A counter for threads and signal handlers."""

from __future__ import annotations

import itertools


class Count:
    """Counts without a lock: `next` of an iterator in C cannot be interrupted, not even by a signal handler."""

    def __init__(self) -> None:
        self._next = itertools.count()
        self.add = self._next.__next__

    def value(self) -> int:
        """Return how often ``add`` was called."""
        return int(repr(self._next)[len("count(") : -1])  # the one way to look without counting
