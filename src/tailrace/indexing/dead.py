"""The dead-letter topic: messages that the cluster refuses for what is in them, kept where a person finds them.

A message of TOPIC goes to ``TOPIC-dead`` as it was: key, value and headers, so that it can be sent again once the fault
is mended; behind them stand the headers

    tailrace-dead-why        what the cluster said
    tailrace-dead-topic tailrace-dead-partition tailrace-dead-offset tailrace-dead-time
                             where it was, and its timestamp there (milliseconds)
    tailrace-dead-cut        its length in bytes, where the brokers take no message that long; the value is then empty

The topic is made when it is first needed: one partition, messages as large as TOPIC takes and the headers besides.
A letter counts once all in-sync replicas have it. After a crash between that and the commit it comes a second time,
which its place shows. While Kafka does not take it, it is tried again for ever; nothing behind it is committed
meanwhile.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.cimpl import NewTopic

from tailrace.bus.brokers import Brokers, sentence
from tailrace.bus.wanted import DEAD
from tailrace.errors import TailraceError
from tailrace.limits import BULK_RETRY_S_MAX, BULK_RETRY_S_MIN, KAFKA_CALL_S_MAX, KIB

_PREFIX = "tailrace-dead-"
_HEADERS_BYTES = 16 * KIB
_POLL_S = 0.1


class DeadLetters:
    """Sends letters, from any thread; the connection is made for the first one."""

    def __init__(self, brokers: Brokers, *, replication: int) -> None:
        """Connect to nothing yet."""
        self._brokers = brokers
        self._replication = replication
        self._lock = threading.Lock()
        self._producer: Producer | None = None
        self._made: set[str] = set()
        self.why = ""
        """Why letters are waiting now."""

    def put(self, letters: Sequence[tuple[Any, str]], ending: threading.Event) -> bool:
        """Send (message, why); tell whether Kafka has acknowledged all, which only ``ending`` prevents."""
        waiting = [(message, why, False) for message, why in letters]
        pause = BULK_RETRY_S_MIN
        with self._lock:
            while waiting:
                waiting = self._try(waiting, ending)
                if not waiting:
                    self.why = ""
                elif ending.wait(pause):
                    return False
                pause = min(2 * pause, BULK_RETRY_S_MAX)
        return True

    def _try(self, letters: list[tuple[Any, str, bool]], ending: threading.Event) -> list[tuple[Any, str, bool]]:
        """Send letters once; return those that Kafka did not take, marked where they have to be cut."""
        failed: list[tuple[Any, str, bool]] = []
        left = len(letters)

        def delivered(letter: tuple[Any, str, bool], error: KafkaError | None) -> None:
            nonlocal left
            left -= 1
            if error is not None:
                self.why = f"a dead letter was not taken: {sentence(error)}"
                failed.append((*letter[:2], letter[2] or error.code() == KafkaError.MSG_SIZE_TOO_LARGE))

        try:
            for topic in {letter[0].topic() for letter in letters}:
                self._make(topic)
            producer = self._connected()
            for letter in letters:
                try:
                    producer.produce(**_record(*letter), on_delivery=lambda e, _, letter=letter: delivered(letter, e))
                except KafkaException as error:
                    delivered(letter, error.args[0])
                except BufferError as error:
                    delivered(letter, KafkaError(KafkaError._QUEUE_FULL, str(error)))
            while left and not ending.is_set():
                producer.poll(_POLL_S)
        except (KafkaException, TailraceError) as error:
            self.why = f"dead letters cannot be kept: {sentence(error)}"
            return letters
        return failed if not left else letters

    def _connected(self) -> Producer:
        if self._producer is None:
            own = {
                "enable.idempotence": True,
                "message.max.bytes": 1_000_000_000,  # what is too large the broker says
                "compression.type": "zstd",
                "linger.ms": 0,
            }
            self._producer = self._brokers.producer(lambda _: None, own)  # what is wrong is seen at the letters
        return self._producer

    def _make(self, topic: str) -> None:
        """Make the topic for the letters of ``topic``, unless it is there."""
        if topic in self._made:
            return
        resource = ConfigResource("topic", topic)
        with self._brokers.admin().asking() as client:
            found = client.describe_configs([resource], request_timeout=KAFKA_CALL_S_MAX)[resource].result()
            largest = int(found["max.message.bytes"].value or 0) + _HEADERS_BYTES
            config = {"max.message.bytes": str(largest)}
            new = NewTopic(topic + DEAD, 1, self._replication, config=config)
            try:
                client.create_topics([new], request_timeout=KAFKA_CALL_S_MAX)[topic + DEAD].result()
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise
        self._made.add(topic)


def _record(message: Any, why: str, cut: bool) -> dict[str, Any]:
    value = message.value()
    place = {"topic": message.topic(), "partition": message.partition(), "offset": message.offset()}
    said = {"why": why, **place, "time": message.timestamp()[1]}
    if cut:
        said["cut"] = len(value or b"")
    headers = [*(message.headers() or []), *((_PREFIX + name, str(text).encode()) for name, text in said.items())]
    return {
        "topic": message.topic() + DEAD,
        "key": message.key(),
        "value": None if cut else value,
        "headers": headers,
    }
