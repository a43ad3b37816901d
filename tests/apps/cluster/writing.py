"""What agents put on a topic: numbered lines of several files, the lines of a file in one partition."""

from __future__ import annotations

import zlib
from collections.abc import Iterable

from confluent_kafka.admin import AdminClient

from tailrace.bus.message import encode
from tailrace.record import Batch, Origin, Stream
from tests.bus.topics import put
from tests.servers.kafka import Kafka

FILES = ("a", "b", "c")
FILE = 1_000_000
"""The lines of the second file are numbered from here on, those of the third from twice as much."""


def by_file(numbers: Iterable[int]) -> dict[str, list[int]]:
    """Return the lines of each file, in the order in which they came."""
    files: dict[str, list[int]] = {name: [] for name in FILES}
    for number in numbers:
        files[FILES[number // FILE]].append(number)
    return files


class Writer:
    """Writes ``line NUMBER`` of each file; ``written`` is the ledger."""

    def __init__(self, kafka: Kafka, topic: str, partitions: int) -> None:
        self.topic = topic
        self.written: dict[str, list[int]] = {name: [] for name in FILES}
        self._kafka = kafka
        self._partitions = partitions

    def write(self, count: int, now_ns: int, *, wide: int = 0) -> None:
        """Write so many more lines of each file, ``wide`` bytes beside each, and wait until the brokers have them."""
        for place, name in enumerate(FILES):
            first = place * FILE + len(self.written[name])
            numbers = range(first, first + count)
            batch = Batch.of(
                time=[now_ns + number % FILE for number in numbers],
                observed=[now_ns] * count,
                level=[3] * count,
                stream=Stream.of({"service": name, "path": f"/var/log/{name}.log"}),
                message=[f"line {number}" for number in numbers],
                fields=[f'{{"wide":"{"x" * wide}"}}' if wide else None] * count,
                origins=[Origin(f"file:{name}", first, first + count, count)],
            )
            put(self._kafka, self.topic, encode(batch), partition=zlib.crc32(name.encode()) % self._partitions)
            self.written[name] += numbers


def groups(bootstrap: str) -> set[str]:
    """Return the consumer groups that brokers know."""
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 0})
    return {group.group_id for group in admin.list_consumer_groups(request_timeout=20).result().valid}
