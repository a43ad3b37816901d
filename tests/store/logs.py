"""A plain log to compare with: random batches, tiny filters, and what a search has to find among all records."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Cursor
from tailrace.query.plan import All, Always, InTime, Need, OfLevel, OfStream, Prefix, Token
from tailrace.record import Batch, Stream
from tailrace.store import Progress, Search

WORDS = ["order", "paid", "failed", "timeout", "retry", "überfall", "connection", "cart"]
STREAMS = [Stream.of({"service": name, "host": "web-1"}) for name in ("shop", "auth", "mail", "cart")]


@dataclass(frozen=True)
class Word:
    """Records whose message has a word, which the index knows."""

    text: str

    def matches(self, batch: Batch) -> np.ndarray:
        return pc.match_substring_regex(batch.array("message"), rf"(^| ){self.text}( |$)").to_numpy(
            zero_copy_only=False
        )

    def need(self) -> Need:
        return Token(self.text)


@dataclass(frozen=True)
class Begins:
    """Records whose message has a word that begins so."""

    text: str

    def matches(self, batch: Batch) -> np.ndarray:
        return pc.match_substring_regex(batch.array("message"), rf"(^| ){self.text}").to_numpy(zero_copy_only=False)

    def need(self) -> Need:
        return Prefix(self.text)


@dataclass(frozen=True)
class Everything:
    def matches(self, batch: Batch) -> np.ndarray:
        return np.ones(len(batch), bool)

    def need(self) -> Need:
        return Always()


@dataclass(frozen=True)
class Service:
    name: str

    def matches(self, batch: Batch) -> np.ndarray:
        return pc.fill_null(pc.equal(batch.column("service"), self.name), False).to_numpy(zero_copy_only=False)

    def need(self) -> Need:
        return OfStream(lambda stream: stream.labels.get("service") == self.name)


@dataclass(frozen=True)
class LevelIs:
    level: int

    def matches(self, batch: Batch) -> np.ndarray:
        return batch.numpy("level") == self.level

    def need(self) -> Need:
        return OfLevel(frozenset([self.level]))


@dataclass(frozen=True)
class Both:
    one: object
    other: object

    def matches(self, batch: Batch) -> np.ndarray:
        return self.one.matches(batch) & self.other.matches(batch)

    def need(self) -> Need:
        return All((self.one.need(), self.other.need(), InTime(-(2**62), 2**62)))


FILTERS = [
    Everything(),
    Word("failed"),
    Word("überfall"),
    Word("nowhere"),
    Begins("con"),
    Begins("n"),
    Service("auth"),
    Service("nobody"),
    LevelIs(5),
    Both(Word("order"), Service("shop")),
    Both(LevelIs(4), Word("cart")),
]


def random_batch(rng: np.random.Generator, rows: int, now: int) -> Batch:
    """Records of several streams, some late, many with equal times, some with fields."""
    late = rng.choice([0, 0, 0, 0, 500], rows)
    numbers = rng.integers(0, 1000, rows).tolist()
    words = rng.choice(WORDS, (rows, 3)).tolist()
    codes = rng.integers(0, len(STREAMS), rows)
    return Batch.of(
        time=now + rng.integers(0, 50, rows) - late,
        observed=np.full(rows, now),
        level=rng.integers(0, 7, rows).astype(np.uint8),
        stream=_streams(codes),
        message=[f"{' '.join(some)} n{number}" for some, number in zip(words, numbers, strict=True)],
        position=list(range(rows)),
        trace_id=[None if number % 3 else f"t{number}" for number in numbers],
        fields=[None if number % 2 else f'{{"number":{number},"kind":"k{number % 5}"}}' for number in numbers],
    )


def _streams(codes: np.ndarray):
    return pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array([s.json for s in STREAMS]))


def append(bus: DiskBus, batch: Batch) -> Batch:
    """Append and wait; returns the batch as the log took it."""
    done = bus.append(batch)
    end = done.result(10)
    return batch.placed(end.epoch, end.offset - len(batch))


def open_bus(directory: Path) -> DiskBus:
    return DiskBus(directory / "bus")


def progress() -> Progress:
    return Progress(seconds_max=60)


def rows_of(batches) -> list[tuple]:
    """All of every record, as plain values."""
    return [
        (r.cursor.offset, r.time_ns, r.observed_ns, int(r.level), r.message, r.stream.json, str(r.fields), r.trace_id)
        for batch in batches
        for r in batch.records()
    ]


def expected(log: list[Batch], search: Search) -> list[tuple]:
    """What a search has to find, by the plain reading of its definition."""
    rows = [
        row
        for batch in log
        for row, kept in zip(rows_of([batch]), search.filter.matches(batch).tolist(), strict=True)
        if kept
        and search.first_ns <= row[1] <= search.last_ns
        and (search.start is None or row[0] >= search.start.offset)
        and (search.stop is None or row[0] < search.stop.offset)
    ]
    key = {
        "newest": lambda row: (-row[1], -row[0]),
        "oldest": lambda row: (row[1], row[0]),
        "arrival": lambda row: (row[0],),
        "arrival_newest": lambda row: (-row[0],),
        None: lambda row: (row[0],),
    }[search.order]
    rows.sort(key=key)
    if search.after is not None and search.order is not None:
        rows = [row for row in rows if key(row) > key((search.after[1].offset, search.after[0]))]
    return rows if search.limit is None or search.order is None else rows[: search.limit]


def random_search(rng: np.random.Generator, log: list[Batch]) -> Search:
    """A search with any filter, order, ranges, limit and page."""
    end = log[-1].next
    offsets = sorted(rng.integers(0, end.offset + 1, 2).tolist())
    times = sorted(rng.integers(0, 4000, 2).tolist())
    by_cursor, by_time, paged = rng.random(3) < (0.3, 0.4, 0.3)
    order = [None, "newest", "oldest", "arrival", "arrival_newest"][rng.integers(0, 5)]
    return Search(
        FILTERS[rng.integers(0, len(FILTERS))],
        first_ns=times[0] if by_time else -(2**63),
        last_ns=times[1] if by_time else 2**63 - 1,
        start=Cursor(end.epoch, offsets[0]) if by_cursor else None,
        stop=Cursor(end.epoch, offsets[1]) if by_cursor else None,
        order=order,
        limit=None if order is None else [None, 1, 7, 100][rng.integers(0, 4)],
        after=(int(times[0]), Cursor(end.epoch, offsets[0])) if paged and order else None,
    )
