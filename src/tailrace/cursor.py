"""Positions: a cursor says which log and how far, and is the only kind of position in the system.

A record's cursor is its identity: unique, dense within a batch, ordered within an epoch. An epoch is drawn at
random when a log is made, so cursors of different logs can never be mistaken for each other; comparing them is
a programmer's fault. A cursor used as a position means "everything before this offset has been seen".

Who reads several logs at once (the partitions of a topic) stands at a ``Checkpoint``: a cursor for each. Both are a
``Position``, and whoever reads on from one need not know which it is:

    <  <=  ==      of checkpoints: in each log; so of two checkpoints neither may be before the other
    -              how many records lie between, in all logs together
    with_cursor    the same position with the part of one log moved
    get  cursors   its parts

A log that a checkpoint does not name stands at its beginning there, at offset 0: a partition that is added while
somebody reads is read from its beginning, and nothing has to be told of it.
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

    def __lt__(self, other: Position) -> bool:
        return self.offset < self._offset_of(other)

    def __le__(self, other: Position) -> bool:
        return self.offset <= self._offset_of(other)

    def __add__(self, records: int) -> Cursor:
        return Cursor(self.epoch, self.offset + records)

    def __sub__(self, other: Position) -> int:
        """Return how many records lie between ``other`` and this cursor."""
        return self.offset - self._offset_of(other)

    def _offset_of(self, other: Position) -> int:
        if not isinstance(other, Cursor) or self.epoch != other.epoch:
            raise ValueError(f"{self} and {other} are positions in different logs")
        return other.offset

    @property
    def cursors(self) -> tuple[Cursor, ...]:
        """The parts of this position: itself."""
        return (self,)

    @property
    def beginning(self) -> Cursor:
        """The very first position of this log."""
        return Cursor(self.epoch, 0)

    def get(self, epoch: int) -> Cursor | None:
        """Return the position in one log, or None when it is another log."""
        return self if epoch == self.epoch else None

    def with_cursor(self, cursor: Cursor) -> Cursor:
        """Return this position moved to ``cursor``."""
        return cursor

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


@dataclass(frozen=True, slots=True, eq=False)
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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Checkpoint):
            return NotImplemented
        return self.cursors == other.cursors or self._offsets() == other._offsets()

    def __hash__(self) -> int:
        return hash(frozenset(self._offsets().items()))

    def __lt__(self, other: Position) -> bool:
        return self <= other and self != other

    def __le__(self, other: Position) -> bool:
        theirs = self._with(other)._offsets()
        return all(offset <= theirs.get(epoch, 0) for epoch, offset in self._offsets().items())

    def __sub__(self, other: Position) -> int:
        """Return how many records lie between ``other`` and this checkpoint, in all logs together."""
        behind = sum(cursor.offset for cursor in self._with(other).cursors)
        return sum(cursor.offset for cursor in self.cursors) - behind

    def _offsets(self) -> dict[int, int]:
        return {cursor.epoch: cursor.offset for cursor in self.cursors if cursor.offset}

    def _with(self, other: Position) -> Checkpoint:
        if not isinstance(other, Checkpoint):
            raise ValueError(f"{self} is a position in several logs, and {other} in one")
        return other

    @property
    def beginning(self) -> Checkpoint:
        """The very first position of these logs."""
        return Checkpoint(tuple(cursor.beginning for cursor in self.cursors))

    def get(self, epoch: int) -> Cursor | None:
        """Return the position in one log, or None when this checkpoint does not name that log."""
        return next((cursor for cursor in self.cursors if cursor.epoch == epoch), None)

    def with_cursor(self, cursor: Cursor) -> Checkpoint:
        """Return this checkpoint with the position in one log set to ``cursor``."""
        others = [other for other in self.cursors if other.epoch != cursor.epoch]
        return Checkpoint(tuple(sorted([*others, cursor], key=lambda cursor: cursor.epoch)))

    def __str__(self) -> str:
        return ".".join(str(cursor) for cursor in self.cursors)

    @staticmethod
    def parse(text: str) -> Checkpoint:
        """Read what ``str`` wrote. Raises BadInput."""
        return Checkpoint.of(Cursor.parse(part) for part in text.split("."))


Position = Cursor | Checkpoint
