"""Counting what a search finds: what a store has counted already, and what is counted here, batch by batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import TooLarge
from tailrace.limits import GROUPS_MAX
from tailrace.query.pipes.stats import Counted, Key
from tailrace.record import Batch
from tailrace.store import Grouping, Search
from tailrace.store.parts.scan import Block


def counting(search: Search, keys: tuple[Key, ...]) -> Search:
    """Return the search of who only counts what it finds, by these keys."""
    return replace(search, order=None, limit=None, after=None, grouping=Grouping(keys))


@dataclass(slots=True)
class Values:
    """Values with their counts, at most GROUPS_MAX."""

    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: pa.Array) -> None:
        """Count the values of a column. Raises TooLarge."""
        self.count((one["values"], one["counts"]) for one in pc.value_counts(values.drop_null()).to_pylist())

    def count(self, counted: Iterable[tuple[str | None, int]]) -> None:
        """Add values that were counted; None is none. Raises TooLarge."""
        for value, count in counted:
            if value is not None:
                self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > GROUPS_MAX:
            raise TooLarge(f"more than {GROUPS_MAX} different values", cure="Narrow the query or the time.")

    def top(self, limit: int | None) -> dict[str, int]:
        """Return the most frequent ones, the most frequent first."""
        return dict(sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0]))[:limit])


def one_bucket(batch: Batch, first_ns: int, span_ns: int) -> int | None:
    """Return the bucket that a whole block of a part lies in; None when it has several, or is not a whole block."""
    if not isinstance(batch, Block) or batch.rows is not None:
        return None
    begins, ends = ((time_ns - first_ns) // span_ns for time_ns in batch.bounds)
    return begins if begins == ends else None


def parted(batch: Batch, by: str | None) -> Iterator[tuple[str | None, Any]]:
    """Yield each value of an attribute in a batch and the rows that have it; without an attribute, None and all."""
    if by is None:
        yield None, slice(None)
        return
    values = batch.column(by).dictionary_encode(null_encoding="encode")
    codes = values.indices.to_numpy()
    for code, value in enumerate(values.dictionary.to_pylist()):
        yield value, codes == code


def over_time(known: Counted) -> Iterator[tuple[str | None, np.ndarray, np.ndarray]]:
    """Yield each value of the second key (None without one), with the times and rows of its groups."""
    times, rows = known.columns[0].to_numpy(), known.rows.to_numpy()
    values = known.columns[1] if len(known.columns) > 1 else pa.nulls(len(times), pa.string())
    codes = values.dictionary_encode(null_encoding="encode")
    for code, value in enumerate(codes.dictionary.to_pylist()):
        some = codes.indices.to_numpy() == code
        yield value, times[some], rows[some]
