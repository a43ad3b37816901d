"""Shipping to Kafka: a thread that brings an agent's log to topics. What a message is stands in ``bus/message.py``.

    read the bus from the position -> encode -> librdkafka -> all is delivered -> the position moves -> it is kept

Position. No broker knows how far an agent's log is taken, so the agent does: ``DATA/kafka/NAME.json``, written anew
beside and renamed, once a second at most and at the end. What was delivered after that is sent again in the next life:
its messages say the same origin, so readers leave them out, and they have the same id in the store. A file that cannot
be read is as good as none: all that the spool has is sent again.

Order. Rows are handed over in the order of the log, and a piece is delivered as a whole before the next one is, so
within a partition offsets of the log rise. A piece of which something was refused is sent again as a whole, never a
part of it: what came behind the missing part would make that look like a repeat. The producer is idempotent
(``acks=all``), or has one request under way at a time.

Branch. Offsets mean other records when a data directory is copied to another machine, or put back from a backup: then
the same origin would name two records, and one of them would be lost. So the file remembers on which machine it lies
and in which directory (its inode); where that changed, or the position is beyond the log, the source gets another name.

Topic. By the label ``topic`` of the stream, else by the template of the configuration, in which ``{label}`` is filled
in; characters that Kafka does not take become ``_``. One that is missing is made. There are SHIP_TOPICS_MAX at most:
then ``other`` is filled in.

Partition. The key is a hash of the stream, or the value of a field, and librdkafka's murmur2 finds the partition, as
Java's client does. ``spread`` has no key: neighbours of SHIP_SPREAD_ROWS go to one partition, which depends on the
offset alone, so that a repeat lies where the first is.

Trouble. Brokers that are away are waited for without end; what is not delivered waits in the spool. What brokers refuse
(rights, a topic that cannot be made) holds all and is said, with what to do. A record that is too large for its topic
goes to the dead letters (dead.py): large ones travel alone, so that it is known which it was.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa

from tailrace.bus import Bus
from tailrace.bus.brokers import Brokers, check_extra, sentence
from tailrace.bus.message import encode
from tailrace.bus.segment import sync_directory
from tailrace.cursor import Cursor
from tailrace.errors import ConfigError, DataError, Gone, TailraceError
from tailrace.limits import (
    BLOCK_READ_BYTES,
    KAFKA_CALL_S_MAX,
    SHIP_LARGE_BYTES,
    SHIP_MESSAGE_BYTES_MAX,
    SHIP_POSITION_S,
    SHIP_REQUEST_BYTES,
    SHIP_RETRY_S_MAX,
    SHIP_RETRY_S_MIN,
    SHIP_SPREAD_ROWS,
    SHIP_TOPICS_MAX,
    STREAM_STATES_MAX,
)
from tailrace.record import Batch, Stream
from tailrace.ship.connection import Failed
from tailrace.ship.dead import DeadLetters
from tailrace.ship.output import OutputStatus

if TYPE_CHECKING:
    from confluent_kafka import Message, Producer

_IDLE_S = 0.5
_FLUSH_S = 0.2
_SAID_S = 2.0
_UNKNOWN_TOPIC = 3
_MESSAGE_TOO_LARGE = 10
_TOPIC_IS_THERE = 36
"""Errors of Kafka's protocol."""
_ACKS = ("all", "1", "0")
_COMPRESSIONS = ("zstd", "lz4", "gzip", "snappy", "none")
_LEVELS = {"zstd": 1, "gzip": 1}  # the agent shares its machine with whatever writes the logs
_PLACE = re.compile(r"\{([a-z][a-z0-9_.]*)\}")
_TOPIC_CHARACTERS_MAX = 249


@dataclass(frozen=True, slots=True)
class Cluster:
    """What is shipped to, and how."""

    brokers: Brokers
    topic: str = "tailrace"
    partition_by: str = "stream"
    acks: str = "all"
    compression: str = "zstd"
    partitions: int = 12
    replication: int = 1

    def __post_init__(self) -> None:
        """Raise ConfigError for what has no meaning."""
        check_extra()
        for key, value, known in (("acks", self.acks, _ACKS), ("compression", self.compression, _COMPRESSIONS)):
            if value not in known:
                raise ConfigError(f"agent.{key}: there is no {value!r}", cure=f"One of {' '.join(known)}.")
        if not self.topic.strip() or "{" in _PLACE.sub("", self.topic):
            raise ConfigError(f"agent.topic: {self.topic!r} is no topic", cure="Like logs-{service}.")

    @property
    def url(self) -> str:
        """What it is called for people."""
        return self.brokers.name

    @property
    def exposed(self) -> bool:
        """Whether it leaves this machine so that others can read it."""
        return self.brokers.exposed

    @property
    def safer(self) -> str:
        """What would prevent that."""
        return "kafka.tls"

    def topic_of(self, stream: Stream, *, crowded: bool = False) -> str:
        """Return the topic of a stream; when there are too many, without what is filled in."""

        def filled(place: re.Match[str]) -> str:
            return "other" if crowded else stream.labels.get(place[1]) or "none"

        own = None if crowded else stream.labels.get("topic")
        name = own or _PLACE.sub(filled, self.topic)
        name = re.sub(r"[^A-Za-z0-9._-]", "_", name)[:_TOPIC_CHARACTERS_MAX]
        return name if name.strip(".") else "_"


class _Position(msgspec.Struct):
    """The content of the file. ``place`` says where it lies."""

    epoch: int
    offset: int
    branch: str
    place: str


class KafkaOutput:
    """Ships a bus to a cluster from ``start`` until ``stop``. ``on_taken`` is called whenever its position moved."""

    def __init__(
        self, bus: Bus, server: Cluster, dead: DeadLetters, file: Path, *, on_taken: Callable[[], None]
    ) -> None:
        self.server = server
        self._bus = bus
        self._dead = dead
        self._file = file
        self._on_taken = on_taken
        self._stopping = threading.Event()
        self._at, self._branch = self._begin()
        self._saved = -1
        self._saved_at = 0.0
        self._shipped = 0
        self._lost = 0
        self._failures = 0
        self._error: TailraceError | None = None
        self._said = ""
        self._refused: list[tuple[Any, bytes]] = []
        self._topics: dict[str, int] = {}
        self._routes: dict[str, tuple[str, bytes]] = {}
        self._thread = threading.Thread(target=self._run, name=f"ship {server.url}", daemon=True)

    # -- as every output (output.py) ---------------------------------------------------------------------------------

    @property
    def taken(self) -> Cursor:
        """The position before which Kafka has everything."""
        return self._at

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for."""
        return not self._thread.is_alive() or self._error is not None or self._at >= self._end()

    def start(self) -> None:
        """Begin to ship."""
        self._thread.start()

    def stop(self) -> None:
        """Ship no more; what is under way is sent again in the next life, if it is not known to be delivered."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, for so long at most."""
        self._thread.join(timeout_s)

    def status(self) -> OutputStatus:
        """Return how it is doing. From any thread."""
        error = self._error
        waiting = self._end() - self._at
        state = "failing" if error else "shipping" if waiting else "idle"
        said = f"{error.message}. {error.cure}".strip() if error else ""
        dead = self._dead
        return OutputStatus(
            self.server.url, state, waiting, self._shipped, dead.records, str(dead.path), self._lost, said
        )

    def _end(self) -> Cursor:
        (end,) = self._bus.next.cursors
        return end

    # -- the position --------------------------------------------------------------------------------------------------

    def _begin(self) -> tuple[Cursor, str]:
        """Return where to go on, and under which branch."""
        (first,) = self._bus.first.cursors
        try:
            known = msgspec.json.decode(self._file.read_bytes(), type=_Position)
        except (OSError, msgspec.DecodeError):
            return first, ""
        if known.epoch != first.epoch:
            return first, ""
        if known.offset > self._end().offset:
            return first, secrets.token_hex(4)
        branch = known.branch if known.place == self._place() else secrets.token_hex(4)
        return max(Cursor(known.epoch, known.offset), first), branch

    def _place(self) -> str:
        """Return what is another when the data directory was copied."""
        machine = ""
        with contextlib.suppress(OSError):
            machine = Path("/etc/machine-id").read_text("ascii").strip()
        return f"{machine}:{self._file.parent.parent.stat().st_ino}"

    def _save(self, *, now: bool = False) -> None:
        """Keep the position, when it is time. Raises DataError."""
        if self._saved == self._at.offset or not (now or time.monotonic() - self._saved_at > SHIP_POSITION_S):
            return
        fresh = self._file.with_suffix(".new")
        known = _Position(self._at.epoch, self._at.offset, self._branch, self._place())
        try:
            self._file.parent.mkdir(mode=0o700, exist_ok=True)
            with fresh.open("wb") as file:
                file.write(msgspec.json.encode(known))
                file.flush()
                os.fsync(file.fileno())
            os.replace(fresh, self._file)
            sync_directory(self._file.parent)
        except OSError as error:
            raise DataError(f"cannot write {self._file}: {error.strerror}", cure="Free some space.") from error
        self._saved, self._saved_at = known.offset, time.monotonic()

    # -- shipping: one thread ------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                producer: Producer | None = None
                try:
                    producer = self._producer()
                    self._ship(producer)
                except (Failed, DataError, ConfigError) as error:
                    self._error = error
                    self._failures += 1
                    pause = min(SHIP_RETRY_S_MIN * 2 ** min(self._failures - 1, 16), SHIP_RETRY_S_MAX)
                    self._stopping.wait(pause)
                finally:
                    if producer is not None:
                        _drop(producer)
            with contextlib.suppress(DataError):  # what is not remembered is sent again
                self._save(now=True)
        except Exception as fault:
            self._error = Failed(f"shipping has stopped, a restart goes on where it was: {fault!r}")
            raise

    def _producer(self) -> Producer:
        """Return a client. Raises ConfigError, Failed."""
        all_acks = self.server.acks == "all"
        self._topics.clear()
        self._said = ""
        try:
            return self.server.brokers.producer(
                self._say,
                {
                    "acks": self.server.acks,
                    "enable.idempotence": all_acks,
                    "max.in.flight.requests.per.connection": 5 if all_acks else 1,
                    "compression.type": self.server.compression,
                    "compression.level": _LEVELS.get(self.server.compression, -1),
                    "partitioner": "murmur2_random",
                    "linger.ms": 5,
                    "batch.size": SHIP_REQUEST_BYTES,
                    "message.max.bytes": SHIP_MESSAGE_BYTES_MAX,
                    "message.timeout.ms": 0,
                    "queue.buffering.max.messages": 0,
                    "queue.buffering.max.kbytes": 4 * SHIP_MESSAGE_BYTES_MAX // 1024,
                    "delivery.report.only.error": True,
                    "on_delivery": self._refuse,
                },
            )
        except TailraceError as error:
            raise Failed(error.message, cure=error.cure) from error

    def _say(self, text: str) -> None:
        self._said = text

    def _refuse(self, error: Any, message: Message) -> None:
        """Take note that a message was not taken; called for no others."""
        self._refused.append((error, message.value() or b""))

    def _ship(self, producer: Producer) -> None:
        """Deliver what there is, until stopped or something fails."""
        while not self._stopping.is_set():
            self._save()
            if not self._bus.wait(self._at, _IDLE_S):
                continue
            try:
                found = self._bus.read(self._at, BLOCK_READ_BYTES)
            except Gone as gone:
                self._lost += gone.next - self._at
                self._moved(gone.next)
                continue
            for batch in found:
                if not self._hand_over(producer, batch):
                    return
            if not found or not self._delivered(producer):
                continue
            rows = sum(map(len, found))
            self._lost += found[-1].next - self._at - rows  # damage may leave places without a record
            self._shipped += rows
            self._failures, self._error = 0, None
            self._moved(found[-1].next)

    def _moved(self, to: Cursor) -> None:
        self._at = to
        self._on_taken()

    def _hand_over(self, producer: Producer, batch: Batch) -> bool:
        """Give all of a batch to the client, or raise Failed; False when it was told to stop meanwhile."""
        source = f"agent:{batch.epoch:x}" + (f".{self._branch}" if self._branch else "")
        encoded = encode(batch, source=source)
        routes = self._routes_of(producer, batch)
        topics = [topic for topic, _ in routes]
        codes = batch.stream_codes.tolist()
        numbers: Iterable[int] = repeat(-1)
        if self.server.partition_by == "spread":
            assert batch.offsets is not None
            counts = np.array([self._topics[topic] for topic in topics])[batch.stream_codes]
            numbers = (batch.offsets // SHIP_SPREAD_ROWS % counts).tolist()
        # One object per message is what the client takes; named arguments, or a step of Python for each, would cost as
        # much as the whole call.
        messages = (
            map(topics.__getitem__, codes),
            encoded.values,
            self._keys(batch, [key for _, key in routes], codes),
            numbers,
            repeat(None),
            repeat(None),
            encoded.times_ms,
            encoded.headers,
        )
        if max(map(len, encoded.values)) <= SHIP_LARGE_BYTES:
            deque(map(producer.produce, *messages), maxlen=0)
            return True
        for row, message in enumerate(zip(*messages, strict=False)):
            if len(message[1]) <= SHIP_LARGE_BYTES:
                producer.produce(*message)
            elif not self._delivered(producer) or not self._deliver_alone(producer, batch.slice(row, row + 1), message):
                return False
        return True

    def _keys(self, batch: Batch, of_stream: Sequence[bytes], codes: Sequence[int]) -> Iterable[bytes | None]:
        """Return the key of each row."""
        by = self.server.partition_by
        if by == "stream":
            return map(of_stream.__getitem__, codes)
        if by == "spread":
            return repeat(None)
        return batch.column(by).cast(pa.binary()).to_pylist()

    def _delivered(self, producer: Producer) -> bool:
        """Wait until all that was handed over is delivered; False when told to stop. Raises Failed for a refusal."""
        began = time.monotonic()
        while producer.flush(_FLUSH_S):
            if self._stopping.is_set():
                return False
            if self._said and time.monotonic() - began > _SAID_S:
                self._error = Failed(f"Kafka does not answer: {self._said}", cure="It is tried again and again.")
        self._said = ""
        if self._refused:
            error, _ = self._refused[0]
            self._refused.clear()
            raise _refusal(error)
        return True

    def _deliver_alone(self, producer: Producer, row: Batch, message: tuple[Any, ...]) -> bool:
        """Deliver a large record by itself; one that is too large is a dead letter. As ``_delivered``."""
        from confluent_kafka import KafkaException

        try:
            producer.produce(*message)
            return self._delivered(producer)
        except KafkaException as error:
            refused = _refusal(error.args[0])
        except _TooLarge as error:
            refused = error
        if not isinstance(refused, _TooLarge):
            raise refused
        self._dead.add(row, str(refused))
        return True

    def _routes_of(self, producer: Producer, batch: Batch) -> list[tuple[str, bytes]]:
        """Return the topic and the key of each stream of a batch; the topics are there then. Raises Failed."""
        routes: list[tuple[str, bytes]] = []
        for stream in batch.streams:
            known = self._routes.get(stream.json)
            if known is None:
                topic = self.server.topic_of(stream)
                if topic not in self._topics and len(self._topics) >= SHIP_TOPICS_MAX:
                    topic = self.server.topic_of(stream, crowded=True)
                known = topic, hashlib.sha256(stream.json.encode()).hexdigest()[:16].encode()
                if len(self._routes) >= STREAM_STATES_MAX:
                    self._routes.clear()
                self._routes[stream.json] = known
            if known[0] not in self._topics:
                self._topics[known[0]] = self._partitions_of(producer, known[0])
            routes.append(known)
        return routes

    def _partitions_of(self, producer: Producer, topic: str) -> int:
        """Return how many partitions a topic has; make it, if it is not there. Raises Failed."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import NewTopic  # type: ignore[attr-defined]

        try:
            known = producer.list_topics(topic, timeout=KAFKA_CALL_S_MAX).topics[topic]
        except KafkaException as error:
            producer.poll(0)  # which is when the client tells what is behind it
            said = self._said or sentence(error)
            raise Failed(f"Kafka does not answer: {said}", cure="It is tried again and again.") from error
        if known.error is None:
            return len(known.partitions)
        if known.error.code() != _UNKNOWN_TOPIC:
            raise _refusal(known.error)
        server = self.server
        made = NewTopic(topic, server.partitions, server.replication)
        cure = "Make it, or let this user make topics; kafka.replication must not exceed the brokers."
        try:
            with server.brokers.admin().asking() as client:
                try:
                    client.create_topics([made], request_timeout=KAFKA_CALL_S_MAX)[topic].result(KAFKA_CALL_S_MAX + 1)
                except KafkaException as error:
                    if error.args[0].code() != _TOPIC_IS_THERE:
                        why = f"there is no topic {topic}, and it cannot be made: {sentence(error)}"
                        raise Failed(why, cure=cure) from error
        except TailraceError as error:
            raise Failed(error.message, cure=error.cure) from error
        return server.partitions


class _TooLarge(Failed):
    """A record is larger than its topic takes."""


def _refusal(error: Any) -> Failed:
    """Return what it means that Kafka does not take something, for people."""
    if error.code() == _MESSAGE_TOO_LARGE:
        return _TooLarge("the record is larger than its topic takes", cure="Raise max.message.bytes of the topic.")
    cures = {
        29: "Let this user write to the topic.",
        31: "Let this user write to the cluster, or set agent.acks to 1.",
        32: "The clock of this machine and that of the broker differ too much.",
    }
    return Failed(f"Kafka refuses: {sentence(error)}", cure=cures.get(error.code(), "It is tried again and again."))


def _drop(producer: Producer) -> None:
    """Let go of a client, and of what it has not delivered."""
    producer.purge()
    producer.flush(0)
