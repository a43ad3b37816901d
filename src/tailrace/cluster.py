"""Where many machines keep their records: topics of Kafka, and Elasticsearch or OpenSearch, which indexers fill.

A server has nothing of its own: any number of them read the same topics and search the same indices, and a client goes
on at any of them. What is pushed here goes to the first topic, where agents ship to. How far the indexers have come is
what their consumer group has committed; it is looked up, never joined. Without a search cluster everything is looked
for on Kafka itself.

One thread looks every CLUSTER_LOOK_S how it is. Brokers or a search cluster that are away are a problem that is shown,
and tried again; what needs them says so meanwhile.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

from tailrace.bus.brokers import Place, check_extra, committed
from tailrace.bus.topic import KafkaBus
from tailrace.config import Config, seconds
from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import ConfigError, TailraceError
from tailrace.indexing.indexing import group_of
from tailrace.limits import CLUSTER_LOOK_S, INDEXERS_STILL_S, SECOND_NS
from tailrace.metrics import Metrics
from tailrace.pipeline.foreign import understand
from tailrace.store.elastic.client import Client
from tailrace.store.elastic.store import ElasticStore
from tailrace.store.empty import EmptyStore


class Cluster:
    """See the head of this module."""

    refusal = "this server keeps nothing itself: agents ship to Kafka"
    tail_processes_max: int | None = 0
    bus_bytes = store_bytes = parts = 0
    size = ""
    lag = 0

    def __init__(self, config: Config) -> None:
        """Look which topics there are. Raises ConfigError, and Away when the brokers do not answer."""
        check_extra()
        if not config.kafka.topics:
            raise ConfigError("kafka.topics is empty", cure='Name a topic at least, like ["tailrace"].')
        topic, *others = config.kafka.topics
        brokers = config.kafka.cluster
        self.bus = KafkaBus(brokers, topic, understand, also=others)
        self._group = brokers.member(self.bus.say, group_of(config.elastic.index), {})
        self._elastic: Client | None = None
        self.store: ElasticStore | EmptyStore = EmptyStore()
        self.name = f"{brokers.name}/{','.join(config.kafka.topics)}"
        if config.elastic.urls:
            self._elastic = Client(config.elastic.access)
            self.store = ElasticStore(
                self._elastic,
                config.elastic.index,
                shards=config.elastic.shards,
                replicas=config.elastic.replicas,
                retain_ns=int(seconds(config.store.retain) * SECOND_NS),
                committed=self._committed,
            )
            self.name += f" {' '.join(config.elastic.urls)}"
        self._indexed: Position = Checkpoint()
        self._moved_s = time.monotonic()
        self._error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_again, name="cluster", daemon=True)

    def start(self) -> None:
        """Begin to look how it is."""
        self._thread.start()

    def close(self) -> None:
        """Send what was pushed, and let go of everything."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()
        self.store.close()
        self._group.close()
        self.bus.close()

    @property
    def records(self) -> int:
        """How many messages the topics hold."""
        return max(0, self.bus.next - self.bus.first)

    @property
    def waiting(self) -> int:
        """How many of them the indexers have not come to."""
        return min(self.records, max(0, self.bus.next - self._indexed)) if self._elastic else 0

    def problems(self) -> Iterator[str]:
        """Yield what is wrong now."""
        if self.bus.error:
            yield f"Kafka: {self.bus.error}"
        if self._error:
            yield self._error
        still_s = time.monotonic() - self._moved_s
        if self.waiting and still_s > INDEXERS_STILL_S:
            yield f"the indexers are {self.waiting} records behind, and have not moved for {still_s:.0f} s"

    def measure(self, metrics: Metrics) -> None:
        """Add nothing: what there is, servers of any kind have."""

    def _look_again(self) -> None:
        while not self._stopping.is_set():
            try:
                if self._elastic is not None:
                    self._elastic.call("GET", "/_cluster/health", query={"timeout": "1s"})
                    self._note(self._committed() or Checkpoint())
                self._error = ""
            except TailraceError as error:
                self._error = error.message
            self._stopping.wait(CLUSTER_LOOK_S)

    def _note(self, indexed: Position) -> None:
        if indexed != self._indexed or not self.waiting:
            self._moved_s = time.monotonic()
        self._indexed = indexed

    def _committed(self) -> Position | None:
        """Return how far the indexers have written everything; None when they have begun with nothing. Raises Away."""
        wanted: dict[int, Place] = {one.epoch: one.place for one in self.bus.partitions()}
        found = committed(self._group, wanted)
        return Checkpoint.of(Cursor(epoch, offset) for epoch, offset in found.items()) if found else None
