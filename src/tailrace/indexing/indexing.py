"""All parts of one ``tailrace index``: opened, started and ended in their order."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

import tailrace
from tailrace.bus.brokers import Brokers
from tailrace.bus.message import Understand
from tailrace.indexing.counts import Counts
from tailrace.indexing.dead import DeadLetters
from tailrace.indexing.documents import Documents
from tailrace.indexing.group import Member
from tailrace.indexing.upkeep import Upkeep
from tailrace.indexing.writing import Writing
from tailrace.limits import SECOND_NS
from tailrace.store.elastic.client import Client


class PartitionStatus(msgspec.Struct):
    """A partition that this process has; ``lag`` messages of it are not settled yet, as far as is known."""

    topic: str
    partition: int
    lag: int


class IndexStatus(msgspec.Struct):
    """How an indexer is. All counts are since its start.

    Of the documents ``written`` are new, ``there`` were in the index already, ``dead`` are in the dead-letter topic.
    ``retries`` of ``requests`` were made again, at least in part; ``rejected`` documents were turned away as too many
    at a time. ``lost`` messages Kafka's retention took before they were read. ``problems`` are sentences about what is
    wrong now; empty when all is well.
    """

    version: str
    uptime_s: float
    group: str
    index: str
    written: int
    there: int
    dead: int
    lost: int
    requests: int
    retries: int
    rejected: int
    flight_bytes: int
    lag: int
    partitions: list[PartitionStatus]
    problems: list[str]


class Indexing:
    """Brings ``topics`` of a Kafka into the indices ``prefix-*`` of a cluster, from ``start`` until ``stop``."""

    def __init__(
        self,
        brokers: Brokers,
        topics: Sequence[str],
        client: Client,
        prefix: str,
        *,
        retain_s: float,
        shards: int,
        replicas: int,
        replication: int,
        understand: Understand,
    ) -> None:
        """Connect to Kafka; ``replication`` is that of a dead-letter topic. Raises ConfigError, Away."""
        self._started = time.monotonic()
        self._client = client
        self._prefix = prefix
        self._group = group_of(prefix)
        self.counts = Counts()
        self._dead = DeadLetters(brokers, replication=replication)
        self._writing = Writing(client, self._dead, self.counts)
        documents = Documents(brokers, prefix, int(retain_s * SECOND_NS), understand)
        self._member = Member(
            brokers, self._group, topics, documents=documents, writing=self._writing, counts=self.counts
        )
        self._upkeep = Upkeep(
            client,
            prefix,
            shards=shards,
            replicas=replicas,
            retain_s=retain_s,
            begin=self._begin,
            chosen=lambda: any(partition == 0 for _, partition in self._member.lag),
        )

    @property
    def ready(self) -> bool:
        """Whether it takes part in the group, because the cluster was reached."""
        return self._upkeep.ready

    @property
    def failed(self) -> bool:
        """Whether a fault of the program has ended it."""
        return self._upkeep.ready and not self._member.alive

    def start(self) -> None:
        """Begin, as soon as the cluster is there."""
        self._upkeep.start()

    def stop(self) -> None:
        """Have what is on its way written, commit, and leave the group."""
        self._upkeep.stop()
        if self._upkeep.ready:  # otherwise nothing has begun
            self._member.stop()
            self._writing.end(0)
        self._client.close()

    def problems(self) -> list[str]:
        """Return what is wrong now, or was lost since the start."""
        found = [*self._member.problems, *self._writing.problems]
        if self._upkeep.why:
            found.append(self._upkeep.why)
        if self._dead.why:
            found.append(self._dead.why)
        if self.counts.dead:
            found.append(f"{self.counts.dead} messages were refused for what is in them; the last: {self.counts.why}")
        if self.counts.lost:
            found.append(f"{self.counts.lost} messages were gone from Kafka before they were read")
        return list(dict.fromkeys(found))

    def status(self) -> IndexStatus:
        """Return how it is; from any thread."""
        counts, lag = self.counts, self._member.lag
        return IndexStatus(
            version=tailrace.__version__,
            uptime_s=round(time.monotonic() - self._started, 1),
            group=self._group,
            index=self._prefix,
            written=counts.written,
            there=counts.there,
            dead=counts.dead,
            lost=counts.lost,
            requests=counts.requests,
            retries=counts.retries,
            rejected=counts.rejected,
            flight_bytes=self._writing.flight_bytes,
            lag=sum(lag.values()),
            partitions=[PartitionStatus(*place, behind) for place, behind in sorted(lag.items())],
            problems=self.problems(),
        )

    def metrics(self) -> Iterator[Metric]:
        """Yield what Prometheus is told."""
        counts = self.counts
        for name, what, value in (
            ("written_records", "Documents that the cluster has written.", counts.written),
            ("there_records", "Documents that were there already.", counts.there),
            ("written_bytes", "Bytes of requests that the cluster has taken.", counts.written_bytes),
            ("dead_records", "Messages in the dead-letter topic.", counts.dead),
            ("lost_records", "Messages that Kafka's retention took before they were read.", counts.lost),
            ("rejected_records", "Documents that the cluster was too busy for; they are sent again.", counts.rejected),
            ("retries", "Requests that were made again, at least in part.", counts.retries),
        ):
            yield CounterMetricFamily(f"tailrace_index_{name}", what, value=value)
        flight = self._writing.flight_bytes
        yield GaugeMetricFamily("tailrace_index_flight_bytes", "Documents that are not settled.", value=flight)
        yield GaugeMetricFamily("tailrace_index_problems", "Things that are wrong.", value=len(self.problems()))
        behind = GaugeMetricFamily(
            "tailrace_index_lag", "Messages behind what is settled.", labels=["topic", "partition"]
        )
        for (topic, partition), lag in self._member.lag.items():
            behind.add_metric([topic, str(partition)], lag)
        yield behind
        buckets, total, seconds = counts.histogram()
        took = HistogramMetricFamily("tailrace_index_request_seconds", "How long the cluster took to answer.")
        took.add_metric([], [*buckets, ("+Inf", total)], seconds)
        yield took

    def _begin(self) -> None:
        self._writing.start()
        self._member.start()


def group_of(prefix: str) -> str:
    """Return the consumer group of everybody who fills the indices of a prefix."""
    return f"{prefix}-index"
