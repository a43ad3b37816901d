"""``grep -C`` in a stream that does not end: the N records of the same stream before and after each match.

A line r is the context of a match m when both have the same labels, at most N lines of theirs lie from the one to
the other, and they are near: TAIL_CONTEXT_LOOKBACK_ROWS records, TAIL_CONTEXT_BYTES_MAX bytes of all streams between
them at most. Each line is sent once, at one place: behind a match that it follows, where it arrives; else with the
first match that it comes before, just before that match (so the records of a frame may go back).

Where a line is sent is a function of the log alone. So it is the same however the records are cut into batches and
wherever a tail begins: with a checkpoint P go exactly the lines that are sent at P or behind. To begin at P, what lies
up to twice the look-back before P is given to ``near`` first, and its answer thrown away.

State: of each stream the last N records, those that were matches or were sent marked; none further back than the
look-back, so rows, bytes and streams have a bound. Records that nothing asks for yet are put aside as they came.

Cost: 0.2 to 0.5 microseconds for each record, matching or not, about 0.2 ms for a round of few, and the encoding of
each line that is sent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import (
    TAIL_CONTEXT_BYTES_MAX,
    TAIL_CONTEXT_LOOKBACK_ROWS,
    TAIL_CONTEXT_WAIT_BYTES,
    TAIL_CONTEXT_WAIT_ROWS,
)
from tailrace.record import Batch

_WAITING_MAX = 32
"""Batches that are put aside: joining them costs some microseconds for each."""


@dataclass(frozen=True, slots=True, eq=False)
class Near:
    """The lines to send, in their order: rows of ``batch``.

    ``sent_at`` (int64) is the offset at which each is sent, never falling; ``hits`` tells the matches from the others.
    """

    batch: Batch
    rows: np.ndarray
    sent_at: np.ndarray
    hits: np.ndarray


class Context:
    """The lines around the matches of one query; see the head of this module."""

    def __init__(self, lines: int) -> None:
        """Begin where nothing is known of what came before."""
        self._lines = lines
        self._kept: Batch | None = None
        self._hit = self._sent = np.zeros(0, bool)
        self._place = np.zeros(0, np.int64)
        self._waiting: list[Batch] = []

    def near(self, batch: Batch, hits: np.ndarray) -> Near:
        """Return what to send of the records that come next, and of those before; ``hits`` (bool) are the matches."""
        quiet = not hits.any() and not self._hit.any()
        # A block of the store is read from its file when it is asked, so before it is put aside.
        plain = batch if type(batch) is Batch else Batch(batch.columns, epoch=batch.epoch, offsets=batch.offsets)
        waiting = [*self._waiting, plain]
        rows = sum(map(len, waiting))
        small = rows <= TAIL_CONTEXT_WAIT_ROWS and sum(one.nbytes for one in waiting) <= TAIL_CONTEXT_WAIT_BYTES
        if quiet and small and len(waiting) <= _WAITING_MAX:
            self._waiting = waiting
            none = np.zeros(0, np.int64)
            return Near(batch, none, none, none.astype(bool))
        self._waiting = []
        fresh = Batch.concat(waiting)
        hits = np.concatenate([np.zeros(rows - len(batch), bool), hits])
        return self._look(fresh, hits)

    def _look(self, fresh: Batch, hits: np.ndarray) -> Near:
        batch = fresh if self._kept is None else Batch.concat([self._kept, fresh])
        assert batch.offsets is not None
        known = len(self._hit)
        place = np.concatenate([self._place, (self._place[-1] if known else 0) + np.cumsum(_sizes(fresh))])
        hit = np.concatenate([self._hit, hits])
        order, firsts, lasts = _by_stream(batch)
        index = np.arange(len(batch))
        hit_index = np.where(hit[order], index, -1)
        before = np.maximum.accumulate(hit_index)
        behind = len(batch) - 1 - np.maximum.accumulate(np.where(hit[order], len(batch) - 1 - index, -1)[::-1])[::-1]
        follows = (before >= firsts) & (index - before <= self._lines)
        leads = (behind <= lasts) & (behind - index <= self._lines)
        # To and from the order of the log; an index that points nowhere is masked.
        row = np.empty(len(batch), np.int64)
        row[order] = index
        follows = follows[row] & self._reach(batch.offsets, place, order[np.maximum(before, 0)][row], index)
        match = order[np.minimum(behind, len(batch) - 1)][row]
        leads = leads[row] & self._reach(batch.offsets, place, index, match)
        fresh_row = index >= known
        sent = np.concatenate([self._sent, follows[known:]])
        late = leads & ~sent
        self._keep(batch, hit, sent | late, place, (lasts - index)[row] < self._lines)
        rows = np.flatnonzero(late | (fresh_row & follows))
        sent_at = batch.offsets[np.where(late, match, index)[rows]]
        moved = np.argsort(sent_at, kind="stable")
        return Near(batch, rows[moved], sent_at[moved], hit[rows[moved]])

    def _reach(self, offsets: np.ndarray, place: np.ndarray, earlier: np.ndarray, later: np.ndarray) -> np.ndarray:
        """Whether two rows, given by their indices, are near enough to each other."""
        rows = offsets[later] - offsets[earlier] <= TAIL_CONTEXT_LOOKBACK_ROWS
        return rows & (place[later] - place[earlier] <= TAIL_CONTEXT_BYTES_MAX)

    def _keep(self, batch: Batch, hit: np.ndarray, sent: np.ndarray, place: np.ndarray, newest: np.ndarray) -> None:
        assert batch.offsets is not None
        near = batch.offsets > batch.offsets[-1] - TAIL_CONTEXT_LOOKBACK_ROWS
        kept = np.flatnonzero(newest & near & (place >= place[-1] - TAIL_CONTEXT_BYTES_MAX))
        self._kept = batch.take(kept)
        self._hit, self._sent, self._place = hit[kept], sent[kept], place[kept]


def _sizes(batch: Batch) -> np.ndarray:
    """Return the bytes of message and fields of each row, int64."""
    fields = pc.fill_null(pc.binary_length(batch.array("fields")), 0).to_numpy(zero_copy_only=False)
    return pc.binary_length(batch.array("message")).to_numpy(zero_copy_only=False).astype(np.int64) + fields


def _by_stream(batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the rows sorted by stream, in their order, and for each index there the first and last of its stream."""
    names: pa.StringArray = batch.array("stream").dictionary
    codes = pc.index_in(names, names).to_numpy(zero_copy_only=False)[batch.stream_codes]
    order = np.argsort(codes, kind="stable")
    starts = np.flatnonzero(np.diff(codes[order], prepend=-1))
    sizes = np.diff(starts, append=len(codes))
    return order, np.repeat(starts, sizes), np.repeat(starts + sizes - 1, sizes)
