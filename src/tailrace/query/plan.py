"""What may be skipped: a necessary condition, made by filters, asked by whoever keeps blocks of records.

A ``Need`` is a small tree. The store walks it with what it knows of each block (tokens, streams, times, levels) and
reads only the blocks where it may hold. It may be too weak, never too strong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tailrace.record import Stream


@dataclass(frozen=True, slots=True)
class Always:
    """Any block may hold a match."""


@dataclass(frozen=True, slots=True)
class Never:
    """No block can hold a match."""


@dataclass(frozen=True, slots=True)
class Token:
    """The block must hold this token (as ``tokens.py`` cuts and folds them) in a message or in the fields."""

    text: str


@dataclass(frozen=True, slots=True)
class Prefix:
    """The block must hold a token that begins with this."""

    text: str


@dataclass(frozen=True, slots=True)
class OfStream:
    """The block must hold a row of a stream for which ``test`` is true."""

    test: Callable[[Stream], bool]


@dataclass(frozen=True, slots=True)
class InTime:
    """The block must hold a row with first_ns <= time <= last_ns."""

    first_ns: int
    last_ns: int


@dataclass(frozen=True, slots=True)
class OfLevel:
    """The block must hold a row of one of these levels."""

    levels: frozenset[int]


@dataclass(frozen=True, slots=True)
class All:
    """Every one of these must hold."""

    needs: tuple[Need, ...]


@dataclass(frozen=True, slots=True)
class Some:
    """At least one of these must hold."""

    needs: tuple[Need, ...]


Need = Always | Never | Token | Prefix | OfStream | InTime | OfLevel | All | Some
