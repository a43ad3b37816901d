"""The stages of one process, opened and closed in their order.

bus and store (machine.py, or cluster.py) -> push, history -> hub -> following
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from prometheus_client.core import CounterMetricFamily

import tailrace
from tailrace.access.quota import Allowance, Quota
from tailrace.collect.agents import Directory
from tailrace.collect.words import Collecting, CollectParameters
from tailrace.config import Config, Settings, size
from tailrace.following import Following, redacted
from tailrace.http import Status
from tailrace.machine import Machine
from tailrace.metrics import Metrics
from tailrace.pipeline import Pipeline
from tailrace.sections import Kafka
from tailrace.ship.http import Blocks
from tailrace.sources.http import Push
from tailrace.store.pool import Pool
from tailrace.store.search import History
from tailrace.tail.connection import Connections
from tailrace.tail.hub import Hub
from tailrace.tail.workers import Workers
from tailrace.text import count_text

if TYPE_CHECKING:
    from tailrace.cluster import Cluster

_SHOWN = 20


class Process:
    """Everything that runs in one process, over what keeps its records."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        kept: Machine | Cluster,
        *,
        collecting: bool,
        settings: Settings | None = None,
    ) -> None:
        """Make the stages over ``kept``, which is closed with them.

        What is followed changes with the file of ``settings``.
        """
        self._config = config
        self._kept = kept
        self._started = time.monotonic()
        self.ready = False
        self.metrics = Metrics()
        self.history = History(kept.bus, kept.store)
        self.searches = Pool(self.metrics)
        self._pushed = Pipeline(redact=config.collect.masks)
        self.push = Push(kept.bus, self.metrics, lambda: kept.lag, self._pushed)
        self.blocks = Blocks(kept.bus, self.metrics, self.push.let_catch_up, kept.refusal)
        self.quota = _quota(config)
        self.hub = Hub(kept.bus, self.history)
        self.connections = Connections()
        self.workers = Workers(self.hub, self.connections, directory / "bus", count_max=kept.tail_processes_max)
        self.agents = Directory(config.etcd) if config.etcd.endpoints else None
        self.following = Following(kept.bus, config, directory, settings, [self._pushed]) if collecting else None
        self._measure()

    def start(self) -> None:
        """Begin to index, to follow and to publish; on the running event loop."""
        self._kept.start()
        self.hub.start()
        self.workers.start()
        self.quota.start()
        if self.following:
            self.following.start()

    async def end_tails(self) -> None:
        """Send every tail its end, in all processes at once, and wait a little for the clients to have it."""

        async def here() -> None:
            await self.hub.close()
            await self.connections.close()

        await asyncio.gather(here(), self.workers.close())
        await self.quota.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in the order that lets nothing be lost that is on its way."""
        if self.following:
            self.following.stop()
        if self.agents:
            self.agents.stop()
        self.push.close()
        self.blocks.close()
        self.searches.close()
        self._kept.close()

    @property
    def kafka(self) -> Kafka:
        """How the brokers are reached, if there are any."""
        return self._config.kafka

    def announcement(self) -> Iterator[str]:
        """Yield what is followed and why, a bounded number of lines."""
        if self._config.server.insecure:
            yield f"INSECURE: everybody who can reach {self._config.server.listen} can read and write, without a token"
        found = self.following.found if self.following else []
        if self.following and self.following.searching and not found:
            yield "no readable logs were found: name some, or see how it looks with --demo"
        for one in found[:_SHOWN]:
            yield f"  {one.path}  ({one.reason})"
        if len(found) > _SHOWN:
            yield f"  and {len(found) - _SHOWN} more"
        for problem in self.problems():
            yield f"PROBLEM: {problem}"

    def summary(self) -> str:
        """Return what is followed and stored, in one line."""
        status = self.status()
        stored = f"{count_text(status.records)} records stored{self._kept.size}"
        if not self.following:
            return stored
        return f"following {status.files} file{'' if status.files == 1 else 's'} · {stored}"

    def status(self, name: str = "") -> Status:
        """Return how it is, and what the token ``name`` has in use."""
        return Status(
            version=tailrace.__version__,
            uptime_s=round(time.monotonic() - self._started, 1),
            data=self._kept.name,
            records=self._kept.records,
            waiting_records=self._kept.waiting,
            bus_bytes=self._kept.bus_bytes,
            store_bytes=self._kept.store_bytes,
            parts=self._kept.parts,
            tails=self.workers.stats().viewers,
            searches=len(self.searches),
            files=self._files(),
            agents=self.blocks.agents(),
            quota=self.quota.usage(name, time.monotonic()),
            problems=self.problems(),
        )

    def problems(self) -> list[str]:
        """Return what is wrong now or was lost since the start, a bounded number of sentences."""
        found = list(self._kept.problems())
        if self.workers.error:
            found.append(self.workers.error)
        if self.quota.problem:
            found.append(self.quota.problem)
        if self.following:
            found += self.following.problems()
        return list(dict.fromkeys(found))[-_SHOWN:]

    def collecting(self, given: CollectParameters) -> Collecting:
        """Answer a question about collecting; from any thread."""
        return self.following.answer(given) if self.following else Collecting()

    def _files(self) -> int:
        return self.following.collector.report.count() if self.following else 0

    def _measure(self) -> None:
        gauge = self.metrics.gauge
        kept = self._kept
        gauge("records", "Records taken so far.", lambda: kept.bus.next - kept.bus.next.beginning)
        gauge("waiting_records", "Records that are not in the store yet.", lambda: kept.waiting)
        kept.measure(self.metrics)
        gauge("searches_running", "Searches that run or wait.", lambda: len(self.searches))
        gauge("tails", "Open tails.", lambda: self.workers.stats().viewers)
        gauge("tail_processes", "Processes that deliver beside this one.", lambda: len(self.workers.pids))
        gauge("tail_queries", "Distinct queries of open tails.", lambda: self.workers.stats().queries)
        gauge("tail_rows_delivered", "Rows handed to tails so far.", lambda: self.workers.stats().rows_delivered)
        gauge("files", "Files that are followed.", self._files)
        gauge("problems", "Things that are wrong; /api/v1/status says which.", lambda: len(self.problems()))
        if self.following:
            self.metrics.family(self.following.metrics)
        else:
            self.metrics.family(lambda: [redacted([self._pushed])])
        self.metrics.family(lambda: [_refusals(self.quota)])
        gauge("quota_shared", "Whether several servers share the quotas (1) or not.", lambda: self.quota.is_shared)
        gauge("queries_shut_out", "Queries that are not run now.", lambda: self.quota.breaker.shut(time.monotonic()))


def _quota(config: Config) -> Quota:
    given = config.quota
    each = Allowance(given.tails, given.lines_per_s, size(given.bytes_per_s), given.search_s_per_min)
    total = Allowance(
        given.tails_total, given.lines_per_s_total, size(given.bytes_per_s_total), given.search_s_per_min_total
    )
    if not config.redis.url:
        return Quota(each, total)
    from tailrace.access.shared import shared  # only servers that share pay for it

    return shared(each, total, config.redis)


def _refusals(quota: Quota) -> CounterMetricFamily:
    found = CounterMetricFamily("tailrace_quota_refusals", "Refused because of a limit.", labels=["limit"])
    for limit, count in quota.refusals.items():
        found.add_metric([limit], count)
    return found
