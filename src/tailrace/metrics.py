"""What the server counts, for Prometheus (``/metrics``): a registry of our own, and gauges read when they are asked."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class _Family(Collector):
    def __init__(self, collect: Callable[[], Iterable[Metric]]) -> None:
        self._collect = collect

    def collect(self) -> Iterable[Metric]:
        return self._collect()

    def describe(self) -> Iterable[Metric]:
        return ()  # its names are known only when it is asked


class Registry:
    """What one process says of itself when it is asked."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def gauge(self, name: str, description: str, value: Callable[[], float]) -> None:
        """Add a value that is read when somebody asks for the metrics."""
        Gauge(f"tailrace_{name}", description, registry=self._registry).set_function(value)

    def family(self, collect: Callable[[], Iterable[Metric]]) -> None:
        """Add values that are made together, in one pass, when somebody asks for the metrics."""
        self._registry.register(_Family(collect))

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._registry)


class Metrics(Registry):
    """The counters of a server besides; increments may come from any thread."""

    def __init__(self) -> None:
        super().__init__()
        registry = self._registry
        self.pushed_records = Counter("tailrace_pushed_records", "Records taken over HTTP.", registry=registry)
        self.pushed_bytes = Counter("tailrace_pushed_bytes", "Bytes taken over HTTP, decoded.", registry=registry)
        self.rejected_lines = Counter("tailrace_rejected_lines", "Pushed lines that were broken.", registry=registry)
        self.searches = Counter(
            "tailrace_searches", "Searches answered, by what became of them.", ["end"], registry=registry
        )
        self.search_seconds = Histogram("tailrace_search_seconds", "How long searches took.", registry=registry)
