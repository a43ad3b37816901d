"""History from a search cluster joins what is live on Kafka, however far behind the indexers are."""

from __future__ import annotations

import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from tailrace.bus.brokers import Brokers
from tailrace.bus.kafka import KafkaLog
from tailrace.cursor import Cursor
from tailrace.indexing.indexing import group_of
from tailrace.limits import SECOND_NS
from tailrace.pipeline.foreign import understand
from tailrace.store.elastic.client import Access, Client
from tailrace.store.elastic.store import ElasticStore
from tests.apps.cluster.writing import by_file
from tests.apps.programs import until
from tests.apps.tail.reading import tailing
from tests.apps.tail.test_replay import cursors, found, replay
from tests.servers.kafka import Kafka


class Indexer:
    """Does what indexers do, as far as it is told to: writes documents, then commits."""

    def __init__(self, kafka: Kafka, topic: str, store: ElasticStore) -> None:
        self.topic = topic
        self.log = KafkaLog(Brokers(tuple(kafka.bootstrap.split(","))), [topic], understand)
        self._store = store
        self._consumer = Consumer(
            {"bootstrap.servers": kafka.bootstrap, "group.id": group_of(store.prefix), "log_level": 0}
        )

    def index(self, number: int, stop: int, committed: int) -> None:
        """Write a partition up to ``stop``, and commit less: it died in between."""
        (partition,) = [one for one in self.log.partitions() if one.place.number == number]
        self.log.newest()
        at, end = Cursor(partition.epoch, partition.first), Cursor(partition.epoch, stop)
        while at < end:
            for batch in self.log.read(at, 1 << 20):
                if at < end:
                    self._store.add(batch if batch.next <= end else batch.before(end))
                    at = batch.next
        self._store.flush()
        self._consumer.commit(offsets=[TopicPartition(self.topic, number, committed)], asynchronous=False)

    def close(self) -> None:
        self._consumer.close()
        self.log.close()


@pytest.fixture
def made(kafka, writer, opensearch, start):
    """A writer, an indexer and a server, with an index of their own."""
    index = f"i{writer.topic.replace('-', '')}"
    client = Client(Access([opensearch.url]))
    indexer = Indexer(kafka, writer.topic, ElasticStore(client, index))
    server = start(
        TAILRACE_KAFKA__BROKERS=kafka.bootstrap,
        TAILRACE_KAFKA__TOPICS=writer.topic,
        TAILRACE_ELASTIC__URLS=opensearch.url,
        TAILRACE_ELASTIC__INDEX=index,
    )
    yield writer, indexer, server
    indexer.close()
    client.close()


def numbers(messages: list[str]) -> list[int]:
    return [int(message.rpartition(" ")[2]) for message in messages]


def test_what_is_indexed_and_what_is_not_yet_are_one_history_and_go_on_live(made) -> None:
    writer, indexer, server = made
    began_ns = time.time_ns()
    writer.write(60, began_ns)
    ends = {one.place.number: one.next for one in indexer.log.newest() and indexer.log.partitions()}
    for number, end in ends.items():
        indexer.index(number, end * (number + 2) // 4, end * (number + 1) // 4)
    everything = {"order": "oldest", "limit": 10_000}
    until(lambda: by_file(numbers(server.messages(**everything))) == writer.written)
    assert by_file(numbers(server.messages(q="line", **everything))) == writer.written
    since = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(began_ns / 1e9 - 5))
    with tailing(server, since=since) as tail:
        tail.until_count(180)
        writer.write(10, time.time_ns())
        tail.until_count(210)
        assert by_file(numbers(tail.messages)) == writer.written
        assert tail.gaps == []
        stop = tail.last_id
    with tailing(server, last=30) as tail:
        newest = {number for known in writer.written.values() for number in known[-10:]}
        tail.until(lambda: set(numbers(tail.messages)) >= newest)
    assert server.get("/api/v1/verify", to=stop)["count"] == 210
    assert server.get("/api/v1/status")["problems"] == []


def test_a_replay_over_the_cluster_is_what_a_search_finds_in_its_order_cut_at_any_frame_and_goes_on_live(made):
    writer, indexer, server = made
    first_ns = time.time_ns() - 60 * SECOND_NS
    writer.write(200, first_ns)
    ends = {one.place.number: one.next for one in indexer.log.newest() and indexer.log.partitions()}
    for number, end in ends.items():
        indexer.index(number, end * (number + 2) // 4, end * (number + 1) // 4)
    last_ns = time.time_ns()
    until(lambda: len(found(server, first_ns, last_ns)) == 600)
    shown, token, frames_seen = [], "", 0
    while not shown or frames_seen:
        frames_seen = 0
        with replay(server, token, from_=str(first_ns), to=str(last_ns), speed="max") as frames:
            for event, token, data in frames:  # noqa: B007
                shown += cursors(data)
                frames_seen += event == "rows"
                if frames_seen:
                    break
    assert shown == found(server, first_ns, last_ns)
    with replay(server, from_=str(first_ns), speed="max") as frames:
        lines: list[str] = []
        for event, _, data in frames:
            lines += [record["message"] for record in data.get("records", ())]
            if event == "ping" and "clock" not in data:
                break
        writer.write(10, time.time_ns())
        while len(lines) < 630:
            _, _, data = next(frames)
            lines += [record["message"] for record in data.get("records", ())]
    assert by_file(numbers(lines)) == writer.written
