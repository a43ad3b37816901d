"""Following partitions as they grow: one thread, one client, and the newest batches of all of them.

It begins at what is known to be the end of each partition, and at the beginning of one that is found later; of what
lies before it learns the places, so that repeats are known (``partition.py``). What arrives is decoded once, kept
(KAFKA_RING_BYTES_MAX over all partitions, the oldest goes first) and told. A partition that retention has cut before it
was read goes on where it begins now, and nothing before that is kept. One that is no longer there (its topic was made
anew) is let go with all that was kept of it.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from tailrace.bus.brokers import Brokers, Place, sentence
from tailrace.bus.message import Understand
from tailrace.bus.partition import CUT_OFF, PARTITION_EOF, Partition, Repeats, batch_of, nothing, received, split, where
from tailrace.cursor import Cursor, Position
from tailrace.errors import Gone, TailraceError
from tailrace.limits import BATCH_BYTES_MIN, KAFKA_REPEATS_MESSAGES, KAFKA_RING_BYTES_MAX
from tailrace.record import Batch

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

_POLL_S = 0.1


class Followed(Protocol):
    """Whose partitions are followed, and who wants to know."""

    def partitions(self) -> list[Partition]:
        """Return the partitions that there are now."""
        ...

    def arrived(self, partition: Partition, end: int) -> None:
        """Take note that a partition goes to ``end`` at least."""
        ...

    def tell(self) -> None:
        """Something has arrived."""
        ...

    def say(self, text: str) -> None:
        """Something is wrong."""
        ...


class Following:
    """Follows from when it is made until ``stop``; ``kept`` and ``recent`` from any thread."""

    def __init__(self, log: Followed, brokers: Brokers, understand: Understand) -> None:
        self._log = log
        self._brokers = brokers
        self._understand = understand
        self._lock = threading.Lock()
        self._ring: deque[Batch] = deque()
        self._ring_bytes = 0
        self._begin = {one.epoch: one.next for one in log.partitions()}
        self._end = dict(self._begin)
        self._assigned: dict[int, Partition] = {}
        self._repeats: dict[int, Repeats] = {}
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="kafka follow", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Follow no more."""
        self._stopping = True
        self._thread.join()

    # -- answering -------------------------------------------------------------------------------------------------

    def kept(self, start: Cursor, bytes_max: int) -> list[Batch] | None:
        """Return what is kept of a partition from ``start`` on; None when that is not kept."""
        with self._lock:
            if start.epoch not in self._end or not self._begin[start.epoch] <= start.offset < self._end[start.epoch]:
                return None
            found = [one for one in self._ring if one.epoch == start.epoch and one.next > start]
        return _cut(found, {start.epoch: start}, bytes_max)

    def recent(self, start: Position, bytes_max: int) -> list[Batch]:
        """Return what is kept from ``start`` on, in the order in which it came. Raises Gone when it is further back."""
        wanted: dict[int, Cursor] = {}
        with self._lock:
            for epoch, begin in self._begin.items():
                wanted[epoch] = start.get(epoch) or Cursor(epoch, 0)
                if wanted[epoch].offset < begin:
                    raise Gone(f"{wanted[epoch]} is further back than what is kept", next=Cursor(epoch, begin))
            found = [one for one in self._ring if one.next > wanted[one.epoch]]
        return _cut(found, wanted, bytes_max)

    # -- following: one thread -------------------------------------------------------------------------------------

    def _run(self) -> None:
        consumer: Consumer | None = None
        try:
            while not self._stopping:
                try:
                    consumer = consumer or self._brokers.consumer(self._log.say)
                except TailraceError as error:
                    self._log.say(error.message)
                    time.sleep(_POLL_S)
                    continue
                self._assign(consumer)
                self._take(*received(consumer, _POLL_S))
        finally:
            if consumer is not None:
                consumer.close()

    def _assign(self, consumer: Consumer) -> None:
        """Read the partitions that there are, and no others."""
        present = {one.epoch: one for one in self._log.partitions()}
        if present.keys() == self._assigned.keys():
            return
        gone = [epoch for epoch in self._begin if epoch not in present]
        with self._lock:
            for epoch in gone:
                self._forget(epoch)
                del self._begin[epoch], self._end[epoch]
            for epoch, one in present.items():
                at = self._end.setdefault(epoch, one.first)
                self._begin.setdefault(epoch, one.first)
                if at < one.first:  # retention has passed it
                    self._forget(epoch)
                    self._begin[epoch] = self._end[epoch] = one.first
        self._assigned = present
        consumer.assign([where(one.place, self._from(one)) for one in present.values()])

    def _from(self, one: Partition) -> int:
        """Return where to read on: the first time a little before what is kept."""
        end = self._end[one.epoch]
        return end if one.epoch in self._repeats else max(one.first, end - KAFKA_REPEATS_MESSAGES)

    def _forget(self, epoch: int) -> None:
        kept = [one for one in self._ring if one.epoch != epoch]
        self._ring = deque(kept)
        self._ring_bytes = sum(max(one.nbytes, BATCH_BYTES_MIN) for one in kept)
        self._repeats.pop(epoch, None)

    def _take(self, messages: Sequence[Message], problems: Sequence[Message]) -> None:
        """Keep what has come, and tell."""
        if not messages and not problems:
            return
        by_place = {one.place: one for one in self._assigned.values()}
        groups: dict[int, list[Message]] = {}
        ends: dict[int, int] = {}
        for message in messages:
            partition = by_place.get(Place(message.topic() or "", message.partition() or 0))
            if partition:
                groups.setdefault(partition.epoch, []).append(message)
                ends[partition.epoch] = (message.offset() or 0) + 1
        for problem in problems:
            error, partition = problem.error(), by_place.get(Place(problem.topic() or "", problem.partition() or 0))
            if partition and error and error.code() == PARTITION_EOF:
                ends[partition.epoch] = max(ends.get(partition.epoch, 0), problem.offset() or 0)
            elif partition and error and error.code() in CUT_OFF:
                self._assigned.pop(partition.epoch, None)  # it is assigned again, where it begins by then
                self._repeats.setdefault(partition.epoch, Repeats())  # and no more is learned of what lies before
            else:
                self._log.say(sentence(error))
        news = False
        for epoch, end in ends.items():
            before, fresh = split(groups.get(epoch, []), self._end[epoch])
            if before:
                self._repeats.setdefault(epoch, Repeats()).learn(before)
            if end > self._end[epoch]:
                partition = self._assigned.get(epoch) or next(one for one in by_place.values() if one.epoch == epoch)
                news = self._keep(partition, fresh, end) or news
        if news:
            self._log.tell()

    def _keep(self, partition: Partition, messages: Sequence[Message], end: int) -> bool:
        """Keep a batch of one partition; tell whether it has a record."""
        epoch = partition.epoch
        repeats = self._repeats.setdefault(epoch, Repeats())
        if messages:
            batch = batch_of(messages, partition, (self._end[epoch], end), repeats=repeats, understand=self._understand)
        else:
            batch = nothing(partition, self._end[epoch], end)
        with self._lock:
            self._ring.append(batch)
            self._ring_bytes += max(batch.nbytes, BATCH_BYTES_MIN)
            self._end[epoch] = end
            while self._ring_bytes > KAFKA_RING_BYTES_MAX and len(self._ring) > 1:
                old = self._ring.popleft()
                self._ring_bytes -= max(old.nbytes, BATCH_BYTES_MIN)
                self._begin[old.epoch] = old.next.offset
        self._log.arrived(partition, end)
        return len(batch) > 0


def _cut(found: list[Batch], wanted: dict[int, Cursor], bytes_max: int) -> list[Batch]:
    """Return about ``bytes_max`` of these batches; the first of each log begins where it is wanted."""
    kept: list[Batch] = []
    size = 0
    for batch in found:
        start = wanted[batch.epoch]
        kept.append(batch.behind(start) if batch.first < start else batch)
        size += batch.nbytes
        if size >= bytes_max:
            break
    return kept
