"""History: the store and the bus as one log, for everything that asks about the past.

The join rule. Take a snapshot of the store and note its checkpoint S; read the bus from S to where it ended when the
search began. Nothing is in both and nothing is in neither, so an answer is what a single log would give, and what
was acknowledged is found at once. Of several logs (the partitions of a topic) S is a place in each, and each is read
from there. When the bus forgets records while a search reads them (the store has them by then,
but not the snapshot), the search fails with Gone; it never answers with less.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import orjson

from tailrace.bus import Log
from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import BadInput, Gone, TooLarge
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
from tailrace.query.filters.logic import Everything
from tailrace.query.pipes.stats import STREAM, Key
from tailrace.query.plan import Need, OfStream
from tailrace.record import LEVEL_NAMES, Batch, Stream
from tailrace.store import TIME_MAX_NS, TIME_MIN_NS, Progress, Search, Snapshot, Store
from tailrace.store.counts import Values, counting, one_bucket, over_time, parted
from tailrace.store.parts.scan import Block, Source, interleave, ordered, unordered
from tailrace.tally import NOTHING

Stretch = tuple[Cursor, Cursor]
"""[first, next) of one log."""


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


@dataclass(frozen=True, slots=True)
class OneStream:
    """The filter of the records of one stream."""

    json: str

    def matches(self, batch: Batch) -> np.ndarray:
        """Return the rows of that stream."""
        column = batch.array("stream")
        codes = [code for code, json in enumerate(column.dictionary.to_pylist()) if json == self.json]
        return np.isin(batch.stream_codes, codes)

    def need(self) -> Need:
        """Return that stream."""
        return OfStream(lambda stream: stream.json == self.json)


class History:
    """Store and bus as one. Any number of threads; a search belongs to the thread that iterates it."""

    def __init__(self, bus: Log, store: Store) -> None:
        self._bus, self._store = bus, store

    def end(self) -> Position:
        """Return where the bus ends now, asked of whoever keeps it: what was acknowledged is before it."""
        return self._bus.newest()

    def held(self, start: Cursor) -> tuple[Cursor, Cursor]:
        """Return the first stretch [first, next) of a log behind ``start`` (or around it) with nothing removed from it.

        Its end is the end of the bus, or where the next thing that retention removed begins.
        """
        oldest = self._bus.first
        with self._store.snapshot() as snapshot:
            ranges = [held for held in self._store.held() if held[0].epoch == start.epoch]
            join = _behind(snapshot, oldest, start.epoch)
            end = self._bus.next.get(start.epoch) or join
            ranges.append((join, end))
        stretch: tuple[Cursor, Cursor] | None = None
        for first, behind in ranges:
            if stretch is None:
                stretch = (max(first, start), behind) if start < behind else None
            elif first == stretch[1]:
                stretch = (stretch[0], behind)
            else:
                break
        return stretch or (end, end)

    def stretches(self, since_ns: int) -> list[tuple[Cursor, Cursor]]:
        """Return the ranges [first, next) that are held, of each log in its order; the last of a log ends with the bus.

        Parts of which everything happened before ``since_ns`` are left out.
        """
        oldest, found = self._bus.first, list[tuple[Cursor, Cursor]]()
        with self._store.snapshot() as snapshot:
            stored = self._store.held(since_ns)
            for end in self._bus.next.cursors:
                found += [held for held in stored if held[0].epoch == end.epoch]
                found.append((_behind(snapshot, oldest, end.epoch), end))
        return found

    def scan(self, search: Search, progress: Progress) -> Generator[Batch]:
        """Yield exactly the records that ``search`` asks for, as ``Snapshot.scan`` does, from store and bus.

        The snapshot is taken when the first batch is asked for. Closing the generator stops the work. Raises Cancelled,
        Damaged (a part turned out to be; ask again for the rest) and Gone (the bus forgot while this was reading).
        """
        oldest = self._bus.first
        with self._store.snapshot() as snapshot:
            end = self._bus.next
            if snapshot.checkpoint is None and search.first_ns > TIME_MIN_NS:
                oldest = self._bus.since(search.first_ns)
            joins = {last.epoch: _behind(snapshot, oldest, last.epoch) for last in end.cursors}
            on_bus = _on_bus(search, joins, end)
            if isinstance(end, Checkpoint):
                yield from self._several(snapshot, joins, on_bus, search, progress)
            elif not on_bus:
                yield from snapshot.scan(search, progress)
            elif search.order is None:
                yield from self._store_first(snapshot, on_bus, search, progress)
            elif search.order in ("newest", "oldest"):
                yield from self._by_time(snapshot, on_bus, search, progress)
            else:
                yield from self._by_arrival(snapshot, on_bus[0], search, progress)

    def _several(
        self,
        snapshot: Snapshot,
        joins: dict[int, Cursor],
        on_bus: list[Stretch],
        search: Search,
        progress: Progress,
    ) -> Iterator[Batch]:
        """Scan several logs. Others fill their store meanwhile: what it has behind its checkpoint is not looked at."""
        logs = {epoch: within for epoch in joins if (within := search.within(epoch)) is not None}
        stops = {epoch: Cursor(epoch, min(behind, joins[epoch].offset)) for epoch, (_, behind) in logs.items()}
        if search.order is None:
            yield from self._store_first(
                snapshot, on_bus, replace(search, stop=Checkpoint.of(stops.values())), progress
            )
        elif search.order in ("newest", "oldest"):
            yield from self._by_time(snapshot, on_bus, replace(search, stop=Checkpoint.of(stops.values())), progress)
        else:
            newest_first, left = search.order == "arrival_newest", search.limit
            for epoch in sorted(logs, reverse=newest_first):
                after = search.after
                if after is not None and after[1].epoch != epoch:
                    if (epoch < after[1].epoch) != newest_first:
                        continue
                    after = None
                nothing = stops[epoch], stops[epoch]
                stretch = next((stretch for stretch in on_bus if stretch[0].epoch == epoch), nothing)
                one = replace(search, start=Cursor(epoch, logs[epoch][0]), stop=stops[epoch], limit=left, after=after)
                for batch in self._by_arrival(snapshot, stretch, one, progress):
                    yield batch
                    left = None if left is None else left - len(batch)
                if left is not None and left <= 0:
                    return

    def _store_first(
        self, snapshot: Snapshot, on_bus: list[Stretch], search: Search, progress: Progress
    ) -> Iterator[Batch]:
        left = search.limit
        for batch in snapshot.scan(search, progress):
            yield batch
            left = None if left is None else left - len(batch)
        if left is None or left > 0:
            sources = (_OnBus.of(batch) for stretch in on_bus for batch in self._read(stretch, progress))
            yield from unordered(sources, replace(search, start=None, stop=None, limit=left), progress)

    def _by_arrival(self, snapshot: Snapshot, on_bus: Stretch, search: Search, progress: Progress) -> Iterator[Batch]:
        """Yield what is in one log: what is stored, then what is on the bus; or the other way, the newest first."""
        left = search.limit
        if search.order == "arrival":
            for batch in snapshot.scan(search, progress):
                yield batch
                left = None if left is None else left - len(batch)
            if left is None or left > 0:
                yield from self._ordered(on_bus, replace(search, limit=left), progress)
            return
        for batch in self._ordered(on_bus, search, progress):
            yield batch
            left = None if left is None else left - len(batch)
        if left is None or left > 0:
            after = search.after if search.after is not None and search.after[1].offset < on_bus[0].offset else None
            yield from snapshot.scan(replace(search, limit=left, after=after), progress)

    def _by_time(
        self, snapshot: Snapshot, on_bus: list[Stretch], search: Search, progress: Progress
    ) -> Iterator[Batch]:
        # What is on the bus costs least and is mostly the newest: it tells how little is needed of the store.
        logs = [self._ordered(stretch, search, progress) for stretch in on_bus]
        newer = logs[0] if len(logs) == 1 else interleave(logs, search)
        older = search
        if search.limit is not None and search.limit <= ORDERED_STEP_ROWS:
            known = list(newer)
            newer = iter(known)
            if sum(map(len, known)) >= search.limit:
                bound = int(known[-1].numpy("time")[-1])
                if search.order == "newest":
                    older = replace(search, first_ns=max(search.first_ns, bound))
                else:
                    older = replace(search, last_ns=min(search.last_ns, bound))
        yield from interleave([snapshot.scan(older, progress), newer], search)

    def _ordered(self, stretch: Stretch, search: Search, progress: Progress) -> Iterator[Batch]:
        """Yield what a search finds in a stretch of one log on the bus, in its order."""
        everything = replace(search, start=None, stop=None)
        yield from ordered(self._sources(stretch, progress), everything, progress, stretch[0].epoch)

    def _read(self, stretch: Stretch, progress: Progress) -> Iterator[Batch]:
        """Yield the batches in a stretch of one log on the bus, those that have rows."""
        start, end = stretch
        while start < end:
            progress.check()
            batches = self._bus.read(start, INDEX_READ_BYTES)
            if not batches:
                raise Gone(f"what follows {start} is not there, though {end} was", next=end)
            for batch in batches:
                if not batch.first < end:
                    return
                progress.scanned_bytes += batch.nbytes
                clipped = batch if batch.next <= end else batch.before(end)
                if len(clipped):
                    yield clipped
                start = batch.next

    def _sources(self, stretch: Stretch, progress: Progress) -> list[Source]:
        """Everything in a stretch on the bus; batches beyond the size of a part are read again when needed."""
        sources: list[Source] = []
        size = 0
        for batch in self._read(stretch, progress):
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

        keys = (Key("time", span_ns), *([Key(by)] if by else []))
        plain = counting(replace(search, first_ns=max(search.first_ns, first_ns)), keys)
        for batch in self.scan(plain, progress):
            bucket = one_bucket(batch, first_ns, span_ns)
            if isinstance(batch, Block) and bucket is not None and by in (None, "level"):
                for name, count in zip(LEVEL_NAMES, batch.part.levels[batch.number].tolist(), strict=True):
                    if count:
                        add(name if by else None, (np.arange(buckets) == bucket) * count)
                continue
            places = (batch.numpy("time") - first_ns) // span_ns
            for value, some in parted(batch, by):
                add(value, np.bincount(places[some], minlength=buckets))
        for known in plain.grouping.found if plain.grouping else ():
            for value, places, rows in over_time(known):
                add(value, np.bincount((places - first_ns) // span_ns, rows, buckets).astype(np.int64))
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
        values, plain = Values(), counting(search, (Key(name),))
        for batch in self.scan(plain, progress):
            values.add(batch.column(name))
        for known in plain.grouping.found if plain.grouping else ():
            values.count(zip(known.columns[0].to_pylist(), known.rows.to_pylist(), strict=True))
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
        plain = counting(search, (STREAM,))

        def add(stream: Stream, rows: int, first_ns: int, last_ns: int) -> None:
            facts = found.setdefault(stream, StreamFacts())
            facts.rows += rows
            facts.first_ns, facts.last_ns = min(facts.first_ns, first_ns), max(facts.last_ns, last_ns)

        for batch in self.scan(plain, progress):
            codes, times, streams = batch.stream_codes, batch.numpy("time"), batch.streams
            first = np.full(len(streams), TIME_MAX_NS, np.int64)
            last = np.full(len(streams), TIME_MIN_NS, np.int64)
            np.minimum.at(first, codes, times)
            np.maximum.at(last, codes, times)
            for code, rows in enumerate(np.bincount(codes, minlength=len(streams)).tolist()):
                if rows:
                    add(streams[code], rows, int(first[code]), int(last[code]))
            if len(found) > GROUPS_MAX:
                raise TooLarge(f"more than {GROUPS_MAX} streams", cure="Narrow the query or the time.")
        for known in plain.grouping.found if plain.grouping else ():
            assert known.first_ns is not None
            assert known.last_ns is not None
            columns = (*known.columns, known.rows, known.first_ns, known.last_ns)
            for json, rows, first_ns, last_ns in zip(*(column.to_pylist() for column in columns), strict=True):
                add(Stream.parse(json), rows, first_ns, last_ns)
        return found

    def tally(self, query: Query, start: Position, stop: Position, progress: Progress) -> int:
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
        target = self._all(Search(Everything(), start=cursor, stop=cursor + 1), progress)
        if not target:
            raise BadInput(f"there is no record {cursor}", cure="Retention may have removed it.")
        stream = OneStream(target[0].streams[int(target[0].stream_codes[0])].json)
        # The record itself is the last of those before, so one of the two searches has it.
        older = Search(stream, stop=cursor + 1, start=cursor.beginning, order="arrival_newest", limit=before + 1)
        newer = Search(stream, start=cursor + 1, order="arrival", limit=after)
        lines = Batch.concat(self._all(older, progress))
        lines = lines.take(np.arange(len(lines))[::-1])
        return Batch.concat([lines, *(self._all(newer, progress) if after else [])]), len(lines) - 1

    def _all(self, search: Search, progress: Progress) -> list[Batch]:
        with closing(self.scan(search, progress)) as scan:
            return list(scan)


@dataclass(frozen=True, slots=True, eq=False)
class _OnBus:
    """A batch on the bus as a Source: kept, or read again from ``bus``, the same rows."""

    bounds: tuple[int, int, int, int]
    batch: Batch | None
    bus: Log | None
    stretch: Stretch
    offsets: np.ndarray | None

    @staticmethod
    def of(batch: Batch, bus: Log | None = None) -> _OnBus:
        time = batch.numpy("time")
        bounds = (int(time.min()), int(time.max()), batch.first.offset, batch.next.offset - 1)
        return _OnBus(bounds, None if bus else batch, bus, (batch.first, batch.next), batch.offsets)

    def load(self) -> Batch:
        if self.batch is not None or self.bus is None:
            assert self.batch is not None
            return self.batch
        found: list[Batch] = []
        at, end = self.stretch
        while at < end:
            for batch in self.bus.read(at, 1):
                if at < end:
                    found.append(batch if batch.next <= end else batch.before(end))
                    at = batch.next
        whole = Batch.concat(found)
        assert self.offsets is not None
        assert whole.offsets is not None
        return whole if len(whole) == len(self.offsets) else whole.filter(np.isin(whole.offsets, self.offsets))


def _behind(snapshot: Snapshot, oldest: Position, epoch: int) -> Cursor:
    """Return where the bus takes over from a snapshot in one log; the bus began at ``oldest`` before it was taken.

    Asked later, the bus might have let go of what a store stored in between that had nothing yet.
    """
    stored = None if snapshot.checkpoint is None else snapshot.checkpoint.get(epoch)
    return stored or oldest.get(epoch) or Cursor(epoch, 0)


def _on_bus(search: Search, joins: dict[int, Cursor], end: Position) -> list[Stretch]:
    """Return the stretches of each log that a search finds on the bus, behind where the store ends."""
    stretches: list[Stretch] = []
    for last in end.cursors:
        within = search.within(last.epoch)
        if within is not None:
            first, behind = max(joins[last.epoch].offset, within[0]), min(last.offset, within[1])
            if first < behind:
                stretches.append((Cursor(last.epoch, first), Cursor(last.epoch, behind)))
    return stretches
