"""What the tests of the tail share: a history over a plain list, and a client that notes what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

import numpy as np
import orjson

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Checkpoint, Cursor
from tailrace.limits import TAIL_BEHIND_ROWS_MAX
from tailrace.query import Query
from tailrace.record import Batch
from tailrace.store import Progress, Search
from tailrace.tail.hub import Hub
from tailrace.tail.sse import encode
from tailrace.tail.start import Start
from tailrace.tail.subscription import State
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer
from tests.batches import batch_of


class ListHistory:
    """Everything that was ever appended, without what retention removed: the plain form of store and bus."""

    def __init__(self, bus: DiskBus) -> None:
        self.bus = bus
        self.first = 0
        self.batches: list[Batch] = []

    def append(self, *messages: str, time: int = 0, observed: int = 7, service: str = "shop") -> Cursor:
        """Put lines on the bus, and wait until they are on disk."""
        return self.put(batch_of(messages, time=time, observed=observed, service=service))

    def put(self, batch: Batch) -> Cursor:
        """Put records on the bus, and wait until they are on disk."""
        end = self.bus.append(batch).result()
        self.batches.append(batch.placed(end.epoch, end.offset - len(batch)))
        return end

    def at(self, offset: int) -> Cursor:
        return Cursor(self.bus.epoch, offset)

    def held(self, start: Cursor) -> tuple[Cursor, Cursor]:
        return self.at(max(self.first, start.offset)), self.bus.next

    def stretches(self, since_ns: int) -> list[tuple[Cursor, Cursor]]:  # noqa: ARG002 - one stretch, whatever its times
        return [(self.at(self.first), self.bus.next)]

    def scan(self, search: Search, progress: Progress) -> Generator[Batch]:
        batches, first = list(self.batches), self.first
        if search.order == "oldest":
            yield from self._by_time(search)
            return
        for batch in reversed(batches) if search.order == "arrival_newest" else batches:
            progress.check()
            assert batch.offsets is not None
            times = batch.numpy("time")
            mask = search.filter.matches(batch) & (batch.offsets >= first)
            mask &= (times >= search.first_ns) & (times <= search.last_ns)
            mask &= batch.offsets >= (search.start.offset if search.start else 0)
            mask &= batch.offsets < (search.stop.offset if search.stop else self.bus.next.offset)
            rows = np.flatnonzero(mask)
            if len(rows):
                yield batch.take(rows[::-1] if search.order == "arrival_newest" else rows)

    def _by_time(self, search: Search) -> Generator[Batch]:
        if not self.batches:
            return
        everything = Batch.concat(self.batches)
        times, offsets = everything.numpy("time"), everything.offsets
        assert offsets is not None
        within = search.within(everything.epoch)
        assert within
        mask = search.filter.matches(everything) & (offsets >= max(self.first, within[0]))
        mask &= (offsets < within[1]) & (times >= search.first_ns) & (times <= search.last_ns)
        if search.after:
            time, offset = search.after[0], search.after[1].offset
            mask &= (times > time) | ((times == time) & (offsets > offset))
        rows = np.flatnonzero(mask)
        rows = rows[np.lexsort((offsets[rows], times[rows]))][: search.limit]
        if len(rows):
            yield everything.take(rows)

    def expected(self, query: Query, start: int, stop: int) -> list[int]:
        """Return the offsets of what ``query`` means in [start, stop), whatever retention removed."""
        found: list[int] = []
        for batch in self.batches:
            assert batch.offsets is not None
            found += batch.offsets[query.filter.matches(batch)].tolist()
        return [offset for offset in found if start <= offset < stop]

    def digest(self, offsets: list[int]) -> str:
        """Return the digest of records by its definition, in plain arithmetic."""
        messages = [message for batch in self.batches for message in batch.array("message").to_pylist()]
        total = 0
        for offset in offsets:
            mixed = (offset * 0x9E3779B97F4A7C15 + crc32(messages[offset].encode()) * 0xC2B2AE3D27D4EB4F) % 2**64
            total += mixed ^ mixed >> 32
        return f"{total % 2**64:016x}"


@dataclass
class Client:
    """A client: takes bytes when it is told to, and notes what they say."""

    viewer: Viewer
    offsets: list[int] = field(default_factory=list)
    hits: list[int] = field(default_factory=list)
    """The same without the lines around them."""
    cursors: list[Cursor] = field(default_factory=list)
    """Of the offsets, with their logs; and the same of the hits."""
    hit_cursors: list[Cursor] = field(default_factory=list)
    gaps: list[dict[str, Any]] = field(default_factory=list)
    counts: list[dict[str, Any]] = field(default_factory=list)
    events: list[str] = field(default_factory=list)
    ended: str | None = None
    last_id: str = ""
    ping: dict[str, Any] = field(default_factory=dict[str, Any])
    pinged: list[tuple[dict[str, Any], int, int]] = field(default_factory=list)
    """Each ping, and how many hits and gaps had come before it."""

    def take(self) -> bool:
        """Take what one send would carry; tell whether there was anything."""
        data = self.viewer.take()
        for event in data.decode().split("\n\n")[:-1]:
            lines = dict(line.split(": ", 1) for line in event.split("\n"))
            self.note(lines["event"], lines.get("id", ""), orjson.loads(lines["data"]))
        return bool(data)

    def note(self, event: str, last_id: str, data: dict[str, Any]) -> None:
        self.events.append(event)
        self.last_id = last_id
        if event == "rows":
            self.counts += [data["counts"]] if "counts" in data else []
            cursors = [Cursor.parse(record["cursor"]) for record in data["records"]]
            hits = [cursor for cursor, record in zip(cursors, data["records"], strict=True) if "context" not in record]
            self.cursors += cursors
            self.hit_cursors += hits
            self.offsets += [cursor.offset for cursor in cursors]
            self.hits += [cursor.offset for cursor in hits]
        elif event == "gap":
            self.gaps.append(data)
        elif event == "ping":
            self.ping = data
            self.pinged.append((data, len(self.hits), len(self.gaps)))
        elif event == "end":
            self.ended = data["why"]

    def take_all(self) -> None:
        while self.take():
            pass

    async def until(self, done: Callable[[], bool]) -> None:
        """Take until something holds."""
        async with asyncio.timeout(30):
            while True:
                self.take_all()
                if done():
                    return
                await asyncio.sleep(0.001)

    async def located(self) -> None:
        """Wait until it is known where the tail begins."""
        news = asyncio.Event()
        self.viewer.listen(news.set)
        while not self.viewer.located:
            await news.wait()
            news.clear()

    async def until_now(self) -> None:
        """Take until everything that is on the bus has been looked at, live."""
        next_offset = self.viewer._hub.bus.next.offset
        subscription = self.viewer.subscription
        await self.until(
            lambda: (
                self.viewer.checkpoint.cursors[0].offset >= next_offset
                and subscription.state is State.LIVE
                and not subscription.queued_bytes
            )
        )

    @property
    def missed(self) -> list[tuple[int, int]]:
        """The ranges of this log that were declared as missing."""
        return [
            (Cursor.parse(gap["from"]).offset, Cursor.parse(gap["to"]).offset)
            for gap in self.gaps
            if gap["count"] is not None
        ]


def watch(hub: Hub, view: View | Query, start: Start, behind_max: int = TAIL_BEHIND_ROWS_MAX) -> Client:
    return Client(hub.open(view if isinstance(view, View) else View(view), start, encode, behind_max))


def checkpoint(text: str) -> Checkpoint:
    return Checkpoint.parse(text)


def grep(lines: list[tuple[str, bool]], around: int, rows_max: int) -> list[tuple[int, int, bool]]:
    """``grep -C`` of each service in its plain form, from lines (service, whether it matches).

    Returns (sent at, offset, is a match) of each line that is sent, in order.
    """
    before: dict[str, list[int]] = {}
    owed: dict[str, tuple[int, int]] = {}
    sent: list[tuple[int, int, bool]] = []
    for offset, (service, hit) in enumerate(lines):
        left, match = owed.get(service, (0, 0))
        if hit:
            sent += [(offset, row, False) for row in before.pop(service, [])[-around:] if offset - row <= rows_max]
            sent.append((offset, offset, True))
            owed[service] = (around, offset)
        elif left and offset - match <= rows_max:
            sent.append((offset, offset, False))
            owed[service] = (left - 1, match)
        else:
            # Of the lines before a match count the newest, sent or not.
            before.setdefault(service, []).append(offset)
            owed.pop(service, None)
    return sent
