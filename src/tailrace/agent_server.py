"""What an agent answers when it is asked how it is (asked.py), and how its files are (``/api/v1/collect``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

import tailrace.collect.http
from tailrace.asked import Asked
from tailrace.config import Config
from tailrace.following import Following
from tailrace.metrics import Registry
from tailrace.ship.output import OutputStatus


class ShippingStatus(msgspec.Struct):
    """How an agent is. ``problems`` are sentences about what is wrong now; empty when all is well."""

    version: str
    uptime_s: float
    data: str
    spool_bytes: int
    files: int
    outputs: list[OutputStatus]
    problems: list[str]


def answering(config: Config, directory: Path, following: Following, status: Callable[[], ShippingStatus]) -> Asked:
    """Listen where the configuration says. Raises as ``Asked`` does."""
    metrics = Registry()
    metrics.family(following.metrics)
    metrics.family(lambda: _shipping(status()))
    routes = tailrace.collect.http.routes(following.answer)
    return Asked(config, directory, config.agent.listen, status=status, metrics=metrics, routes=routes)


def _shipping(status: ShippingStatus) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
    yield GaugeMetricFamily("tailrace_spool_bytes", "Bytes that the spool has on disk.", value=status.spool_bytes)
    for name, what, kind in (
        ("waiting", "Records in the spool for a server.", GaugeMetricFamily),
        ("shipped", "Records that a server has taken.", CounterMetricFamily),
        ("dead", "Records that a server has refused for good.", CounterMetricFamily),
        ("lost", "Records that are neither at a server nor in the spool.", CounterMetricFamily),
    ):
        family = kind(f"tailrace_{name}_records", what, labels=["server"])
        for output in status.outputs:
            family.add_metric([output.server], getattr(output, name))
        yield family
