"""Query: a filter and the pipes behind it; the question that search and tail answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import numpy as np

from tailrace.errors import QueryError
from tailrace.query.filters import Filter
from tailrace.query.pipes import Pipe, Rows
from tailrace.query.pipes.drop import Drop
from tailrace.query.pipes.fields import Fields
from tailrace.query.pipes.limit import Limit
from tailrace.query.pipes.sort import Sort
from tailrace.query.pipes.stats import Counted, Key, Stats
from tailrace.query.pipes.top import Top
from tailrace.query.pipes.where import Where
from tailrace.query.plan import All, InTime, Need, Never, Some
from tailrace.query.times import TIME_MAX_NS, TIME_MIN_NS
from tailrace.record import Batch
from tailrace.tally import NOTHING, hashes, tally


@dataclass(frozen=True)
class Query:
    """``text`` is what was typed and ``positions`` where each pipe begins in it: for messages, not for equality."""

    filter: Filter
    pipes: tuple[Pipe, ...] = ()
    text: str = field(default="", compare=False)
    positions: tuple[int, ...] = field(default=(), compare=False)

    def __str__(self) -> str:
        return " | ".join([str(self.filter), *map(str, self.pipes)])

    def times(self) -> tuple[int, int]:
        """Return the first and last nanosecond in which a match can be, both included."""
        return _times(self.filter.need())

    def rows_wanted(self) -> int | None:
        """Return how many of the newest matching records suffice, or None when all may be needed."""
        for pipe in self.pipes:
            if isinstance(pipe, Limit):
                return pipe.rows
            if not isinstance(pipe, Fields | Drop):
                return None
        return None

    @property
    def is_aggregate(self) -> bool:
        """Whether a pipe reads all records before it gives any: then the order in which they come does not matter."""
        for pipe in self.pipes:
            if not isinstance(pipe, Where | Fields | Drop):
                return not isinstance(pipe, Limit)
        return False

    @property
    def counts_by(self) -> tuple[Key, ...] | None:
        """The keys of the groups that suffice in place of records, since the first pipe only counts; None otherwise."""
        first = self.pipes[0] if self.pipes else None
        counting = first.counts if isinstance(first, Top) else first
        return counting.keys if isinstance(counting, Stats) and counting.only_counts else None

    def run(self, batches: Iterator[Batch | Counted]) -> Iterator[Rows]:
        """Yield what the pipes make of batches that the filter was applied to already.

        With ``counts_by`` some of them may be groups that were counted before.
        Reads no further than it has to: a limit ends it. Raises Refused when a bound is reached.
        """
        stream: Iterator[Any] = iter(batches)
        for pipe, following in zip_longest(self.pipes, self.pipes[1:]):
            if isinstance(pipe, Where | Fields | Drop):
                stream = map(pipe.apply, stream)
            elif isinstance(pipe, Sort):
                stream = pipe.run(stream, following.rows if isinstance(following, Limit) else None)
            else:
                stream = pipe.run(stream)  # type: ignore[union-attr]
        return stream

    def live(self, batch: Batch) -> Rows:
        """Return what the filter and the pipes make of one batch of the bus; ``check_live`` has passed before."""
        return self.piped(Where(self.filter).apply(batch))

    def piped(self, rows: Rows) -> Rows:
        """Return what the pipes make of records that the filter means; ``check_live`` has passed before."""
        for pipe in self.pipes:
            rows = pipe.apply(rows)  # type: ignore[union-attr]
        return rows

    def shaped(self, rows: Rows) -> Rows:
        """Return rows with the columns that ``live`` would leave them, whether they match or not."""
        for pipe in self.pipes:
            if isinstance(pipe, Fields | Drop):
                rows = pipe.apply(rows)
        return rows

    def tally(self, batch: Batch) -> int:
        """Return the tally of what ``live`` makes of a batch that a log has taken."""
        found = self.live(batch)
        return tally(*facts(batch, found)) if len(found) else NOTHING

    def check_live(self) -> None:
        """Raise QueryError at the first pipe that needs more than one batch, so cannot be used on a tail."""
        for i, pipe in enumerate(self.pipes):
            if not isinstance(pipe, Where | Fields | Drop):
                word = str(pipe).partition(" ")[0]
                at = self.positions[i] if i < len(self.positions) else 0
                raise QueryError(
                    f"'{word}' needs all records, a live tail has no end",
                    text=self.text,
                    position=at,
                    cure="live are: where fields drop; use search for the others",
                )


def facts(batch: Batch, found: Rows) -> tuple[np.ndarray, np.ndarray]:
    """Return the levels and the hashes (``tailrace.tally``) of what was found in a batch that a log has taken.

    The level is that of the record, whatever the pipes have left of its columns.
    """
    if batch.offsets is None or found.offsets is None:
        raise ValueError("no log has taken this batch yet, so its records have no hashes")
    if isinstance(found, Batch):
        return found.numpy("level"), hashes(found.offsets, found.array("message"))
    order = np.argsort(batch.offsets, kind="stable")
    rows = order[np.searchsorted(batch.offsets, found.offsets, sorter=order)]
    return batch.numpy("level")[rows], hashes(found.offsets, found.column("message"))


def _times(need: Need) -> tuple[int, int]:
    if isinstance(need, InTime):
        return need.first_ns, need.last_ns
    if isinstance(need, Never):
        return TIME_MAX_NS, TIME_MIN_NS
    if not isinstance(need, All | Some):
        return TIME_MIN_NS, TIME_MAX_NS
    inner = [_times(one) for one in need.needs]
    firsts, lasts = [first for first, _ in inner], [last for _, last in inner]
    return (max(firsts), min(lasts)) if isinstance(need, All) else (min(firsts), max(lasts))
