"""What a tail may ask besides its query, and the evaluation of that over batches that follow each other.

    context   lines of the same stream around each match  (context.py)
    rate_max  lines a second, above which it is sampled   (sample.py)
    counts    what matched, counted, in each frame        (counts.py)

They meet in this order: what matched is counted; of it the sampler lets some pass; those are the matches that have a
context. A match that was left out may so be shown as context, and counts as left out.

A view with nothing but a query has no state: ``evaluate`` is all. Another one has an ``Evaluation`` for each reader:
one for the hub's group, whose tails share what it makes, and one for each tail that reads for itself. Context is a
function of the log, so a tail that goes from the one to the other sees no seam. What the sampler lets pass depends on
what it has seen: around that moment a second may show up to twice as much, and a line of context twice.

Of several logs each has a context of its own, so the lines around a match are those of its log. That is all there are
when a stream is kept in one log, as it is by default; the seconds of the sampler are those of all logs together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailrace.cursor import Cursor, Position
from tailrace.limits import TAIL_CONTEXT_LOOKBACK_ROWS
from tailrace.query import Query
from tailrace.query.pipes import Rows
from tailrace.query.query import facts
from tailrace.record import Batch
from tailrace.store import OFFSET_MAX
from tailrace.tail.context import Context, Near
from tailrace.tail.counts import counts
from tailrace.tail.evaluate import Chunk, by_log, evaluate, pieces
from tailrace.tail.sample import Sampler
from tailrace.tally import NOTHING, tally

PRIME_ROWS = 2 * TAIL_CONTEXT_LOOKBACK_ROWS
"""What has to be read before a position to know the context there: lines that may be sent, and whether they were."""


@dataclass(frozen=True, slots=True)
class View:
    """``query`` has passed ``check_live``; 0 and False: without. Tails of equal ``key`` share an evaluation."""

    query: Query
    context: int = 0
    rate_max: int = 0
    counts: bool = False

    @property
    def key(self) -> str:
        """What tails share a group by."""
        return f"{self.context} {self.rate_max} {self.counts:d} {self.query}"

    @property
    def is_plain(self) -> bool:
        """Whether there is nothing but a query, so that nothing has to be remembered."""
        return not (self.context or self.rate_max or self.counts)


@dataclass(frozen=True, slots=True, eq=False)
class _Matches:
    """The matches in one batch, all that matched, in the order of the log: rows of the batch."""

    rows: np.ndarray
    offsets: np.ndarray
    levels: np.ndarray
    hashes: np.ndarray
    passed: np.ndarray

    def tally(self, mask: np.ndarray) -> int:
        return tally(self.levels[mask], self.hashes[mask]) if mask.any() else NOTHING


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """Encoded lines in their order, and the offset at which each is sent, never falling."""

    records: list[bytes]
    at: np.ndarray


class Evaluation:
    """One view over neighbouring batches, in their order. Used by one thread at a time."""

    def __init__(self, view: View) -> None:
        """Begin where nothing is known of what came before."""
        self.view = view
        self.position: Position | None = None
        self._contexts: dict[int, Context] = {}
        self._sampler = Sampler(view.rate_max) if view.rate_max else None
        self._first_ns: int | None = None
        self._until: Position | None = None

    def since(self, first_ns: int, until: Position) -> None:
        """Leave out records that happened before ``first_ns`` and arrived before ``until``."""
        self._first_ns, self._until = first_ns, until

    def prime(self, batch: Batch) -> None:
        """Look at records before the beginning, for the context of what follows."""
        if self.view.context and len(batch):
            self._context(batch).near(batch, _mask(batch, self.view.query.live(batch)))

    def evaluate(self, batches: Sequence[Batch], start: Position, end: Position) -> list[Chunk]:
        """Return what the view means in neighbouring batches that cover [start, end), in chunks of bounded size."""
        self.position = end
        logs = by_log(batches)
        if len(logs) <= 1:
            return self._of_one_log(logs[0] if logs else [], start, end)
        chunks: list[Chunk] = []
        for number, log in enumerate(logs, 1):
            behind = end if number == len(logs) else start.with_cursor(log[-1].next)
            chunks += self._of_one_log(log, start, behind)
            start = behind
        return chunks

    def _of_one_log(self, batches: Sequence[Batch], start: Position, end: Position) -> list[Chunk]:
        if self.view.is_plain:
            return evaluate(self.view.query, list(batches), start, end)
        batch = Batch.concat(batches) if batches else None
        if not batch:
            return [Chunk(start, end)]
        matches, found = self._match(batch)
        if not self.view.context:
            rows = np.flatnonzero(matches.passed)
            sent = _Sent(found.take(rows).json_rows() if len(rows) else [], matches.offsets[rows])
        else:
            passed = np.zeros(len(batch), bool)
            passed[matches.rows[matches.passed]] = True
            near = self._wanted(self._context(batch).near(batch, passed))
            sent = _Sent(self._encoded(near), near.sent_at)
        if self._first_ns is not None:
            matches = _only(matches, self._in_time(batch, matches.rows))
        return self._chunks(batch, matches, sent, start, end)

    def _context(self, batch: Batch) -> Context:
        """Return the context of the log of a batch."""
        context = self._contexts.get(batch.epoch)
        if context is None:
            context = self._contexts[batch.epoch] = Context(self.view.context)
        return context

    def _match(self, batch: Batch) -> tuple[_Matches, Rows]:
        found = self.view.query.live(batch)
        if found.offsets is None or not len(found):
            none = np.zeros(0, np.int64)
            return _Matches(none, none, none.astype(np.uint8), none.astype(np.uint64), none.astype(bool)), found
        rows = np.flatnonzero(_mask(batch, found))
        levels, hashes = facts(batch, found)
        passed = np.ones(len(rows), bool)
        if self._sampler is not None:
            messages = batch.array("message").take(pa.array(rows))
            passed = self._sampler.passes(batch.numpy("observed")[rows], levels, messages)
        return _Matches(rows, found.offsets, levels, hashes, passed), found

    def _wanted(self, near: Near) -> Near:
        if self._first_ns is None:
            return near
        kept = self._in_time(near.batch, near.rows)
        return Near(near.batch, near.rows[kept], near.sent_at[kept], near.hits[kept])

    def _in_time(self, batch: Batch, rows: np.ndarray) -> np.ndarray:
        assert batch.offsets is not None
        assert self._until is not None
        until = self._until.get(batch.epoch)
        return (batch.numpy("time")[rows] >= self._first_ns) | (batch.offsets[rows] >= (until.offset if until else 0))

    def _encoded(self, near: Near) -> list[bytes]:
        if not len(near.rows):
            return []
        encoded = self.view.query.shaped(near.batch.take(near.rows)).json_rows()
        # A loop over the lines that are sent, each of which is encoded.
        for row in np.flatnonzero(~near.hits).tolist():
            encoded[row] = encoded[row][:-1] + b',"context":true}'
        return encoded

    def _chunks(self, batch: Batch, matches: _Matches, sent: _Sent, start: Position, end: Position) -> list[Chunk]:
        observed_ns, at = int(batch.numpy("observed")[-1]), 0
        # A cut between a match and the lines before it would send them again after a resume.
        cuts = pieces([len(row) for row in sent.records], np.diff(sent.at, prepend=-1) > 0) or [(0, 0)]
        chunks: list[Chunk] = []
        for first, stop in cuts:
            behind = int(sent.at[stop]) if stop < len(sent.records) else OFFSET_MAX
            cut = end if behind == OFFSET_MAX else start.with_cursor(Cursor(batch.epoch, behind))
            here = (matches.offsets >= at) & (matches.offsets < behind)
            counted = b""
            if self.view.counts and here.any():
                rows = matches.rows[here]
                counted = counts(batch if len(rows) == len(batch) else batch.take(rows))
            chunks.append(
                Chunk(
                    start,
                    cut,
                    sent.records[first:stop],
                    matches.tally(here & matches.passed),
                    observed_ns,
                    left_out=matches.tally(here & ~matches.passed),
                    counts=counted,
                )
            )
            start, at = cut, behind
        return chunks


def _mask(batch: Batch, found: Rows) -> np.ndarray:
    """Return which rows of a batch were found, bool."""
    mask = np.zeros(len(batch), bool)
    if batch.offsets is not None and found.offsets is not None:
        mask[np.searchsorted(batch.offsets, found.offsets)] = True
    return mask


def _only(matches: _Matches, kept: np.ndarray) -> _Matches:
    return _Matches(
        matches.rows[kept], matches.offsets[kept], matches.levels[kept], matches.hashes[kept], matches.passed[kept]
    )
