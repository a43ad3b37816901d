"""Numbered lines as agents bring them to Kafka, and what a cluster has of them."""

import threading
import time

from confluent_kafka import ConsumerGroupTopicPartitions

from tailrace.bus.message import encode
from tailrace.record import Batch, Stream
from tests.apps.programs import until
from tests.bus.topics import put

EPOCH = 0x7F3A


class Sender:
    """Sends lines ``n=0 n=1 ...`` to a topic; number n is at offset n in the log of an agent."""

    def __init__(self, kafka, topic):
        self.kafka = kafka
        self.topic = topic
        self.sent = 0

    def send(self, count, *, first=None, partition=0, message="n={}", age_s=0, level=3):
        """Send so many more, or again those from ``first`` on, and wait until Kafka has them."""
        again = first is not None
        first = first if again else self.sent
        numbers = range(first, first + count)
        stream = Stream.of({"service": "shop", "host": f"web-{partition}", "path": "/var/log/shop.log"})
        now = time.time_ns() - age_s * 1_000_000_000
        batch = Batch.of(
            time=[now + n for n in numbers],
            observed=[now] * count,
            level=[level] * count,
            stream=stream,
            message=[message.format(n) for n in numbers],
            position=[10 * n for n in numbers],
            fields=[f'{{"number":{n}}}' for n in numbers],
        ).placed(EPOCH, first)
        put(self.kafka, self.topic, encode(batch, source=f"agent:{EPOCH:x}"), partition=partition)
        self.sent += 0 if again else count


class Sending:
    """Sends lines while the block lasts, some at a time, to all partitions in turn."""

    def __init__(self, sender, partitions, *, lines=100, pause_s=0.02):
        self.sender = sender
        self._partitions = partitions
        self._lines = lines
        self._pause_s = pause_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        turn = 0
        while not self._stopping.wait(self._pause_s):
            self.sender.send(self._lines, partition=turn % self._partitions)
            turn += 1


def count(search, prefix):
    """Return how many documents there are."""
    search.call("POST", f"/{prefix}-*/_refresh?ignore_unavailable=true")
    return search.call("GET", f"/{prefix}-*/_count?ignore_unavailable=true")[1].get(
        "count", 0
    )  # an index that is being made has none


def messages(search, prefix):
    """Return the messages of all documents, sorted."""
    search.call("POST", f"/{prefix}-*/_refresh")
    wanted = {"size": 5_000, "_source": ["message"], "sort": ["tailrace.epoch", "tailrace.offset"]}
    found = []
    while hits := search.call("POST", f"/{prefix}-*/_search", wanted)[1]["hits"]["hits"]:
        found += [hit["_source"]["message"] for hit in hits]
        wanted["search_after"] = hits[-1]["sort"]
    return sorted(found)


def numbered(numbers, message="n={}"):
    """Return the messages with these numbers, sorted."""
    return sorted(message.format(n) for n in numbers)


def wait_for(search, prefix, wanted, seconds=60):
    """Wait until there are as many documents."""
    until(lambda: count(search, prefix) >= wanted, seconds)


def committed(kafka, group, topic):
    """Return the offset that a group has committed for each partition that it has committed one for."""
    asked = [ConsumerGroupTopicPartitions(group)]
    found = kafka.admin.list_consumer_group_offsets(asked)[group].result(60).topic_partitions
    return {one.partition: one.offset for one in found if one.topic == topic and one.offset >= 0}
