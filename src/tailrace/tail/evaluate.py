"""What a query finds in the records as they come: chunks, which all tails of that query share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tailrace.cursor import Checkpoint, Cursor
from tailrace.frame import Frame, Rows
from tailrace.limits import TAIL_FRAME_BYTES_MAX
from tailrace.query import Query
from tailrace.query.found import Found, look
from tailrace.query.together import Plan, look_together
from tailrace.record import Batch
from tailrace.tally import NOTHING, tally

Encode = Callable[[Frame], bytes]
"""Makes the bytes of one transport."""
Evaluated = Iterator["list[list[Chunk]]"]
"""The chunks of each query, some queries at a time."""


class Chunk:
    """What one query found in the records [start, end): shared by all tails of that query.

    ``records`` are the matches, encoded (``size`` bytes), and ``tally`` counts them; ``observed_ns`` is when the newest
    record that was looked at arrived.
    """

    __slots__ = ("_encoded", "end", "observed_ns", "records", "size", "start", "tally")

    def __init__(
        self, start: Cursor, end: Cursor, records: Sequence[bytes] = (), tally: int = NOTHING, observed_ns: int = 0
    ) -> None:
        self.start = start
        self.end = end
        self.records = tuple(records)
        self.size = sum(map(len, self.records))
        self.tally = tally
        self.observed_ns = observed_ns
        self._encoded: dict[Encode, bytes] = {}

    def encoded(self, encode: Encode) -> bytes:
        """Return the ``Rows`` frame in the bytes of one transport: made once, then shared."""
        known = self._encoded.get(encode)
        if known is None:
            known = self._encoded[encode] = encode(Rows(self.records, Checkpoint((self.end,))))
        return known


def evaluate(query: Query, batches: list[Batch], start: Cursor, end: Cursor) -> list[Chunk]:
    """Return what ``query`` finds in neighbouring batches that cover [start, end), in chunks of bounded size."""
    if not batches:
        return [Chunk(start, end)]
    batch = Batch.concat(batches)
    return chunks(look(query, batch), start, end, int(batch.numpy("observed")[-1]))


def evaluate_together(plans: Sequence[Plan], batch: Batch, start: Cursor, end: Cursor) -> Iterator[list[list[Chunk]]]:
    """Yield what each query finds in a batch that covers [start, end), several queries at a time, in their order.

    Of a query that finds nothing there are no chunks.
    """
    observed_ns = int(batch.numpy("observed")[-1])
    for some in look_together(plans, batch):
        yield [chunks(found, start, end, observed_ns) if found.records else [] for found in some]


def chunks(found: Found, start: Cursor, end: Cursor, observed_ns: int) -> list[Chunk]:
    """Return what was found in [start, end), in chunks of bounded size; one without records when nothing was."""
    rows = found.records
    if not rows:
        return [Chunk(start, end, observed_ns=observed_ns)]
    cuts: list[Chunk] = []
    for first, stop in _pieces(rows):
        cut = Cursor(start.epoch, int(found.offsets[stop])) if stop < len(rows) else end
        counted = tally(found.levels[first:stop], found.hashes[first:stop])
        cuts.append(Chunk(start, cut, rows[first:stop], counted, observed_ns))
        start = cut
    return cuts


def _pieces(rows: Sequence[bytes]) -> list[tuple[int, int]]:
    """Cut encoded rows into pieces [first, stop) of bounded size."""
    if sum(map(len, rows)) <= TAIL_FRAME_BYTES_MAX:
        return [(0, len(rows))]
    ends = np.cumsum([len(row) for row in rows])
    pieces: list[tuple[int, int]] = []
    first = 0
    while first < len(rows):
        before = int(ends[first - 1]) if first else 0
        stop = max(first + 1, int(np.searchsorted(ends, before + TAIL_FRAME_BYTES_MAX, "right")))
        pieces.append((first, stop))
        first = stop
    return pieces
