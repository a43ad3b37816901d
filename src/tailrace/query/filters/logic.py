"""``a b``, ``a or b``, ``not a``, ``*``: filters made of filters, and the one that means every record."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailrace.query.filters import Filter
from tailrace.query.filters.level import PRESENT, Levels
from tailrace.query.filters.time import Times
from tailrace.query.filters.value import all_of, some_of
from tailrace.query.plan import Always, Need, Never, OfLevel
from tailrace.record import Batch, Level


@dataclass(frozen=True)
class Everything:
    """Every record."""

    def __str__(self) -> str:
        return "*"

    def matches(self, batch: Batch) -> np.ndarray:
        """Return all rows."""
        return np.ones(len(batch), bool)

    def need(self) -> Need:
        """Return nothing."""
        return Always()


@dataclass(frozen=True)
class And:
    """Every one of these; make it with ``conjunction``."""

    filters: tuple[Filter, ...]

    def __str__(self) -> str:
        return " ".join(f"({inner})" if isinstance(inner, Or) else str(inner) for inner in self.filters)

    def matches(self, batch: Batch) -> np.ndarray:
        """Return the rows that all mean; stops when none is left, levels and times first: they cost least."""
        found: np.ndarray | None = None
        for inner in sorted(self.filters, key=lambda one: not isinstance(one, Levels | Times)):
            mask = inner.matches(batch)
            found = mask if found is None else found & mask
            if not found.any():
                break
        return np.ones(len(batch), bool) if found is None else found

    def need(self) -> Need:
        """Return all that they need."""
        return all_of([inner.need() for inner in self.filters])


@dataclass(frozen=True)
class Or:
    """At least one of these; make it with ``disjunction``."""

    filters: tuple[Filter, ...]

    def __str__(self) -> str:
        return " or ".join(str(inner) for inner in self.filters)

    def matches(self, batch: Batch) -> np.ndarray:
        """Return the rows that any means; stops when all are found."""
        found = np.zeros(len(batch), bool)
        for inner in self.filters:
            found = found | inner.matches(batch)
            if found.all():
                break
        return found

    def need(self) -> Need:
        """Return one of what they need."""
        return some_of([inner.need() for inner in self.filters])


@dataclass(frozen=True)
class Not:
    """The rows that another filter does not mean."""

    inner: Filter

    def __str__(self) -> str:
        return f"not ({self.inner})" if isinstance(self.inner, And | Or) else f"not {self.inner}"

    def matches(self, batch: Batch) -> np.ndarray:
        """Return the other rows."""
        return ~self.inner.matches(batch)

    def need(self) -> Need:
        """Return the other levels; of anything else it is unknown what a block must hold to miss it."""
        if isinstance(self.inner, Levels):
            return OfLevel(frozenset(map(int, (PRESENT | {Level.ABSENT}) - self.inner.levels)))
        return Never() if isinstance(self.inner, Everything) else Always()


def conjunction(filters: list[Filter]) -> Filter:
    """Return the filter that means what all of these mean, without an *and* inside an *and*."""
    flat = [part for one in filters for part in (one.filters if isinstance(one, And) else (one,))]
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(filters: list[Filter]) -> Filter:
    """Return the filter that means what any of these means, without an *or* inside an *or*."""
    flat = [part for one in filters for part in (one.filters if isinstance(one, Or) else (one,))]
    return flat[0] if len(flat) == 1 else Or(tuple(flat))
