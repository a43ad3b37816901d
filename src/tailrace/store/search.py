"""History: the store and the bus as one log, for everything that asks about the past.

The join rule. Take a snapshot of the store and note its checkpoint S; read the bus from S to where it ended when the
search began. Nothing is in both and nothing is in neither, so an answer is what a single log would give, and what
was acknowledged is found at once. When the bus forgets records while a search reads them (the store has them by then,
but not the snapshot), the search fails with Gone; it never answers with less.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.bus import Bus
from tailrace.cursor import Cursor
from tailrace.errors import BadInput, TooLarge
from tailrace.limits import (
    BUCKETS_MAX,
    CONTEXT_ROWS_MAX,
    FIELDS_SAMPLE_ROWS,
    GROUPS_MAX,
    INDEX_READ_BYTES,
    ORDERED_STEP_ROWS,
    PART_BYTES_FLUSH,
)
from tailrace.query import Query
from tailrace.query.plan import Always, Need, OfStream
from tailrace.record import LEVEL_NAMES, Batch, Stream
from tailrace.store import TIME_MAX_NS, TIME_MIN_NS, Progress, Search, Snapshot, Store
from tailrace.store.parts.scan import Block, Source, interleave, ordered, unordered
from tailrace.tally import NOTHING


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts over time: bucket i holds first_ns + i * span_ns <= time < first_ns + (i + 1) * span_ns.

    ``counts`` has an int64 array for each value of the attribute that was counted by (None: records without it), or
    one array under None.
    """

    first_ns: int
    span_ns: int
    counts: dict[str | None, np.ndarray]


@dataclass(slots=True)
class StreamFacts:
    """One stream's records: how many, and the time of the first and last of them."""

    rows: int = 0
    first_ns: int = TIME_MAX_NS
    last_ns: int = TIME_MIN_NS


@dataclass(frozen=True, slots=True)
class Facets:
    """Which attributes records have, with counts, largest first; ``sampled`` records were looked at, the newest."""

    counts: dict[str, int]
    sampled: int
    complete: bool


@dataclass(slots=True)
class _Values:
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, values: pa.Array) -> None:
        for entry in pc.value_counts(values.drop_null()).to_pylist():
            self.counts[entry["values"]] = self.counts.get(entry["values"], 0) + entry["counts"]
        if len(self.counts) > GROUPS_MAX:
            raise TooLarge(f"more than {GROUPS_MAX} different values", cure="Narrow the query or the time.")

    def top(self, limit: int | None) -> dict[str, int]:
        return dict(sorted(self.counts.items(), key=lambda entry: (-entry[1], entry[0]))[:limit])


@dataclass(frozen=True, slots=True)
class _Everything:
    """The filter of all records."""

    def matches(self, batch: Batch) -> np.ndarray:
        return np.ones(len(batch), bool)

    def need(self) -> Need:
        return Always()


@dataclass(frozen=True, slots=True)
class _OneStream:
    """The filter of the records of one stream."""

    json: str

    def matches(self, batch: Batch) -> np.ndarray:
        column = batch.array("stream")
        codes = [code for code, json in enumerate(column.dictionary.to_pylist()) if json == self.json]
        return np.isin(batch.stream_codes, codes)

    def need(self) -> Need:
        return OfStream(lambda stream: stream.json == self.json)


class History:
    """Store and bus as one. Any number of threads; a search belongs to the thread that iterates it."""

    def __init__(self, bus: Bus, store: Store) -> None:
        self._bus, self._store = bus, store

    def held(self, start: Cursor) -> tuple[Cursor, Cursor]:
        """Return the first stretch [first, next) behind ``start`` (or around it) from which nothing was removed.

        Its end is the end of the bus, or where the next thing that retention removed begins.
        """
        oldest = self._bus.first
        with self._store.snapshot() as snapshot:
            ranges = [held for held in self._store.held() if held[0].epoch == start.epoch]
            ranges.append((_behind(snapshot, oldest), self._bus.next))
        stretch: tuple[Cursor, Cursor] | None = None
        for first, behind in ranges:
            if stretch is None:
                stretch = (max(first, start), behind) if start < behind else None
            elif first == stretch[1]:
                stretch = (stretch[0], behind)
            else:
                break
        return stretch or (self._bus.next, self._bus.next)

    def stretches(self, since_ns: int) -> list[tuple[Cursor, Cursor]]:
        """Return the ranges [first, next) that are held, of this log, in its order; the last ends with the bus.

        Parts of which everything happened before ``since_ns`` are left out.
        """
        oldest = self._bus.first
        with self._store.snapshot() as snapshot:
            ranges = [held for held in self._store.held(since_ns) if held[0].epoch == oldest.epoch]
            return [*ranges, (_behind(snapshot, oldest), self._bus.next)]

    def scan(self, search: Search, progress: Progress) -> Generator[Batch]:
        """Yield exactly the records that ``search`` asks for, as ``Snapshot.scan`` does, from store and bus.

        The snapshot is taken when the first batch is asked for. Closing the generator stops the work. Raises Cancelled,
        Damaged (a part turned out to be; ask again for the rest) and Gone (the bus forgot while this was reading).
        """
        oldest = self._bus.first
        with self._store.snapshot() as snapshot:
            start, end = _behind(snapshot, oldest), self._bus.next
            if search.stop is not None and search.stop.epoch == end.epoch:
                end = min(end, search.stop)
            if search.start is not None and search.start.epoch == end.epoch:
                start = max(start, search.start)
            of_another_log = any(c is not None and c.epoch != end.epoch for c in (search.start, search.stop))
            if of_another_log or not start < end:
                yield from snapshot.scan(search, progress)
            elif search.order is None or search.order == "arrival":
                yield from self._store_first(snapshot, start, end, search, progress)
            else:
                yield from self._bus_first(snapshot, start, end, search, progress)

    def _store_first(
        self, snapshot: Snapshot, start: Cursor, end: Cursor, search: Search, progress: Progress
    ) -> Iterator[Batch]:
        left = search.limit
        for batch in snapshot.scan(search, progress):
            yield batch
            left = None if left is None else left - len(batch)
        if left is None or left > 0:
            rest = replace(search, limit=left)
            sources = (_OnBus.of(batch) for batch in self._read(start, end, progress))
            if search.order is None:
                yield from unordered(sources, rest, progress)
            else:
                yield from ordered(self._sources(start, end, progress), rest, progress)

    def _bus_first(
        self, snapshot: Snapshot, start: Cursor, end: Cursor, search: Search, progress: Progress
    ) -> Iterator[Batch]:
        # What is on the bus costs least and is mostly the newest: it tells how little is needed of the store.
        newer = ordered(self._sources(start, end, progress), search, progress)
        if search.order == "arrival_newest":
            left = search.limit
            for batch in newer:
                yield batch
                left = None if left is None else left - len(batch)
            if left is None or left > 0:
                after = search.after if search.after is not None and search.after[1] < start.offset else None
                yield from snapshot.scan(replace(search, limit=left, after=after), progress)
            return
        older = search
        if search.limit is not None and search.limit <= ORDERED_STEP_ROWS:
            on_bus = list(newer)
            newer = iter(on_bus)
            if sum(map(len, on_bus)) >= search.limit:
                bound = int(on_bus[-1].numpy("time")[-1])
                if search.order == "newest":
                    older = replace(search, first_ns=max(search.first_ns, bound))
                else:
                    older = replace(search, last_ns=min(search.last_ns, bound))
        yield from interleave([snapshot.scan(older, progress), newer], search)

    def _read(self, start: Cursor, end: Cursor, progress: Progress) -> Iterator[Batch]:
        while start < end:
            for batch in self._bus.read(start, INDEX_READ_BYTES):
                if not batch.first < end:
                    return
                progress.scanned_bytes += batch.nbytes
                yield batch if batch.next <= end else batch.slice(0, end - batch.first)
                start = batch.next

    def _sources(self, start: Cursor, end: Cursor, progress: Progress) -> list[Source]:
        """Everything on the bus from ``start`` on; batches beyond the size of a part are read again when needed."""
        sources: list[Source] = []
        size = 0
        for batch in self._read(start, end, progress):
            size += batch.nbytes
            sources.append(_OnBus.of(batch, self._bus if size > PART_BYTES_FLUSH else None))
        return sources

    # -- what pages and tools ask besides --------------------------------------------------------------------------

    def histogram(
        self, search: Search, span_ns: int, by: Literal["level"] | str | None, progress: Progress
    ) -> Histogram:
        """Count records over time in buckets of ``span_ns`` that begin at multiples of it, zero-filled.

        Without a range in ``search`` it is that of the records. Blocks that lie in one bucket and match as a whole are
        counted without being read. Raises TooLarge for more than BUCKETS_MAX buckets or GROUPS_MAX values of ``by``.
        """
        with progress.uncounted():
            first_ns, last_ns = self._range(search, progress)
        first_ns -= first_ns % span_ns
        buckets = (last_ns - first_ns) // span_ns + 1
        if buckets > BUCKETS_MAX:
            raise TooLarge(f"{buckets} buckets are too many", cure=f"Ask for {BUCKETS_MAX} or fewer: a longer span.")
        counts: dict[str | None, np.ndarray] = {} if by else {None: np.zeros(buckets, np.int64)}

        def add(value: str | None, added: np.ndarray) -> None:
            if value not in counts:
                if len(counts) * buckets >= GROUPS_MAX * 10:
                    raise TooLarge(f"too many values of {by} to count over time", cure="Narrow the query.")
                counts[value] = np.zeros(buckets, np.int64)
            counts[value] += added

        plain = replace(search, order=None, limit=None, after=None, first_ns=max(search.first_ns, first_ns))
        for batch in self.scan(plain, progress):
            bucket = _one_bucket(batch, first_ns, span_ns)
            if isinstance(batch, Block) and bucket is not None and by in (None, "level"):
                for name, count in zip(LEVEL_NAMES, batch.part.levels[batch.number].tolist(), strict=True):
                    if count:
                        add(name if by else None, (np.arange(buckets) == bucket) * count)
                continue
            places = (batch.numpy("time") - first_ns) // span_ns
            if by is None:
                counts[None] += np.bincount(places, minlength=buckets)
                continue
            values = batch.column(by).dictionary_encode(null_encoding="encode")
            codes = values.indices.to_numpy()
            for code, value in enumerate(values.dictionary.to_pylist()):
                add(value, np.bincount(places[codes == code], minlength=buckets))
        return Histogram(first_ns, span_ns, counts)

    def _range(self, search: Search, progress: Progress) -> tuple[int, int]:
        """Return the first and last time of a histogram: the search's, or else those of the records it finds."""
        first_ns, last_ns = search.first_ns, search.last_ns
        one = replace(search, limit=1, after=None)
        if first_ns == TIME_MIN_NS:
            found = next(self.scan(replace(one, order="oldest"), progress), None)
            first_ns = int(found.numpy("time")[0]) if found else min(last_ns, 0)
        if last_ns == TIME_MAX_NS:
            found = next(self.scan(replace(one, order="newest"), progress), None)
            last_ns = int(found.numpy("time")[0]) if found else first_ns
        return first_ns, max(first_ns, last_ns)

    def values(self, search: Search, name: str, limit: int, progress: Progress) -> dict[str, int]:
        """Return the values of an attribute with their counts, the most frequent first. Raises TooLarge."""
        values = _Values()
        for batch in self.scan(replace(search, order=None, limit=None, after=None), progress):
            values.add(batch.column(name))
        return values.top(limit)

    def fields(self, search: Search, progress: Progress) -> Facets:
        """Return which attributes the newest FIELDS_SAMPLE_ROWS records have that a search finds, with counts."""
        counts: dict[str, int] = {}
        sampled = 0

        def add(name: str, count: int) -> None:
            if count and (name in counts or len(counts) < GROUPS_MAX):
                counts[name] = counts.get(name, 0) + count

        sample = replace(search, order="newest", limit=FIELDS_SAMPLE_ROWS, after=None)
        for batch in self.scan(sample, progress):
            sampled += len(batch)
            for code, rows in enumerate(np.bincount(batch.stream_codes, minlength=len(batch.streams)).tolist()):
                for label in batch.streams[code].labels:
                    add(label, rows)
            add("level", int(np.count_nonzero(batch.numpy("level"))))
            add("trace_id", len(batch) - batch.array("trace_id").null_count)
            # A Python loop over lines, of a bounded sample: JSON has no vectorised look-up in Arrow.
            for text in batch.array("fields").drop_null().to_pylist():
                for name in orjson.loads(text):
                    add(name, 1)
        counts = dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))
        return Facets(counts, sampled, sampled < FIELDS_SAMPLE_ROWS)

    def streams(self, search: Search, progress: Progress) -> dict[Stream, StreamFacts]:
        """Return who spoke, how much, and when first and last. Raises TooLarge."""
        found: dict[Stream, StreamFacts] = {}
        for batch in self.scan(replace(search, order=None, limit=None, after=None), progress):
            codes, times, streams = batch.stream_codes, batch.numpy("time"), batch.streams
            first = np.full(len(streams), TIME_MAX_NS, np.int64)
            last = np.full(len(streams), TIME_MIN_NS, np.int64)
            np.minimum.at(first, codes, times)
            np.maximum.at(last, codes, times)
            for code, rows in enumerate(np.bincount(codes, minlength=len(streams)).tolist()):
                if rows:
                    facts = found.setdefault(streams[code], StreamFacts())
                    facts.rows += rows
                    facts.first_ns = min(facts.first_ns, int(first[code]))
                    facts.last_ns = max(facts.last_ns, int(last[code]))
            if len(found) > GROUPS_MAX:
                raise TooLarge(f"more than {GROUPS_MAX} streams", cure="Narrow the query or the time.")
        return found

    def tally(self, query: Query, start: Cursor, stop: Cursor, progress: Progress) -> int:
        """Return the tally (``tailrace.tally``) of what a query that can be live means in [start, stop)."""
        total = NOTHING
        with closing(self.scan(Search(query.filter, start=start, stop=stop), progress)) as scan:
            for batch in scan:
                total += query.tally(batch)
        return total

    def context(self, cursor: Cursor, before: int, after: int, progress: Progress) -> tuple[Batch, int]:
        """Return the lines around a record in its own stream, in the order of arrival, and the index of the record.

        Raises BadInput when there is no such record (any more).
        """
        before, after = min(before, CONTEXT_ROWS_MAX), min(after, CONTEXT_ROWS_MAX)
        target = self._all(Search(_Everything(), start=cursor, stop=cursor + 1), progress)
        if not target:
            raise BadInput(f"there is no record {cursor}", cure="Retention may have removed it.")
        stream = _OneStream(target[0].streams[int(target[0].stream_codes[0])].json)
        # The record itself is the last of those before, so one of the two searches has it.
        older = Search(stream, stop=cursor + 1, start=Cursor(cursor.epoch, 0), order="arrival_newest", limit=before + 1)
        newer = Search(stream, start=cursor + 1, order="arrival", limit=after)
        lines = Batch.concat(self._all(older, progress))
        lines = lines.take(np.arange(len(lines))[::-1])
        return Batch.concat([lines, *(self._all(newer, progress) if after else [])]), len(lines) - 1

    def _all(self, search: Search, progress: Progress) -> list[Batch]:
        with closing(self.scan(search, progress)) as scan:
            return list(scan)


@dataclass(frozen=True, slots=True)
class _OnBus:
    """A batch on the bus as a Source: kept, or read again from ``bus``."""

    bounds: tuple[int, int, int, int]
    batch: Batch | None
    bus: Bus | None
    first: Cursor

    @staticmethod
    def of(batch: Batch, bus: Bus | None = None) -> _OnBus:
        time = batch.numpy("time")
        bounds = (int(time.min()), int(time.max()), batch.first.offset, batch.next.offset - 1)
        return _OnBus(bounds, None if bus else batch, bus, batch.first)

    def load(self) -> Batch:
        if self.batch is not None or self.bus is None:
            assert self.batch is not None
            return self.batch
        rows = self.bounds[3] + 1 - self.bounds[2]
        return self.bus.read(self.first, 1)[0].slice(0, rows)


def _one_bucket(batch: Batch, first_ns: int, span_ns: int) -> int | None:
    """Return the bucket that a whole block of a part lies in; None when it has several, or is not a whole block."""
    if not isinstance(batch, Block) or batch.rows is not None:
        return None
    begins, ends = ((time_ns - first_ns) // span_ns for time_ns in batch.bounds)
    return begins if begins == ends else None


def _behind(snapshot: Snapshot, oldest: Cursor) -> Cursor:
    """Return where the bus takes over from a snapshot, before which ``oldest`` was the first position on the bus.

    Asked later, the bus might have let go of what a store stored in between that had nothing yet.
    """
    checkpoint = snapshot.checkpoint
    return checkpoint if checkpoint is not None and checkpoint.epoch == oldest.epoch else oldest
