"""An indexer in this process, between a real Kafka and a real cluster."""

import pytest

from tailrace.bus.brokers import Brokers
from tailrace.indexing.indexing import Indexing
from tailrace.pipeline.foreign import understand
from tailrace.store.elastic.client import Access, Client
from tests.indexing.lines import Sender

RETAIN_S = 30 * 86_400


@pytest.fixture
def topic(kafka):
    return kafka.topic(2)


@pytest.fixture
def sender(kafka, topic):
    return Sender(kafka, topic)


@pytest.fixture
def index(kafka, search_server, topic, prefix):
    """Start indexers that end with the test; ``url`` is a way to the cluster."""
    started = []

    def one(url=search_server.url, *, shards=1):
        made = Indexing(
            Brokers(tuple(kafka.bootstrap.split(","))),
            [topic],
            Client(Access([url])),
            prefix,
            retain_s=RETAIN_S,
            shards=shards,
            replicas=0,
            replication=1,
            understand=understand,
        )
        started.append(made)
        made.start()
        return made

    yield one
    for each in started:
        each.stop()
