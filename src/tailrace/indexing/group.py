"""The member of the consumer group: takes messages, hands blocks over, commits what is settled.

    consume -> gather (INDEXING_GATHER_S, or a full block) -> documents -> Writing.put
    settled, in order -> commit, every INDEXING_COMMIT_S

One thread does all of it, and the callbacks of the group (assigned, revoked, lost) come in this thread, from within
``consume``. The rules are in the head of the package.

Where a partition has no committed offset it begins at the oldest message that there is. Where it has one that Kafka no
longer keeps, reading goes on at the oldest, and what lies between is ``lost``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Sequence
from typing import Protocol

from confluent_kafka import OFFSET_INVALID, Consumer, KafkaError, KafkaException, Message, TopicPartition

from tailrace.bus.brokers import Brokers, sentence
from tailrace.bus.wanted import LEFT_OUT, Wanted
from tailrace.errors import TailraceError
from tailrace.indexing.counts import Counts
from tailrace.indexing.progress import Progress
from tailrace.indexing.writing import Block, Writing
from tailrace.limits import (
    BULK_BYTES_MAX,
    BULK_LINES_MAX,
    INDEXING_BLOCKS_MAX,
    INDEXING_COMMIT_S,
    INDEXING_END_S_MAX,
    INDEXING_FETCH_BYTES,
    INDEXING_FETCHED_KIB_MAX,
    INDEXING_GATHER_S,
    INDEXING_METADATA_S,
    INDEXING_PAUSE_S,
    INDEXING_REVOKE_S_MAX,
    INDEXING_SESSION_S,
    INDEXING_TAKE_MESSAGES,
    INDEXING_WAIT_S,
    KAFKA_CALL_S_MAX,
)

Place = tuple[str, int]
"""Topic and partition."""

_CONSUMER = {
    "auto.offset.reset": "error",  # so that it is seen, and counted
    "partition.assignment.strategy": "cooperative-sticky",
    "topic.blacklist": ",".join(LEFT_OUT),
    "session.timeout.ms": int(INDEXING_SESSION_S * 1000),
    "heartbeat.interval.ms": int(INDEXING_SESSION_S * 1000 / 4),
    "fetch.max.bytes": INDEXING_FETCH_BYTES,
    "max.partition.fetch.bytes": INDEXING_FETCH_BYTES // 8,
    "queued.max.messages.kbytes": INDEXING_FETCHED_KIB_MAX,
    "topic.metadata.refresh.interval.ms": int(INDEXING_METADATA_S * 1000),
}
_BROKERS = "brokers"
_COMMIT = "commit"
_DOCUMENTS = "documents"


class Documents(Protocol):
    """Makes documents of messages (documents.py)."""

    def of(self, topic: str, messages: Sequence[Message]) -> list[bytes]:
        """Return an action and a source, as lines, for each message of a topic. Raises TailraceError if it cannot."""
        ...

    def forget(self, topic: str) -> None:
        """Look again what the topic is: partitions of it were assigned."""
        ...


class Member:
    """Reads ``topics`` as a member of ``group`` from ``start`` until ``stop``."""

    def __init__(
        self,
        brokers: Brokers,
        group: str,
        topics: Sequence[str],
        *,
        documents: Documents,
        writing: Writing,
        counts: Counts,
    ) -> None:
        """Connect. Raises ConfigError, Away."""
        Wanted(topics)  # the client would take what is no pattern for one that nothing matches
        self._topics = list(topics)
        self._documents = documents
        self._writing = writing
        self._counts = counts
        self._stopping = threading.Event()
        self._partitions: dict[Place, Progress] = {}
        self._restarts: dict[Place, int] = {}
        self._gathered: list[Message] = []
        self._gathered_bytes = 0
        self._since = 0.0
        self._largest = 1
        self._paused = False
        self._free_at = 0.0
        self._look_at = 0.0
        self._why: dict[str, str] = {}
        self.lag: dict[Place, int] = {}
        """Messages behind what is settled, of each partition that is ours; as known. Replaced, never changed."""
        self._consumer = brokers.member(self._on_error, group, {**_CONSUMER, "on_commit": self._on_commit})
        self._thread = threading.Thread(target=self._run, name="group", daemon=True)

    @property
    def problems(self) -> list[str]:
        """Return what is wrong now. From any thread."""
        return list(self._why.copy().values())

    @property
    def alive(self) -> bool:
        """Whether it goes on; only a fault of the program ends it."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Have what is on its way settled, for INDEXING_END_S_MAX at most, commit it and leave the group."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        self._consumer.subscribe(
            self._topics, on_assign=self._on_assign, on_revoke=self._on_revoke, on_lost=self._on_lost
        )
        try:
            while not self._stopping.is_set():
                self._step()
            self._writing.end(INDEXING_END_S_MAX)
        except Exception as fault:
            self._why["fault"] = f"indexing has stopped, a restart goes on where it was: {fault!r}"
            raise
        finally:
            self._consumer.close()  # revokes, which commits

    def _step(self) -> None:
        """Hand over what is due, take some messages, commit."""
        free = self._free() or self._writing.wait(self._free, INDEXING_WAIT_S)
        now = time.monotonic()
        if free:
            self._free_at = now
        if free and self._gathered and (self._full() or now - self._since >= INDEXING_GATHER_S):
            self._hand_over()
        room = free and not self._full()
        if self._paused if room else now - self._free_at >= INDEXING_PAUSE_S and not self._paused:
            self._pause(not room)
        if room:
            self._take(INDEXING_TAKE_MESSAGES, INDEXING_GATHER_S)
        else:
            self._take(1, 0.0)  # only who asks for messages takes part in the group
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + INDEXING_COMMIT_S
            self._commit(self._partitions, wait=False)
            self._restart()
            self._measure()

    def _free(self) -> bool:
        return self._writing.blocks < INDEXING_BLOCKS_MAX

    def _full(self) -> bool:
        return len(self._gathered) >= BULK_LINES_MAX or self._gathered_bytes >= BULK_BYTES_MAX

    def _take(self, at_most: int, timeout_s: float) -> None:
        """Gather what comes within this time, a bounded number of bytes of it."""
        ours = set(self._partitions)
        if self._gathered:
            timeout_s = max(min(self._since + INDEXING_GATHER_S - time.monotonic(), timeout_s), 0.0)
        wanted = min(at_most, BULK_BYTES_MAX // self._largest, BULK_LINES_MAX - len(self._gathered))
        count = max(wanted, 1)
        messages = self._consumer.consume(count, timeout_s)
        if not messages:
            return
        bad = [message for message in messages if message.error() is not None]
        if bad or ours != self._partitions.keys():
            for message in bad:
                self._on_trouble(message)
            messages = [one for one in messages if one.error() is None and _place(one) in self._partitions]
        if not messages:
            return
        if not self._gathered:
            self._since = time.monotonic()
        sizes = list(map(len, messages))
        self._largest = max(*sizes, self._largest // 2, 1)
        self._gathered += messages
        self._gathered_bytes += sum(sizes)
        self._why.pop(_BROKERS, None)

    def _hand_over(self) -> None:
        """Make a block of what was gathered; it stays gathered while the documents cannot be made."""
        by_topic: dict[str, list[Message]] = {}
        if len({topic for topic, _ in self._partitions}) > 1:
            for message in self._gathered:
                by_topic.setdefault(message.topic() or "", []).append(message)
        else:
            by_topic[self._gathered[0].topic() or ""] = self._gathered
        try:
            documents = [one for topic, messages in by_topic.items() for one in self._documents.of(topic, messages)]
        except TailraceError as error:
            self._why[_DOCUMENTS] = error.message
            self._stopping.wait(INDEXING_WAIT_S)
            return
        self._why.pop(_DOCUMENTS, None)
        block = Block(documents, [message for messages in by_topic.values() for message in messages])
        for topic, messages in by_topic.items():
            last = dict(zip(map(Message.partition, messages), messages, strict=True))
            for partition, message in last.items():
                self._partitions[topic, partition or 0].add((message.offset() or 0) + 1, block)
        self._writing.put(block)
        self._gathered, self._gathered_bytes = [], 0

    def _pause(self, paused: bool) -> None:
        """Have the partitions bring nothing, or bring something again."""
        change = self._consumer.pause if paused else self._consumer.resume
        change([TopicPartition(*place) for place in self._partitions])
        self._paused = paused

    def _commit(self, places: Iterable[Place], *, wait: bool) -> None:
        moved = [place for place in places if self._partitions[place].settle()]
        if not moved:
            return
        offsets = [TopicPartition(*place, self._partitions[place].position or 0) for place in moved]
        for place in moved:
            self._partitions[place].committed = self._partitions[place].position
        try:
            if wait:
                self._consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self._consumer.commit(offsets=offsets, asynchronous=True)
        except KafkaException as error:
            self._on_commit(error.args[0], offsets)

    def _on_commit(self, error: KafkaError | None, offsets: list[TopicPartition]) -> None:
        failed = [one for one in offsets if error is not None or one.error is not None]
        for one in failed:
            if progress := self._partitions.get((one.topic, one.partition)):
                progress.committed = None  # so that it is tried again
        why = error or next((one.error for one in failed), None)
        if why is not None:
            self._why[_COMMIT] = f"offsets are not committed: {sentence(why)}"
        else:
            self._why.pop(_COMMIT, None)

    def _on_assign(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        for one in partitions:
            self._partitions[one.topic, one.partition] = Progress()
            self._why.pop(one.topic, None)
            self._documents.forget(one.topic)
        try:
            for one in self._consumer.committed(partitions, timeout=KAFKA_CALL_S_MAX):
                if one.offset >= 0:
                    progress = self._partitions[one.topic, one.partition]
                    progress.position = progress.committed = one.offset
        except KafkaException:
            pass  # only the lag is not known until something is settled
        if self._paused:
            self._consumer.incremental_assign(partitions)
            self._consumer.pause(partitions)

    def _on_revoke(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        gone = [(one.topic, one.partition) for one in partitions if (one.topic, one.partition) in self._partitions]
        self._drop_gathered(gone)
        waiting = [self._partitions[place] for place in gone]

        def finished() -> bool:
            for progress in waiting:
                progress.settle()
            return not any(progress.waiting for progress in waiting)

        self._writing.wait(finished, 0 if self._stopping.is_set() else INDEXING_REVOKE_S_MAX)
        self._commit(gone, wait=True)
        self._forget(gone)

    def _on_lost(self, _: Consumer, partitions: list[TopicPartition]) -> None:
        gone = [(one.topic, one.partition) for one in partitions]
        self._drop_gathered(gone)
        self._forget(gone)

    def _drop_gathered(self, gone: Sequence[Place]) -> None:
        self._gathered = [message for message in self._gathered if _place(message) not in gone]
        self._gathered_bytes = sum(map(len, self._gathered))

    def _forget(self, gone: Sequence[Place]) -> None:
        for place in gone:
            self._partitions.pop(place, None)
            self._restarts.pop(place, None)
        self.lag = {place: lag for place, lag in self.lag.items() if place in self._partitions}

    def _on_trouble(self, message: Message) -> None:
        error = message.error()
        assert error is not None
        topic = message.topic() or ""
        if error.code() == KafkaError._AUTO_OFFSET_RESET:
            wanted = message.offset()
            self._restarts[topic, message.partition() or 0] = OFFSET_INVALID if wanted is None else wanted
            self._look_at = 0.0
        elif error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            self._why[topic] = f"there is no topic {topic!r} yet"
        else:
            self._why[topic or _BROKERS] = f"{topic and f'topic {topic!r}: '}{sentence(error)}"

    def _on_error(self, said: str) -> None:
        """Note what is wrong with the brokers as a whole; Kafka's client goes on trying."""
        self._why[_BROKERS] = f"Kafka: {said}"

    def _restart(self) -> None:
        """Begin at the oldest message where an offset does not exist (any more); count what lies between."""
        for place, wanted in list(self._restarts.items()):
            if place in self._partitions:
                try:
                    oldest, _ = self._consumer.get_watermark_offsets(TopicPartition(*place), timeout=KAFKA_CALL_S_MAX)
                except KafkaException as error:
                    self._why[_BROKERS] = sentence(error)
                    return
                if 0 <= wanted < oldest:
                    self._counts.add(lost=oldest - wanted)
                self._consumer.incremental_unassign([TopicPartition(*place)])
                self._consumer.incremental_assign([TopicPartition(*place, oldest)])
                if self._paused:
                    self._consumer.pause([TopicPartition(*place)])
            del self._restarts[place]

    def _measure(self) -> None:
        """Note the lags, and whether the brokers are back."""
        lag: dict[Place, int] = {}
        for place, progress in self._partitions.items():
            oldest, newest = self._consumer.get_watermark_offsets(TopicPartition(*place), cached=True)
            if newest >= 0:
                behind = max(oldest, 0) if progress.position is None else progress.position
                lag[place] = max(newest - behind, 0)
        self.lag = lag
        if _BROKERS in self._why and self._partitions:
            try:
                self._consumer.get_watermark_offsets(TopicPartition(*next(iter(self._partitions))), timeout=1.0)
                self._why.pop(_BROKERS, None)
            except KafkaException:
                pass


def _place(message: Message) -> Place:
    return message.topic() or "", message.partition() or 0
