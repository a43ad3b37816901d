"""Merging: neighbouring parts become one, so that a search opens few parts and blocks are full.

Tiered: at least PARTS_MERGE_MIN neighbours in the order of the log, none larger than the rest together, so that a row
is rewritten about log6(n) times; or fewer, when together they nearly make a part of PART_ROWS_MAX, which is final.

Every input is sorted already. One block of each is in memory; everything up to the least of the blocks' last keys is
complete, is sorted and written, and the block that had that key is replaced by the next of its part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa

from tailrace.limits import PART_ROWS_MAX, PARTS_MERGE_MIN
from tailrace.store.parts.part import ROWS, Part, PartWriter

_FEW_MIN = 3


def choose(parts: Sequence[Part]) -> list[Part]:
    """Return the neighbours to merge next, the cheapest first; empty when nothing is worth it."""
    best: tuple[int, list[Part]] | None = None
    for start in range(len(parts)):
        total = largest = 0
        for stop in range(start, len(parts)):
            if parts[stop].first.epoch != parts[start].first.epoch:
                break
            total += parts[stop].total_rows
            largest = max(largest, parts[stop].total_rows)
            if total > PART_ROWS_MAX:
                break
            count = stop + 1 - start
            enough = count >= PARTS_MERGE_MIN or (count >= _FEW_MIN and total > PART_ROWS_MAX * 3 // 4)
            if enough and largest * 2 <= total and (best is None or total < best[0]):
                best = (total, list(parts[start : stop + 1]))
    return [] if best is None else best[1]


def merge(parts: Sequence[Part], directory: Path, check: Callable[[], None]) -> int:
    """Write the rows of neighbouring parts as one part to a new directory; return the checksum of its ``part.json``.

    ``check`` is called once per block and may raise to stop. Raises Damaged when an input is.
    """
    writer = PartWriter(directory, parts[0].first, parts[-1].next)
    try:
        names = sorted({stream.json for part in parts for stream in part.streams})
        ranks = {name: rank for rank, name in enumerate(names)}
        inputs = [one for part in parts if (one := _Input(part, ranks)).advance()]
        while inputs:
            check()
            least = min(inputs, key=_Input.last)
            bound = least.last()
            pieces = [one.cut(bound) for one in inputs]
            writer.write(_in_order(pieces))
            inputs = [one for one in inputs if len(one) or one.advance()]
        return writer.finish()
    except BaseException:
        writer.abort()
        raise


class _Input:
    """The next rows of one part, and their keys: rank of the stream, time, offset."""

    def __init__(self, part: Part, ranks: dict[str, int]) -> None:
        self._file = part.open()
        self._blocks = iter(range(len(part.rows)))
        self._ranks = ranks
        self._rows = pa.RecordBatch.from_pylist([], ROWS)
        self._keys = (np.zeros(0, np.int64),) * 3

    def __len__(self) -> int:
        return self._rows.num_rows

    def advance(self) -> bool:
        """Read the next block; tell whether there was one."""
        block = next(self._blocks, None)
        if block is None:
            return False
        arrays = [self._file.read(block, name) for name in ROWS.names]
        self._rows = pa.RecordBatch.from_arrays(arrays, schema=ROWS)
        stream = self._rows["stream"]
        ranks = np.array([self._ranks[name] for name in stream.dictionary.to_pylist()], np.int64)
        self._keys = (ranks[stream.indices.to_numpy()], self._rows["time"].to_numpy(), self._rows["offset"].to_numpy())
        return True

    def last(self) -> tuple[int, int, int]:
        """Return the key of the last row in memory."""
        rank, time, offset = (int(column[-1]) for column in self._keys)
        return rank, time, offset

    def cut(self, bound: tuple[int, int, int]) -> tuple[pa.RecordBatch, tuple[np.ndarray, ...]]:
        """Take away the rows up to a key, and that one too."""
        rank, time, offset = self._keys
        before = (rank < bound[0]) | (
            (rank == bound[0]) & ((time < bound[1]) | ((time == bound[1]) & (offset <= bound[2])))
        )
        count = int(np.count_nonzero(before))
        taken = self._rows.slice(0, count), tuple(column[:count] for column in self._keys)
        self._rows = self._rows.slice(count)
        self._keys = (rank[count:], time[count:], offset[count:])
        return taken


def _in_order(pieces: Sequence[tuple[pa.RecordBatch, tuple[np.ndarray, ...]]]) -> pa.RecordBatch:
    pieces = [piece for piece in pieces if piece[0].num_rows]
    if len(pieces) == 1:
        return pieces[0][0]
    rank, time, offset = (np.concatenate(columns) for columns in zip(*(keys for _, keys in pieces), strict=True))
    order = np.lexsort((offset, time, rank))
    table = pa.Table.from_batches([rows for rows, _ in pieces], ROWS).unify_dictionaries().combine_chunks()
    return table.to_batches()[0].take(pa.array(order))
