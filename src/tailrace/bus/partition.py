"""A partition of a topic as a log: messages become batches, and what was sent twice is left out.

Repeats. Places of a source rise within a partition (``message.py``). Who reads on remembers the highest of each source
(KAFKA_SOURCES_MAX of them, the longest silent goes first) and leaves out what is not beyond it. Who begins to read in
the middle looks at the places of the KAFKA_REPEATS_MESSAGES before first: an agent that died sends again what is about
a second old. A repeat of what lies further back is shown. The store has each record once in any case.

Holes. Kafka has offsets without records (marks of transactions, what compaction has removed, repeats). A batch covers
all offsets from where the one before of the partition ended to where its reader is now, and may have no row.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from tailrace.bus.brokers import Brokers, Place, sentence
from tailrace.bus.message import Decoded, Understand, decode
from tailrace.bus.places import Places
from tailrace.cursor import Cursor
from tailrace.errors import Away, Gone
from tailrace.limits import KAFKA_FETCH_ROWS, KAFKA_READ_S_MAX, KAFKA_REPEATS_MESSAGES, KAFKA_SOURCES_MAX
from tailrace.record import SCHEMA, Batch

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message, TopicPartition

_WAIT_S = 0.1
PARTITION_EOF = -191
CUT_OFF = (-140, 1)
"""Errors of librdkafka (rdkafka.h) that mean something here: all was read; _AUTO_OFFSET_RESET, OFFSET_OUT_OF_RANGE."""


def where(place: Place, offset: int) -> TopicPartition:
    """Return where to read, in the client's own type."""
    from confluent_kafka import TopicPartition

    return TopicPartition(place.topic, place.number, offset)


@dataclass(slots=True)
class Partition:
    """One partition and how far it goes, as far as is known; offsets."""

    place: Place
    epoch: int
    first: int
    next: int


class Repeats:
    """How far each source is in one partition, as one reader of it has seen."""

    def __init__(self) -> None:
        self._marks: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def leave_out(self, decoded: Decoded) -> Batch:
        """Return the batch without what was there before, and remember the rest."""
        keep: np.ndarray | None = None
        for rows, fresh in self._rise(decoded):
            if fresh is not None:
                keep = np.ones(len(decoded.batch), bool) if keep is None else keep
                keep[rows[~fresh]] = False
        return decoded.batch if keep is None else decoded.batch.filter(keep)

    def learn(self, messages: Sequence[Message]) -> None:
        """Remember the places of messages that lie before where reading begins."""
        for _ in self._rise(Places([message.headers() for message in messages])):  # type: ignore[misc]
            pass

    def _rise(self, places: Decoded | Places) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
        """Move the marks; yield the rows of each source and which of them are beyond its mark, None for all."""
        placed = np.flatnonzero(places.source >= 0)
        codes = places.source[placed]
        for code in np.unique(codes).tolist():
            rows = placed[codes == code]
            source = places.sources[code]
            mark = self._marks.pop(source, (-1, -1))
            fresh, self._marks[source] = _rising(places.first[rows], places.row[rows], mark)
            yield rows, fresh
        while len(self._marks) > KAFKA_SOURCES_MAX:
            self._marks.popitem(last=False)


def _rising(first: np.ndarray, row: np.ndarray, mark: tuple[int, int]) -> tuple[np.ndarray | None, tuple[int, int]]:
    """Return which places of one source are beyond the mark and all before them, None for all, and the new mark."""
    rises = (first[1:] > first[:-1]) | ((first[1:] == first[:-1]) & (row[1:] > row[:-1]))
    if rises.all() and (int(first[0]), int(row[0])) > mark:
        return None, (int(first[-1]), int(row[-1]))
    fresh = np.zeros(len(first), bool)
    # A Python loop over lines: only where something was sent twice.
    for at, place in enumerate(zip(first.tolist(), row.tolist(), strict=True)):
        if place > mark:
            fresh[at], mark = True, place
    return fresh, mark


def split(messages: Sequence[Message], offset: int) -> tuple[Sequence[Message], Sequence[Message]]:
    """Return the messages of one partition that lie before an offset, and the others."""
    at = bisect_left(messages, offset, key=lambda message: message.offset() or 0)
    return messages[:at], messages[at:]


def batch_of(
    messages: Sequence[Message],
    partition: Partition,
    covers: tuple[int, int],
    *,
    repeats: Repeats,
    understand: Understand,
) -> Batch:
    """Return the batch of neighbouring messages, which covers these offsets of the partition."""
    decoded = decode(
        [message.value() for message in messages],
        [message.headers() for message in messages],  # type: ignore[misc]
        np.array([message.offset() for message in messages], np.int64),
        [message.timestamp()[1] for message in messages],
        epoch=partition.epoch,
        topic=partition.place.topic,
        understand=understand,
    )
    batch = repeats.leave_out(decoded)
    batch.covers = covers
    return batch


def nothing(partition: Partition, start: int, end: int) -> Batch:
    """Return a batch without rows that covers [start, end)."""
    columns = pa.RecordBatch.from_pylist([], SCHEMA)
    return Batch(columns, epoch=partition.epoch, offsets=np.zeros(0, np.int64), covers=(start, end))


class Reader:
    """A client of its own that reads on in one partition at a time; by one thread at a time."""

    def __init__(self, brokers: Brokers, understand: Understand) -> None:
        """Make the client. Raises ConfigError, Away."""
        self._said = ""
        self._consumer = brokers.consumer(self._say)
        self._understand = understand
        self._repeats = Repeats()
        self.at: Cursor | None = None

    def _say(self, text: str) -> None:
        self._said = text

    def read(self, partition: Partition, start: Cursor, bytes_max: int) -> list[Batch]:
        """Return what follows, as far as is known to be there. Raises Gone, Away."""
        learning = self.at != start
        if learning:
            self._repeats = Repeats()
            back = max(partition.first, start.offset - KAFKA_REPEATS_MESSAGES)
            self._consumer.assign([where(partition.place, back)])
        self.at = None  # until this has gone well
        found: list[Batch] = []
        at, size = start.offset, 0
        deadline = time.monotonic() + KAFKA_READ_S_MAX
        while at < partition.next and size < bytes_max:
            try:
                messages, at_end = self._receive(partition)
            except Gone:
                if not learning:
                    raise
                learning = False  # retention has passed what lies before, and maybe nothing else
                self._consumer.assign([where(partition.place, start.offset)])
                continue
            if learning and messages:
                before, messages = split(messages, start.offset)
                self._repeats.learn(before)
                learning = not messages
                deadline = time.monotonic() + KAFKA_READ_S_MAX
            if not messages and at_end <= at:
                if time.monotonic() > deadline:
                    raise Away(f"Kafka: {self._said or 'the brokers do not answer'}", cure="It is tried again.")
                continue
            end = max((messages[-1].offset() or 0) + 1 if messages else at, at_end)
            if messages:
                found.append(
                    batch_of(messages, partition, (at, end), repeats=self._repeats, understand=self._understand)
                )
            else:
                found.append(nothing(partition, at, end))
            at, size = end, size + found[-1].nbytes
            deadline = time.monotonic() + KAFKA_READ_S_MAX
        self.at = Cursor(partition.epoch, at)
        return found

    def _receive(self, partition: Partition) -> tuple[Sequence[Message], int]:
        """Return what is there, or comes in a moment, and where the end is if that was reached, else 0."""
        messages, problems = received(self._consumer, _WAIT_S)
        at_end = 0
        for problem in problems:
            error = problem.error()
            if error is None:
                continue
            if error.code() == PARTITION_EOF:
                at_end = problem.offset() or 0
            elif error.code() in CUT_OFF:
                raise Gone(f"{partition.place} was cut", next=Cursor(partition.epoch, partition.first))
            else:
                self._said = sentence(error)
        return messages, at_end

    def close(self) -> None:
        """Give the client back."""
        self._consumer.close()


def received(consumer: Consumer, timeout_s: float) -> tuple[list[Message], list[Message]]:
    """Return the messages that are there, or come within the time, and what the client says besides."""
    found = consumer.consume(1, timeout_s)
    if found:
        found += consumer.consume(KAFKA_FETCH_ROWS, 0)
    problems = [message for message in found if message.error() is not None]
    return ([message for message in found if message.error() is None] if problems else found), problems
