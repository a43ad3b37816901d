"""Searching blocks: which can be skipped, what is read of the others, and how an order is kept with few of them.

A ``Block`` is a batch whose columns are read from disk when they are first asked for, so a filter decodes what it looks
at and nothing else, and a consumer that counts by stream never decodes a message.

``unordered`` goes through the candidates as they lie. ``ordered`` visits sources by the best key that they can hold
and keeps the keys of what matched, not the rows; what is better than all that the next source can hold is certain, and
only then are the other columns of those rows read. With a limit it keeps no more keys than the limit, looks only at
rows that could still be among them, and stops as soon as enough are certain. Without one its memory is 24 bytes for
each matched row of the blocks that overlap in time, and the blocks of one step of output.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np
import pyarrow as pa

from tailrace.cursor import Cursor
from tailrace.errors import Damaged
from tailrace.limits import ORDERED_STEP_ROWS
from tailrace.query.plan import All, Always, InTime, Need, Never, OfLevel, OfStream, Prefix, Some, Token
from tailrace.record import SCHEMA, Batch
from tailrace.store import OFFSET_MAX, Progress, Search
from tailrace.store.parts.part import Part, PartDamaged, PartFile

_BLOCKS_KEPT = 16
"""Blocks of which ``ordered`` keeps the columns that it decoded, between matching and output."""


class Block(Batch):
    """Rows of one block of a part, as a batch; ``rows`` picks some of them (None: all)."""

    __slots__ = ("_arrays", "_file", "_progress", "_whole", "number", "part", "rows")

    def __init__(self, part: Part, file: PartFile, number: int, progress: Progress) -> None:
        self.part = part
        self.number = number
        self.rows: np.ndarray | None = None
        self._whole: Block | None = None
        self._file = file
        self._progress = progress
        self._arrays: dict[str, pa.Array] = {}
        self._derived = {}
        self.epoch = part.first.epoch
        self.covers = None
        self.origins = ()

    def __len__(self) -> int:
        return int(self.part.rows[self.number]) if self.rows is None else len(self.rows)

    @property
    def columns(self) -> pa.RecordBatch:  # type: ignore[override]
        """All columns, decoded now."""
        return pa.RecordBatch.from_arrays([self.array(name) for name in SCHEMA.names], schema=SCHEMA)

    @property
    def offsets(self) -> np.ndarray:  # type: ignore[override]
        """The offset of each row's cursor."""
        return self.array("offset").to_numpy(zero_copy_only=True)

    @property
    def nbytes(self) -> int:
        """Memory of the columns that were decoded, in bytes."""
        return sum(array.nbytes for array in self._arrays.values())

    @property
    def bounds(self) -> tuple[int, int]:
        """The first and last time of the block's rows, known without reading them."""
        return int(self.part.first_ns[self.number]), int(self.part.last_ns[self.number])

    def array(self, name: str) -> pa.Array:
        """Return one column, or ``offset``. Raises Damaged."""
        array = self._arrays.get(name)
        if array is None:
            if self._whole is None:
                array = self._file.read(self.number, name)
                self._progress.scanned_bytes += array.nbytes
            else:
                array = self._whole.array(name).take(pa.array(self.rows))
            self._arrays[name] = array
        return array

    def filter(self, mask: np.ndarray) -> Batch:
        """Return the rows where ``mask`` is true: itself when all are, else a block that reads as late as this one."""
        return self if mask.all() else self.take(np.flatnonzero(mask))

    def take(self, rows: np.ndarray) -> Batch:
        """Return some rows, as a block that reads as late as this one, and what either reads the other has."""
        some = Block(self.part, self._file, self.number, self._progress)
        some.rows = rows if self.rows is None else self.rows[rows]
        some._whole = self if self._whole is None else self._whole
        return some

    def slice(self, start: int, stop: int) -> Batch:
        """Return rows [start, stop)."""
        return self.take(np.arange(start, stop))


class Source(Protocol):
    """Rows that are known by their bounds and loaded when needed: a block of a part, a batch on the bus."""

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First and last time, first and last offset of its rows."""
        ...

    def load(self) -> Batch:
        """Return the rows."""
        ...


class BlockSource:
    """A block of a part as a Source."""

    __slots__ = ("_file", "_number", "_part", "_progress")

    def __init__(self, part: Part, file: PartFile, number: int, progress: Progress) -> None:
        self._part, self._file, self._number, self._progress = part, file, number, progress

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        """First and last time, first and last offset of the block's rows."""
        part, number = self._part, self._number
        facts = (part.first_ns, part.last_ns, part.first_offset, part.last_offset)
        first_ns, last_ns, first, last = (int(fact[number]) for fact in facts)
        return first_ns, last_ns, first, last

    def load(self) -> Block:
        """Return the block; its columns are read when they are asked for."""
        return Block(self._part, self._file, self._number, self._progress)


def candidates(part: Part, search: Search) -> np.ndarray:
    """Return the numbers of the blocks of a part that may hold what a search asks for, ascending."""
    try:
        return _candidates(part, search)
    except (Damaged, OSError, pa.ArrowException) as error:
        raise PartDamaged(part, str(error)) from error


def _candidates(part: Part, search: Search) -> np.ndarray:
    may = (part.last_ns >= search.first_ns) & (part.first_ns <= search.last_ns)
    within = search.within(part.first.epoch)
    if within is None:
        return np.zeros(0, np.int64)
    may &= (part.last_offset >= within[0]) & (part.first_offset < within[1])
    if may.any():
        may &= _may_hold(search.filter.need(), part)
    return np.flatnonzero(may)


def _may_hold(need: Need, part: Part) -> np.ndarray:  # noqa: C901, PLR0911 - a case per kind of need
    blocks = len(part.rows)
    match need:
        case Never():
            return np.zeros(blocks, bool)
        case Token(text):
            return _mask(part.index.blocks(text), blocks)
        case Prefix(text):
            return _mask(part.index.blocks_of_prefix(text), blocks)
        case OfStream(test):
            return _blocks_of_streams(part, np.array([test(stream) for stream in part.streams], bool))
        case InTime(first_ns, last_ns):
            return (part.last_ns >= first_ns) & (part.first_ns <= last_ns)
        case OfLevel(levels):
            return (part.levels[:, sorted(levels)] > 0).sum(axis=1) > 0
        case All(needs):
            mask = np.ones(blocks, bool)
            for one in needs:
                if not mask.any():
                    break
                mask &= _may_hold(one, part)
            return mask
        case Some(needs):
            mask = np.zeros(blocks, bool)
            for one in needs:
                mask |= _may_hold(one, part)
            return mask
        case Always():
            return np.ones(blocks, bool)


def _mask(numbers: np.ndarray, blocks: int) -> np.ndarray:
    mask = np.zeros(blocks, bool)
    mask[numbers] = True
    return mask


def _blocks_of_streams(part: Part, wanted: np.ndarray) -> np.ndarray:
    """Return which blocks hold a row of the wanted streams: the streams lie one after the other in a part."""
    ends = np.append(part.stream_starts[1:], part.total_rows)
    change = np.zeros(len(part.rows) + 1, np.int64)
    first = np.searchsorted(part.starts, part.stream_starts[wanted], side="right") - 1
    last = np.searchsorted(part.starts, ends[wanted] - 1, side="right") - 1
    np.add.at(change, first, 1)
    np.add.at(change, last + 1, -1)
    return np.cumsum(change[:-1]) > 0


def row_mask(batch: Batch, search: Search, bounds: tuple[int, int, int, int]) -> np.ndarray:
    """Return which rows the ranges of a search let through; a column is read only when ``bounds`` do not tell."""
    first_ns, last_ns, first, last = bounds
    mask = np.ones(len(batch), bool)
    if first_ns < search.first_ns:
        mask &= batch.numpy("time") >= search.first_ns
    if last_ns > search.last_ns:
        mask &= batch.numpy("time") <= search.last_ns
    begin, stop = search.within(batch.epoch) or (0, 0)
    if first < begin:
        mask &= _offsets(batch) >= begin
    if last >= stop:
        mask &= _offsets(batch) < stop
    return mask


def unordered(sources: Iterable[Source], search: Search, progress: Progress) -> Iterator[Batch]:
    """Yield the matching rows of each source, in the order of the sources; stops at the limit."""
    left = search.limit
    for source in sources:
        if left is not None and left <= 0:
            return
        progress.check()
        batch = source.load()
        progress.scanned_records += len(batch)
        mask = row_mask(batch, search, source.bounds)
        if not mask.any():
            continue
        mask &= search.filter.matches(batch)
        rows = np.flatnonzero(mask)[:left]
        if not len(rows):
            continue
        progress.matched += len(rows)
        left = None if left is None else left - len(rows)
        yield batch if len(rows) == len(batch) else batch.take(rows)


class _Key:
    """The order of a search in one log as two ascending int64 columns (``~x`` turns it round and cannot overflow).

    ``among`` is the same among several logs.
    """

    def __init__(self, search: Search, epoch: int = 0) -> None:
        self._by_time = search.order in ("newest", "oldest")
        self._flip = -1 if search.order in ("newest", "arrival_newest") else 0
        self.after = None if search.after is None else self._behind(*search.after, epoch)

    def _behind(self, time_ns: int, last: Cursor, epoch: int) -> tuple[int, int]:
        """Return the key behind which a page goes on in one log: all or nothing of an equal time in another log."""
        if last.epoch == epoch:
            return self.of(time_ns, last.offset)
        return self.of(time_ns, -1 if epoch > last.epoch else OFFSET_MAX)

    def among(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (time or 0, epoch, offset) of each row, ascending in the order of the search."""
        offsets = _offsets(batch)
        epochs = np.full(len(batch), (batch.epoch - 2**63) ^ self._flip)
        times = batch.numpy("time") ^ self._flip if self._by_time else np.zeros(len(batch), np.int64)
        return times, epochs, offsets ^ self._flip

    def of(self, time_ns: int, offset: int) -> tuple[int, int]:
        return (time_ns if self._by_time else offset) ^ self._flip, offset ^ self._flip

    def best(self, bounds: tuple[int, int, int, int]) -> tuple[int, int]:
        first_ns, last_ns, first, last = bounds
        return self.of(last_ns, last) if self._flip else self.of(first_ns, first)

    def worst(self, bounds: tuple[int, int, int, int]) -> tuple[int, int]:
        first_ns, last_ns, first, last = bounds
        return self.of(first_ns, first) if self._flip else self.of(last_ns, last)

    def columns(self, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
        offsets = _offsets(batch)
        return (batch.numpy("time") if self._by_time else offsets) ^ self._flip, offsets ^ self._flip


def ordered(sources: Sequence[Source], search: Search, progress: Progress, epoch: int) -> Iterator[Batch]:
    """Yield the rows that a search asks for, in its order, in as few batches as memory allows.

    All sources are of one log, ``epoch``.
    """
    key = _Key(search, epoch)
    after = key.after
    behind = [source for source in sources if after is None or key.worst(source.bounds) > after]
    queue = sorted(((key.best(source.bounds), source) for source in behind), key=lambda entry: entry[0])
    found = _Found([source for _, source in queue], search, key)
    for number, (best, _) in enumerate(queue):
        yield from found.step(best)
        if found.complete:
            return
        progress.check()
        found.look(number, progress)
    yield from found.rest()


class _Found:
    """What ``ordered`` has matched and not put out: the key, the source and the row of each.

    With a limit it is sorted and never longer than what is left of the limit.
    """

    def __init__(self, sources: Sequence[Source], search: Search, key: _Key) -> None:
        self._sources, self._search, self._key = sources, search, key
        self._left = search.limit
        self._kept: OrderedDict[int, Batch] = OrderedDict()
        self._waiting = [np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)]
        self._added: list[tuple[np.ndarray, ...]] = []
        self._added_rows = 0

    @property
    def complete(self) -> bool:
        """Whether the limit is reached."""
        return self._left is not None and self._left <= 0

    def look(self, number: int, progress: Progress) -> None:
        """Match a source and keep the keys of what may be among the rows asked for."""
        source = self._sources[number]
        batch = source.load()
        progress.scanned_records += len(batch)
        mask = row_mask(batch, self._search, source.bounds)
        full = self._left is not None and len(self._waiting[0]) >= self._left
        if full or self._key.after is not None:
            first, second = self._key.columns(batch)
            if self._key.after is not None:
                mask &= _beyond(first, second, self._key.after)
            if full:
                mask &= ~_beyond(first, second, (int(self._waiting[0][-1]), int(self._waiting[1][-1])))
        rows = np.flatnonzero(mask)
        if len(rows):
            few = batch if len(rows) == len(batch) else batch.take(rows)
            rows = rows[self._search.filter.matches(few)]
        if not len(rows):
            return
        first, second = self._key.columns(batch)
        progress.matched += len(rows)
        self._kept[number] = batch
        if len(self._kept) > _BLOCKS_KEPT:
            self._kept.popitem(last=False)
        self._added.append((first[rows], second[rows], np.full(len(rows), number, np.int32), rows.astype(np.int32)))
        self._added_rows += len(rows)
        if self._left is not None:
            self._sort()

    def step(self, best: tuple[int, int]) -> Iterator[Batch]:
        """Yield what is certain, when it completes the limit or makes a batch worth its cost.

        ``best`` is the best key that what was not looked at can have.
        """
        full = self._left is not None and len(self._waiting[0]) >= self._left
        if not full:
            if self._added_rows + len(self._waiting[0]) < ORDERED_STEP_ROWS:
                return
            if 0 < self._added_rows < ORDERED_STEP_ROWS // 2:
                return  # sorting them among the others is worth it only for many
            self._sort()
        beyond = ~_beyond(self._waiting[0], self._waiting[1], best)
        certain = int(np.count_nonzero(beyond))
        if certain >= ORDERED_STEP_ROWS or (full and certain == len(beyond)):
            yield self._emit(certain)

    def rest(self) -> Iterator[Batch]:
        """Yield everything that is left."""
        self._sort()
        while len(self._waiting[0]):
            yield self._emit(min(len(self._waiting[0]), ORDERED_STEP_ROWS))

    def _sort(self) -> None:
        if self._added:
            columns = [np.concatenate(pieces) for pieces in zip(self._waiting, *self._added, strict=True)]
            order = np.lexsort((columns[1], columns[0]))[: self._left]
            self._waiting = [column[order] for column in columns]
            self._added, self._added_rows = [], 0

    def _emit(self, count: int) -> Batch:
        _, _, sources, rows = (column[:count] for column in self._waiting)
        self._waiting = [column[count:] for column in self._waiting]
        if self._left is not None:
            self._left -= count
        together = np.argsort(sources, kind="stable")
        numbers, starts = np.unique(sources[together], return_index=True)
        pieces = [
            self._batch(number).take(picked)
            for number, picked in zip(numbers.tolist(), np.split(rows[together], starts[1:]), strict=True)
        ]
        order = np.empty(count, np.int64)
        order[together] = np.arange(count)
        return Batch.concat(pieces).take(order)

    def _batch(self, number: int) -> Batch:
        kept = self._kept.get(number)
        return self._sources[number].load() if kept is None else kept


def _beyond(first: np.ndarray, second: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    return (first > key[0]) | ((first == key[0]) & (second > key[1]))


def _offsets(batch: Batch) -> np.ndarray:
    if batch.offsets is None:
        raise ValueError("only records that a log has taken can be searched")
    return batch.offsets


def interleave(scans: Sequence[Iterator[Batch]], search: Search) -> Iterator[Batch]:
    """Merge scans that are each in the order of a search into one, up to its limit.

    Records of different logs never share a batch: a batch has one epoch.
    """
    key = _Key(search)
    left = search.limit
    heads = {number: batch for number, scan in enumerate(scans) if (batch := next(scan, None)) is not None}
    while heads and (left is None or left > 0):
        keys = {number: key.among(batch) for number, batch in heads.items()}
        bound = min(tuple(int(column[-1]) for column in columns) for columns in keys.values())
        pieces: list[Batch] = []
        columns: list[tuple[np.ndarray, ...]] = []
        for number, batch in list(heads.items()):
            count = _count_up_to(keys[number], bound)
            if count:
                columns.append((*(column[:count] for column in keys[number]), np.full(count, len(pieces))))
                pieces.append(batch.slice(0, count))
            following = batch.slice(count, len(batch)) if count < len(batch) else next(scans[number], None)
            if following is None:
                del heads[number]
            else:
                heads[number] = following
        for batch in _together(pieces, columns, left):
            left = None if left is None else left - len(batch)
            yield batch


def _count_up_to(columns: tuple[np.ndarray, ...], bound: tuple[int, ...]) -> int:
    """Return how many rows, of columns that ascend together, are not beyond ``bound``."""
    times, epochs, offsets = columns
    time, epoch, offset = bound
    later = (epochs > epoch) | ((epochs == epoch) & (offsets > offset))
    return int(np.count_nonzero((times < time) | ((times == time) & ~later)))


def _together(pieces: list[Batch], columns: list[tuple[np.ndarray, ...]], limit: int | None) -> Iterator[Batch]:
    times, epochs, offsets, piece = (np.concatenate(column) for column in zip(*columns, strict=True))
    order = np.lexsort((offsets, epochs, times))[:limit]
    if len({batch.epoch for batch in pieces}) == 1:
        yield Batch.concat(pieces).take(order)
        return
    row = np.concatenate([np.arange(len(batch)) for batch in pieces])
    # Each run of neighbours of one log is a batch.
    for run in np.split(order, np.flatnonzero(np.diff(epochs[order])) + 1):
        yield _run(pieces, piece[run], row[run])


def _run(pieces: list[Batch], piece: np.ndarray, row: np.ndarray) -> Batch:
    """Return these rows of pieces of one log, in their order."""
    numbers, starts = np.unique(piece, return_inverse=True)
    if len(numbers) == 1:
        return pieces[int(numbers[0])].take(row)
    firsts = np.concatenate([[0], np.cumsum([len(pieces[number]) for number in numbers.tolist()])[:-1]])
    return Batch.concat([pieces[number] for number in numbers.tolist()]).take(firsts[starts] + row)
