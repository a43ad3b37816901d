"""What a query finds in the records as they come: chunks, which all tails of that query share. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from tailrace.cursor import Cursor, Position
from tailrace.frame import Frame, Gap, Rows
from tailrace.limits import TAIL_FRAME_BYTES_MAX
from tailrace.query import Query
from tailrace.query.found import Found, look
from tailrace.query.together import Plan, look_together
from tailrace.record import Batch
from tailrace.tally import NOTHING, count, tally

Encode = Callable[[Frame], bytes]
"""Makes the bytes of one transport."""
Evaluated = Iterator["list[list[Chunk]]"]
"""The chunks of each query, some queries at a time."""


class Chunk:
    """What one view found in the records [start, end) of one log: shared by all tails of that view.

    Whoever reads several logs stands somewhere in each: then ``start`` and ``end`` are checkpoints that differ in one.

    records      the matches, encoded, and the lines around them that are sent with them: ``size`` bytes
    tally        counts the matches among ``records``
    left_out     the tally of the matches that sampling has left out
    counts       of all that matched, as JSON, when the view asks for it and something did
    observed_ns  when the newest record that was looked at arrived
    """

    __slots__ = (
        "_declared",
        "_encoded",
        "counts",
        "end",
        "left_out",
        "observed_ns",
        "records",
        "size",
        "start",
        "tally",
    )

    def __init__(
        self,
        start: Position,
        end: Position,
        records: Sequence[bytes] = (),
        tally: int = NOTHING,
        observed_ns: int = 0,
        *,
        left_out: int = NOTHING,
        counts: bytes = b"",
    ) -> None:
        self.start = start
        self.end = end
        self.records = tuple(records)
        self.size = sum(map(len, self.records))
        self.tally = tally
        self.left_out = left_out
        self.counts = counts
        self.observed_ns = observed_ns
        self._encoded: dict[Encode, bytes] = {}
        self._declared: dict[Encode, bytes] = {}

    @property
    def has_frame(self) -> bool:
        """Whether there is something to send, besides what was left out."""
        return bool(self.records or self.counts)

    def encoded(self, encode: Encode) -> bytes:
        """Return the ``Rows`` frame in the bytes of one transport: made once, then shared."""
        known = self._encoded.get(encode)
        if known is None:
            known = self._encoded[encode] = encode(Rows(self.records, self.end, self.counts))
        return known

    def declared(self, encode: Encode) -> bytes:
        """Return the ``Gap`` of what was left out, which stands before the rows of the same stretch: made once.

        Who is cut off between the two comes back to where both begin, and is told again; nobody is told never.
        """
        known = self._declared.get(encode)
        if known is None:
            back = str(self.start if self.has_frame else self.end)
            first, behind = _ends(self.start, self.end)
            gap = Gap(first, behind, count(self.left_out), "sampled", self.left_out, back)
            known = self._declared[encode] = encode(gap)
        return known


def evaluate(query: Query, batches: list[Batch], start: Position, end: Position) -> list[Chunk]:
    """Return what ``query`` finds in neighbouring batches that cover [start, end), in chunks of bounded size."""
    batch = Batch.concat(batches) if batches else None
    if not batch:
        return [Chunk(start, end)]
    return chunks(look(query, batch), start, end, batch.epoch, int(batch.numpy("observed")[-1]))


def evaluate_together(
    plans: Sequence[Plan], batch: Batch, start: Position, end: Position
) -> Iterator[list[list[Chunk]]]:
    """Yield what each query finds in a batch that covers [start, end), several queries at a time, in their order.

    Of a query that finds nothing there are no chunks.
    """
    if not len(batch):
        yield [[] for _ in plans]
        return
    observed_ns = int(batch.numpy("observed")[-1])
    for some in look_together(plans, batch):
        yield [chunks(found, start, end, batch.epoch, observed_ns) if found.records else [] for found in some]


def chunks(found: Found, start: Position, end: Position, epoch: int, observed_ns: int) -> list[Chunk]:
    """Return what was found in [start, end), in chunks of bounded size; one without records when nothing was.

    ``epoch`` is that of the log by which ``start`` and ``end`` differ.
    """
    rows = found.records
    if not rows:
        return [Chunk(start, end, observed_ns=observed_ns)]
    cuts: list[Chunk] = []
    for first, stop in pieces([len(row) for row in rows]):
        cut = start.with_cursor(Cursor(epoch, int(found.offsets[stop]))) if stop < len(rows) else end
        counted = tally(found.levels[first:stop], found.hashes[first:stop])
        cuts.append(Chunk(start, cut, rows[first:stop], counted, observed_ns))
        start = cut
    return cuts


def by_log(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Return the batches of each log by themselves, in their order."""
    logs: dict[int, list[Batch]] = {}
    for batch in batches:
        logs.setdefault(batch.epoch, []).append(batch)
    return list(logs.values())


def _ends(start: Position, end: Position) -> tuple[Cursor, Cursor]:
    """Return the stretch of one log by which two positions differ."""
    for behind in end.cursors:
        first = start.get(behind.epoch) or behind.beginning
        if first.offset != behind.offset:
            return first, behind
    raise ValueError(f"{start} and {end} are the same position")


def pieces(sizes: Sequence[int], apart: np.ndarray | None = None) -> list[tuple[int, int]]:
    """Cut rows of these sizes (bytes) into pieces [first, stop) of bounded size.

    With ``apart`` (bool) a piece may only begin where that is true, so some are larger.
    """
    if sizes and sum(sizes) <= TAIL_FRAME_BYTES_MAX:
        return [(0, len(sizes))]
    ends = np.cumsum(sizes)
    begins = np.arange(len(sizes) + 1) if apart is None else np.append(np.flatnonzero(apart), len(sizes))
    cuts: list[tuple[int, int]] = []
    first = 0
    while first < len(sizes):
        before = int(ends[first - 1]) if first else 0
        full = int(np.searchsorted(ends, before + TAIL_FRAME_BYTES_MAX, "right"))
        at = int(np.searchsorted(begins, full, "right")) - 1
        stop = int(begins[at]) if begins[at] > first else int(begins[np.searchsorted(begins, first, "right")])
        cuts.append((first, stop))
        first = stop
    return cuts
