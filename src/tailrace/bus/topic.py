"""A bus on a topic of Kafka: what servers take in (pushes, syslog) goes where the agents' records go.

Append. A batch goes to one partition, chosen by its first stream, all its rows in their order: the producer is
idempotent and waits for all replicas in sync (acks=all). One thread encodes and sends what is queued, another learns
what was taken; the future is done when the last row is.

Ledger. Each message says where its record was read from, so which places are taken can be read off the topic. It is
kept in memory and rebuilt at the start from the newest KAFKA_LEDGER_MESSAGES of each partition. Within that, and while
this process lives, appending twice is the same as appending once, as the contract says. What lies further back, or what
another server takes at the same moment, may be written twice: such a repeat is left out by whoever reads past both
(``partition.py``), and has the same id in the store. A batch of which only some rows arrived (the process or its
brokers died) is not taken: it is sent again, and its first rows are then such repeats.

Full: more than APPEND_BYTES_MAX waiting is Busy. Brokers away: an append fails with Away after KAFKA_APPEND_S_MAX; it
may have been written all the same, and sending it again does no harm. Closed: what was queued is sent, for as long;
then everything is refused. Retention is Kafka's: ``release`` does nothing.
"""

from __future__ import annotations

import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from tailrace.bus.brokers import Brokers, Place, sentence
from tailrace.bus.kafka import KafkaLog
from tailrace.bus.ledger import Ledger
from tailrace.bus.message import Understand, encode
from tailrace.bus.partition import PARTITION_EOF, Partition, received, where
from tailrace.bus.places import Places
from tailrace.cursor import Cursor, Position
from tailrace.errors import Away, Busy, Closed, OriginTaken
from tailrace.limits import (
    APPEND_BYTES_MAX,
    BATCH_ROWS_MAX,
    KAFKA_APPEND_S_MAX,
    KAFKA_CALL_S_MAX,
    KAFKA_LEDGER_MESSAGES,
    KAFKA_READ_S_MAX,
)
from tailrace.record import Batch, Origin

if TYPE_CHECKING:
    from confluent_kafka import Message, Producer

_POLL_S = 0.1


class KafkaBus(KafkaLog):
    """A ``Bus`` on a topic that is there; see the head of this module and the contract in ``tailrace.bus``."""

    def __init__(
        self,
        brokers: Brokers,
        topic: str,
        understand: Understand,
        *,
        also: Sequence[str] = (),
        only: int | None = None,
    ) -> None:
        """Look, and read which places are taken; ``also`` are topics that are read and not written.

        Raises ConfigError, and Away when the brokers do not answer.
        """
        super().__init__(brokers, [topic, *also], understand, only=only)
        self._topic = topic
        self._ledger = Ledger()
        self._staged: dict[str, _Flight] = {}  # the newest of each source
        self._queue: deque[tuple[Batch, Future[Position]]] = deque()
        self._queue_bytes = 0
        self._flights = 0
        self._sent = self._broken = False
        self._producer: Producer = brokers.producer(
            self.say,
            {
                "enable.idempotence": True,
                "compression.type": "zstd",
                "linger.ms": 5,
                "delivery.timeout.ms": int(KAFKA_APPEND_S_MAX * 1000),
                "queue.buffering.max.kbytes": 4 * APPEND_BYTES_MAX // 1024,
            },
        )
        try:
            self._read_ledger(brokers)
        except BaseException:
            super().close()
            raise
        self._threads = [
            threading.Thread(target=self._send_queued, name="kafka send", daemon=True),
            threading.Thread(target=self._learn, name="kafka answers", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    # -- the contract ----------------------------------------------------------------------------------------------

    def append(self, batch: Batch) -> Future[Position]:
        """Queue a batch; see the contract. The future raises Away instead of DiskFull."""
        if not 0 < len(batch) <= BATCH_ROWS_MAX:
            raise ValueError(f"a batch has 1 to {BATCH_ROWS_MAX} rows, not {len(batch)}")
        done: Future[Position] = Future()
        with self._changed:
            if self._closing:
                raise Closed("the bus is closed")
            if self._queue_bytes and self._queue_bytes + batch.nbytes > APPEND_BYTES_MAX:
                raise Busy("too much is waiting for Kafka", retry_s=0.1, cure="Send it again in a moment.")
            self._queue.append((batch, done))
            self._queue_bytes += batch.nbytes
            self._changed.notify_all()
        return done

    def taken(self, source: str) -> Origin | None:
        """Return how far a source's places are taken, as far as the ledger reaches."""
        return self._ledger.origins.get(source)

    def sources(self, prefix: str) -> list[Origin]:
        """Return the newest origin of every source whose name begins with ``prefix``."""
        with self._changed:
            return [origin for source, origin in self._ledger.origins.items() if source.startswith(prefix)]

    def forget(self, source: str) -> None:
        """Drop a source from the ledger, until it is read again."""
        with self._changed:
            self._ledger.origins.pop(source, None)

    def release(self, below: Position) -> None:
        """Do nothing: Kafka keeps what its own retention says."""

    def close(self) -> None:
        """Send what was queued, then refuse everything."""
        with self._changed:
            closed, self._closing = self._closing, True
            self._changed.notify_all()
        if not closed:
            for thread in self._threads:
                thread.join()
            super().close()

    # -- sending: one thread ---------------------------------------------------------------------------------------

    def _send_queued(self) -> None:
        try:
            while self._send_next():
                pass
        finally:
            with self._changed:
                self._sent = True
                self._changed.notify_all()

    def _send_next(self) -> bool:
        """Send what is queued; tell whether there can be more."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closing)
            if not self._queue:
                return False
            batch, done = self._queue.popleft()
        if not done.set_running_or_notify_cancel():  # nobody waits for it, and nothing was promised
            self._free(batch.nbytes)
            return True
        try:
            self._send(batch, done)
        except Exception as fault:  # whoever waits must not wait for ever
            self._free(batch.nbytes)
            done.set_exception(fault)
            if not isinstance(fault, Away | OriginTaken):
                self._broken = self._closing = True
                raise
        return True

    def _free(self, size: int) -> None:
        with self._changed:
            self._queue_bytes -= size

    def _send(self, batch: Batch, done: Future[Position]) -> None:
        """Hand the rows of a batch to the client, or answer at once. Raises Away, OriginTaken."""
        with self._changed:
            staged = {source: flight.origins[source] for source, flight in self._staged.items()}
            taken = self._ledger.is_taken(batch.origins, staged)
            under_way = [self._staged[one.source] for one in batch.origins if one.source in self._staged]
            if taken:
                self._queue_bytes -= batch.nbytes
                if under_way:  # what is answered for is on its way still
                    under_way[-1].others.append(done)
                    return
        if taken:
            done.set_result(self.next)
            return
        partition = self._partition_of(batch)
        flight = _Flight(batch, partition, done)
        with self._changed:
            self._staged.update((source, flight) for source in flight.origins)
            self._flights += 1
            self._changed.notify_all()
        encoded = encode(batch)
        told = partial(self._told, flight)
        key = batch.streams[int(batch.stream_codes[0])].json.encode()
        place = partition.place
        for value, headers, time_ms in zip(encoded.values, encoded.headers, encoded.times_ms, strict=True):
            self._produce(place.topic, value, key, place.number, on_delivery=told, timestamp=time_ms, headers=headers)

    def _partition_of(self, batch: Batch) -> Partition:
        def mine() -> list[Partition]:
            return [one for one in self.partitions() if one.place.topic == self._topic]

        with self._changed:
            self._changed.wait_for(mine, KAFKA_CALL_S_MAX)
        known = sorted(mine(), key=lambda one: one.place.number)
        if not known:
            raise Away(f"Kafka: {self.error or 'no partition is known'}", cure="It is tried again.")
        key = batch.streams[int(batch.stream_codes[0])].json
        return known[zlib.crc32(key.encode()) % len(known)]

    def _produce(self, *where: Any, on_delivery: Callable[[Any, Message | None], None], **more: Any) -> None:
        """Hand one message to the client; what it cannot take is told as a failed one."""
        from confluent_kafka import KafkaException

        while True:
            try:
                self._producer.produce(*where, on_delivery=on_delivery, **more)
                return
            except BufferError:
                time.sleep(_POLL_S)
            except KafkaException as error:
                on_delivery(error.args[0], None)
                return

    # -- learning: one thread --------------------------------------------------------------------------------------

    def _learn(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._flights or self._sent)
                if self._sent and (not self._flights or self._broken):
                    return
            if self._flights:
                self._producer.poll(_POLL_S)

    def _told(self, flight: _Flight, error: Any, message: Message | None) -> None:
        """Take note that a row was taken, or not."""
        flight.missing -= 1
        if error is not None:
            flight.error = sentence(error)
        elif message is not None:
            flight.next = max(flight.next, (message.offset() or 0) + 1)
        if flight.missing:
            return
        with self._changed:
            for source in flight.origins:
                if self._staged.get(source) is flight:
                    del self._staged[source]
            if not flight.error:
                self._ledger.take(flight.batch.origins)
            self._queue_bytes -= flight.batch.nbytes
            self._flights -= 1
        if flight.error:
            failed = Away(f"Kafka has not taken it: {flight.error}", cure="Send it again; that loses nothing.")
            for done in (flight.done, *flight.others):
                done.set_exception(failed)
            return
        self.arrived(flight.partition, flight.next)
        end = self.next.with_cursor(Cursor(flight.partition.epoch, flight.next))
        for done in (flight.done, *flight.others):
            done.set_result(end)

    # -- opening ---------------------------------------------------------------------------------------------------

    def _read_ledger(self, brokers: Brokers) -> None:
        """Read the newest messages of each partition back. Raises Away."""
        waiting = {one.place: one.next for one in self.partitions() if one.next > one.first}
        if not waiting:
            return
        begin = {one.place: max(one.first, one.next - KAFKA_LEDGER_MESSAGES) for one in self.partitions()}
        consumer = brokers.consumer(self.say)
        try:
            consumer.assign([where(place, begin[place]) for place in waiting])
            deadline = time.monotonic() + KAFKA_READ_S_MAX
            while waiting:
                messages, problems = received(consumer, _POLL_S)
                self._take_origins(messages)
                # Up to where they went at the beginning: what is written meanwhile must not make this last for ever.
                ends = {_place(message): (message.offset() or 0) + 1 for message in messages}
                ends |= {_place(one): one.offset() or 0 for one in problems if _code(one) == PARTITION_EOF}
                if not waiting.keys().isdisjoint(ends):
                    deadline = time.monotonic() + KAFKA_READ_S_MAX
                    waiting = {place: end for place, end in waiting.items() if ends.get(place, 0) < end}
                elif time.monotonic() > deadline:
                    raise Away(f"Kafka: {self.error or 'the brokers do not answer'}", cure="It is tried again.")
        finally:
            consumer.close()

    def _take_origins(self, messages: Sequence[Message]) -> None:
        headers: list[Any] = [message.headers() for message in messages]
        self._ledger.take(Places(headers).ended(headers))


def _place(message: Message) -> Place:
    return Place(message.topic() or "", message.partition() or 0)


def _code(message: Message) -> int:
    error = message.error()
    return error.code() if error is not None else 0


class _Flight:
    """A batch that was handed to the client: how many of its rows are still to be answered for, and who waits."""

    def __init__(self, batch: Batch, partition: Partition, done: Future[Position]) -> None:
        self.batch = batch
        self.origins = {origin.source: origin for origin in batch.origins}
        self.partition = partition
        self.done = done
        self.others: list[Future[Position]] = []
        self.missing = len(batch)
        self.next = 0
        self.error = ""
