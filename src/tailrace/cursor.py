"""Positions: a cursor says which log and how far, and is the only kind of position in the system.

A record's cursor is its identity: unique, dense within a batch, ordered within an epoch. An epoch is drawn at
random when a log is made, so cursors of different logs can never be mistaken for each other; comparing them is
a programmer's fault. A cursor used as a position means "everything before this offset has been seen".
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from tailrace.errors import BadInput

_CURSOR = re.compile(r"([0-9a-f]{1,16})-(\d{1,18})\Z")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Which log (``epoch``, 1 to 64 bits) and how far (``offset``, records); prints as ``7f3a-1042``."""

    epoch: int
    offset: int

    def __str__(self) -> str:
        return f"{self.epoch:x}-{self.offset}"

    def __lt__(self, other: Cursor) -> bool:
        return self._with(other)[0] < self._with(other)[1]

    def __le__(self, other: Cursor) -> bool:
        return self._with(other)[0] <= self._with(other)[1]

    def __add__(self, records: int) -> Cursor:
        return Cursor(self.epoch, self.offset + records)

    def __sub__(self, other: Cursor) -> int:
        """Return how many records lie between ``other`` and this cursor."""
        mine, theirs = self._with(other)
        return mine - theirs

    def _with(self, other: Cursor) -> tuple[int, int]:
        if self.epoch != other.epoch:
            raise ValueError(f"{self} and {other} are positions in different logs")
        return self.offset, other.offset

    @staticmethod
    def parse(text: str) -> Cursor:
        """Read what ``str`` wrote. Raises BadInput."""
        found = _CURSOR.match(text)
        if not found:
            raise BadInput(
                f"{text[:80]!r} is not a cursor",
                cure="A cursor looks like 7f3a-1042; take it from a record or from the answer before.",
            )
        return Cursor(int(found[1], 16), int(found[2]))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far in several logs at once (Kafka partitions; one log on one machine); prints as cursors joined by dots."""

    cursors: tuple[Cursor, ...] = field(default=())

    @staticmethod
    def of(cursors: Iterable[Cursor]) -> Checkpoint:
        """Build a checkpoint; of several cursors of one log the furthest stays."""
        furthest: dict[int, Cursor] = {}
        for cursor in cursors:
            known = furthest.get(cursor.epoch)
            if known is None or known < cursor:
                furthest[cursor.epoch] = cursor
        return Checkpoint(tuple(sorted(furthest.values(), key=lambda cursor: cursor.epoch)))

    def get(self, epoch: int) -> Cursor | None:
        """Return the position in one log, or None when this checkpoint does not know that log."""
        return next((cursor for cursor in self.cursors if cursor.epoch == epoch), None)

    def __str__(self) -> str:
        return ".".join(str(cursor) for cursor in self.cursors)

    @staticmethod
    def parse(text: str) -> Checkpoint:
        """Read what ``str`` wrote. Raises BadInput."""
        return Checkpoint.of(Cursor.parse(part) for part in text.split("."))
