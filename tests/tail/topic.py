"""A topic of several partitions in memory, the servers that read it, and a store that has the beginning of each.

What the tests of several logs share: it makes interleavings. Each server has read each partition as far as it is told
to, in an order of its own, and knows of what is behind only when it asks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from zlib import crc32

import numpy as np

from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import Gone
from tailrace.query import Query
from tailrace.record import Batch
from tailrace.store import TIME_MIN_NS, Progress, Search
from tests.batches import batch_of


class Topic:
    """Partitions, each a list of batches whose offsets rise and have holes, and how far the store has each."""

    def __init__(self, partitions: int) -> None:
        self.batches: dict[int, list[Batch]] = {}
        self.first: dict[int, int] = {}
        self.stored: dict[int, int] = {}
        self._made = 0
        for _ in range(partitions):
            self.add_partition()

    def add_partition(self) -> int:
        self._made += 1
        epoch = (0xA1 * self._made * 0x9E3779B97F4A7C15) % 2**64
        # Threads read meanwhile: a partition is there as a whole, or not.
        self.first, self.stored = {**self.first, epoch: 0}, {**self.stored, epoch: 0}
        self.batches = {**self.batches, epoch: []}
        return epoch

    def end(self, epoch: int) -> Cursor:
        return self.batches[epoch][-1].next if self.batches[epoch] else Cursor(epoch, 0)

    @property
    def ends(self) -> Checkpoint:
        return Checkpoint.of(map(self.end, self.batches))

    def append(self, epoch: int, *messages: str, time: int = 0, hole: int = 0) -> None:
        """Append records, and so many offsets behind them that are none."""
        start = self.end(epoch).offset
        columns = batch_of(messages, time=time).columns
        offsets = np.arange(start, start + len(messages), dtype=np.int64)
        covers = (start, start + len(messages) + hole)
        self.batches[epoch].append(Batch(columns, epoch=epoch, offsets=offsets, covers=covers))

    def expected(self, query: Query, epoch: int, first: int, stop: int) -> list[int]:
        """Return the offsets of what a query means in one partition."""
        found: list[int] = []
        for batch in self.batches[epoch]:
            assert batch.offsets is not None
            found += batch.offsets[query.filter.matches(batch)].tolist()
        return [offset for offset in found if first <= offset < stop]

    def digest(self, cursors: Sequence[Cursor]) -> str:
        """Return the digest of records by its definition, in plain arithmetic."""
        messages = {
            Cursor(epoch, offset): message
            for epoch, batches in self.batches.items()
            for batch in batches
            for offset, message in zip(batch.offsets.tolist(), batch.array("message").to_pylist(), strict=True)  # type: ignore[union-attr]
        }
        total = 0
        for cursor in cursors:
            mixed = cursor.offset * 0x9E3779B97F4A7C15 + crc32(messages[cursor].encode()) * 0xC2B2AE3D27D4EB4F
            total += mixed % 2**64 ^ mixed % 2**64 >> 32
        return f"{total % 2**64:016x}"


class TopicBus:
    """The topic as one server reads it: a ``Log``."""

    def __init__(self, topic: Topic, kept: int = 1000) -> None:
        """Begin to know of the topic; ``kept`` is how many batches are in memory."""
        self.topic = topic
        self._kept = kept
        self._next = topic.ends
        self._read = topic.ends
        self._arrived: list[Batch] = []
        self._forgotten = self._next
        self._calls: list[Callable[[], None]] = []

    @property
    def first(self) -> Checkpoint:
        return Checkpoint.of(Cursor(epoch, offset) for epoch, offset in self.topic.first.items())

    @property
    def next(self) -> Checkpoint:
        return self._next

    def newest(self, seen: Position | None = None) -> Checkpoint:  # noqa: ARG002 - it always looks for all
        self._next = self.topic.ends
        return self._next

    def since(self, time_ns: int) -> Checkpoint:
        position = self.topic.ends
        for batches in self.topic.batches.values():
            for batch in reversed(batches):
                if batch.numpy("time").max() >= time_ns:
                    position = position.with_cursor(batch.first)
        return position

    def read(self, start: Cursor, bytes_max: int) -> list[Batch]:
        if start.epoch not in self.topic.batches or start.offset < self.topic.first[start.epoch]:
            raise Gone(f"{start} is gone", next=Cursor(start.epoch, self.topic.first.get(start.epoch, 0)))
        found: list[Batch] = []
        for batch in self.topic.batches[start.epoch]:
            if start < batch.next and sum(one.nbytes for one in found) < bytes_max:
                found.append(batch if start <= batch.first else batch.behind(start))
        return found

    def recent(self, start: Checkpoint, bytes_max: int) -> list[Batch]:
        found: list[Batch] = []
        at = start
        gone = any(cursor.offset and self._forgotten.get(cursor.epoch) is None for cursor in start.cursors)
        if gone or not self._forgotten <= start:
            raise Gone(f"{start} is not in memory", next=self._forgotten.cursors[0])
        for batch in self._arrived:
            here = at.get(batch.epoch) or Cursor(batch.epoch, 0)
            if here < batch.next and sum(one.nbytes for one in found) < bytes_max:
                found.append(batch if here == batch.first else batch.behind(here))
                at = at.with_cursor(batch.next)
        return found

    def on_commit(self, call: Callable[[], None]) -> Callable[[], None]:
        if not self._calls:
            self._arrived.clear()
            self._read = self._forgotten = self._next
        self._calls.append(call)
        return lambda: self._calls.remove(call)

    @property
    def followed(self) -> bool:
        """Whether somebody wants to be called."""
        return bool(self._calls)

    def made_anew(self) -> None:
        """Learn that the topic has other partitions than it had."""
        self._next = self._read = self._forgotten = Checkpoint.of(Cursor(epoch, 0) for epoch in self.topic.batches)
        self._arrived.clear()

    def fetch(self, epoch: int, batches: int) -> None:
        """Have so many batches of a partition arrive, if this server follows the topic and there are any."""
        if not self._calls:
            return
        here = self._read.get(epoch) or Cursor(epoch, 0)
        fresh = [batch for batch in self.topic.batches[epoch] if here < batch.next][:batches]
        for batch in fresh:
            self._arrived.append(batch if here <= batch.first else batch.behind(here))
            self._read = self._read.with_cursor(batch.next)
            known = self._next.get(epoch)
            if known is None or known < batch.next:
                self._next = self._next.with_cursor(batch.next)
        for batch in self._arrived[: -self._kept]:
            self._forgotten = self._forgotten.with_cursor(batch.next)
        del self._arrived[: -self._kept]
        for call in list(self._calls):
            call()


class TopicStore:
    """What was copied from the beginning of each partition: a ``Store``, as far as it is read."""

    def __init__(self, topic: Topic) -> None:
        self._topic = topic
        self._stored = dict(topic.stored)

    @property
    def checkpoint(self) -> Checkpoint | None:
        return Checkpoint.of(Cursor(epoch, offset) for epoch, offset in self._topic.stored.items() if offset) or None

    def held(self, since_ns: int = TIME_MIN_NS) -> list[tuple[Cursor, Cursor]]:  # noqa: ARG002 - all, whatever its times
        return [(Cursor(epoch, 0), Cursor(epoch, end)) for epoch, end in sorted(self._topic.stored.items()) if end]

    @contextmanager
    def snapshot(self) -> Iterator[TopicSnapshot]:
        yield TopicSnapshot(self._topic, self.checkpoint)


class TopicSnapshot:
    """The store at one moment; like a cluster that is being filled it has more than its checkpoint says."""

    def __init__(self, topic: Topic, checkpoint: Checkpoint | None) -> None:
        self.checkpoint = checkpoint
        self._topic = topic

    def scan(self, search: Search, progress: Progress) -> Iterator[Batch]:
        rows: list[tuple[int, int, int, Batch]] = []
        for epoch, batches in self._topic.batches.items():
            first, stop = search.within(epoch) or (0, 0)
            for batch in batches:
                progress.check()
                offsets, times = batch.offsets, batch.numpy("time")
                assert offsets is not None
                mask = search.filter.matches(batch) & (offsets >= first) & (offsets < stop)
                mask &= (times >= search.first_ns) & (times <= search.last_ns)
                rows += [
                    (int(times[row]), epoch, int(offsets[row]), batch.take(np.array([row])))
                    for row in np.flatnonzero(mask).tolist()
                ]
        by_time = search.order in ("newest", "oldest")
        rows.sort(key=lambda row: row[:3] if by_time else row[1:3], reverse=(search.order or "").endswith("newest"))
        if search.after is not None and search.order == "oldest":
            time, cursor = search.after
            rows = [row for row in rows if row[:3] > (time, cursor.epoch, cursor.offset)]
        yield from (batch for *_, batch in rows[: search.limit])
