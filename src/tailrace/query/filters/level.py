"""``level:error``, ``level:>=warn``: how serious a record is, by its severity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailrace.query.plan import Need, OfLevel
from tailrace.record import LEVEL_NAMES, Batch, Level

NAMES = {name: Level(code) for code, name in enumerate(LEVEL_NAMES) if name}
ALIASES = {
    **NAMES,
    "verbose": Level.TRACE,
    "dbg": Level.DEBUG,
    "information": Level.INFO,
    "informational": Level.INFO,
    "notice": Level.INFO,
    "warning": Level.WARN,
    "err": Level.ERROR,
    "critical": Level.FATAL,
    "crit": Level.FATAL,
    "alert": Level.FATAL,
    "emergency": Level.FATAL,
    "emerg": Level.FATAL,
    "panic": Level.FATAL,
}
"""What people call the levels, in lower case."""
PRESENT = frozenset(NAMES.values())


@dataclass(frozen=True)
class Levels:
    """The record's level is one of ``levels``: at least one, never ABSENT."""

    levels: frozenset[Level]

    def __str__(self) -> str:
        names = [str(LEVEL_NAMES[level]) for level in sorted(self.levels)]
        if self.levels == PRESENT:
            return "level:*"
        if len(names) == 1:
            return f"level:{names[0]}"
        if max(self.levels) == Level.FATAL and len(names) == Level.FATAL - min(self.levels) + 1:
            return f"level:>={names[0]}"
        return f"level:({' or '.join(names)})"

    def matches(self, batch: Batch) -> np.ndarray:
        """Return which rows have one of the levels."""
        wanted = np.zeros(len(LEVEL_NAMES), bool)
        wanted[list(self.levels)] = True
        return wanted[batch.numpy("level")]

    def need(self) -> Need:
        """Return the levels."""
        return OfLevel(frozenset(int(level) for level in self.levels))
