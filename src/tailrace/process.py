"""The stages of one process, opened and closed in their order.

store (its checkpoint) -> bus (never before it) -> indexer, push, history -> hub -> collector
"""

from __future__ import annotations

import contextlib
import glob
import resource
import socket
import time
from collections.abc import Iterator
from datetime import datetime, tzinfo
from pathlib import Path
from types import TracebackType
from typing import Self

import tailrace
from tailrace import config as settings
from tailrace.agent import Collector
from tailrace.bus.disk import DiskBus
from tailrace.collect.demo import SERVICES, Demo
from tailrace.collect.discover import Found, Rediscovery, discover
from tailrace.config import Config
from tailrace.http import Status
from tailrace.limits import START_FOUND
from tailrace.metrics import Metrics
from tailrace.pipeline import Pipeline
from tailrace.sources.file import Entry
from tailrace.sources.http import Push
from tailrace.sources.journal import Journal
from tailrace.sources.journal import is_there as journal_is_there
from tailrace.sources.stdin import Stdin
from tailrace.sources.syslog import Syslog
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartStore
from tailrace.store.pool import Pool
from tailrace.store.search import History
from tailrace.tail.hub import Hub
from tailrace.text import bytes_text, count_text

_SHOWN = 20


class Process:
    """Everything that runs in one process, over one data directory, which its caller holds."""

    def __init__(self, config: Config, directory: Path, *, collecting: bool) -> None:
        """Open store and bus. Raises DataError."""
        self._config = config
        self._directory = directory
        self._collecting = collecting
        self._started = time.monotonic()
        self.ready = False
        self.metrics = Metrics()
        self.store = PartStore(
            directory / "store",
            retain_s=settings.seconds(config.store.retain),
            retain_bytes=settings.size(config.store.retain_bytes),
        )
        self.bus = DiskBus(directory / "bus", resume=self.store.checkpoint)
        self.indexer = Indexer(self.bus, self.store)
        self.history = History(self.bus, self.store)
        self.searches = Pool(self.metrics)
        self.push = Push(self.bus, self.metrics, lambda: 0 if self.indexer.error else self._waiting())
        self.hub = Hub(self.bus, self.history)
        self.collector: Collector | None = None
        self.others: list[Syslog | Journal | Stdin] = []
        self._demo: Demo | None = None
        self._found: list[Found] = []
        self._rediscovery: Rediscovery | None = None
        self._measure()

    def start(self) -> None:
        """Begin to index, to follow and to publish; on the running event loop."""
        self.store.start()
        self.indexer.start()
        self.hub.start()
        if self._collecting:
            _raise_files_max()
            self._collect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop in the order that lets nothing be lost that is on its way."""
        if self._demo:
            self._demo.stop()
        if self._rediscovery:
            self._rediscovery.stop()
        if self.collector:
            self.collector.stop()
        for other in self.others:
            other.stop()
        self.push.close()
        self.searches.close()
        self.indexer.stop()
        self.store.close()
        self.bus.close()

    def _collect(self) -> None:
        wanted = self._config.collect
        entries = [Entry(path, wanted.start or "beginning") for path in wanted.paths if path != "-"]
        own = [self._directory / "bus", self._directory / "store", *(Path(path) for path in wanted.exclude)]
        if wanted.demo:
            self._demo = Demo(self._directory / "demo")
            self._demo.start()
            entries += [
                Entry(str(self._directory / "demo" / f"{service}.log"), labels={"service": service})
                for service in SERVICES
            ]
        elif wanted.discover and not wanted.paths:
            self._found = discover([self._directory, *own])
            entries += self._entries(self._found)
        zone = datetime.now().astimezone().tzinfo
        assert zone is not None
        host = wanted.host or socket.gethostname()
        self._listen(host, zone)
        self.collector = Collector(self.bus, entries, host=host, exclude=own, zone=zone)
        self.collector.start()
        if wanted.discover and not wanted.paths and not wanted.demo:
            self._rediscovery = Rediscovery([self._directory, *own], self._found, self._add)
            self._rediscovery.start()

    def _listen(self, host: str, zone: tzinfo) -> None:
        """Start what is no file: syslog, the journal, standard input."""
        wanted = self._config.collect
        if wanted.syslog:
            cert, key = wanted.syslog_cert, wanted.syslog_key
            self.others.append(Syslog(self.bus, wanted.syslog, pipeline=Pipeline(zone), certificate=cert, key=key))
        discovering = wanted.discover and not wanted.paths and not wanted.demo
        if wanted.journal or (discovering and journal_is_there()):
            start = wanted.start or ("beginning" if wanted.journal else START_FOUND)
            if start not in ("beginning", "end"):
                start = str(settings.size(start))
            self.others.append(Journal(self.bus, host=host, start=start))
        if "-" in wanted.paths:
            self.others.append(Stdin(self.bus, pipeline=Pipeline(zone), host=host))
        for other in self.others:
            other.start()

    def _entries(self, found: list[Found]) -> list[Entry]:
        start = self._config.collect.start or START_FOUND
        return [Entry(glob.escape(one.path), start) for one in found]

    def _add(self, found: list[Found]) -> None:
        assert self.collector is not None
        self.collector.add(self._entries(found))

    def announcement(self) -> Iterator[str]:
        """Yield what is followed and why, a bounded number of lines."""
        if self._config.server.insecure:
            yield f"INSECURE: everybody who can reach {self._config.server.listen} can read and write, without a token"
        if self._rediscovery and not self._found:
            yield "no readable logs were found: name some, or see how it looks with --demo"
        for found in self._found[:_SHOWN]:
            yield f"  {found.path}  ({found.reason})"
        if len(self._found) > _SHOWN:
            yield f"  and {len(self._found) - _SHOWN} more"
        for problem in self.problems():
            yield f"PROBLEM: {problem}"

    def summary(self) -> str:
        """Return what is followed and stored, in one line."""
        status = self.status()
        stored = f"{count_text(status.records)} records stored ({bytes_text(status.store_bytes + status.bus_bytes)})"
        if not self._collecting:
            return stored
        return f"following {status.files} file{'' if status.files == 1 else 's'} · {stored}"

    def status(self) -> Status:
        """Return how it is."""
        return Status(
            version=tailrace.__version__,
            uptime_s=round(time.monotonic() - self._started, 1),
            data=str(self._directory),
            records=self.store.rows + self._waiting(),
            waiting_records=self._waiting(),
            bus_bytes=self.bus.bytes,
            store_bytes=self.store.disk_bytes,
            parts=len(self.store.parts),
            tails=self.hub.stats().viewers,
            searches=len(self.searches),
            files=len(self.collector.status()) if self.collector else 0,
            problems=self.problems(),
        )

    def problems(self) -> list[str]:
        """Return what is wrong now or was lost since the start, a bounded number of sentences."""
        found = [f"the store: {event}" for event in self.store.events]
        if self.bus.damaged_records:
            found.append(f"damage of the bus has cost {self.bus.damaged_records} records")
        if self.indexer.lost:
            found.append(f"{self.indexer.lost} records were gone from the bus before they were stored")
        if self.bus.error:
            found.append(self.bus.error)
        if self.indexer.error:
            found.append(self.indexer.error.message)
        if self.collector and self.collector.error:
            found.append(self.collector.error)
        others = [other.status() for other in self.others]
        found += [f"{other.name}: {other.error}" for other in others if other.error]
        files = self.collector.status() if self.collector else []
        found += [f"{file.path}: {file.error}" for file in files if file.error and file.error not in found]
        return list(dict.fromkeys(found))[-_SHOWN:]

    def _waiting(self) -> int:
        stored = self.store.checkpoint
        return self.bus.next - stored if stored else self.bus.next - self.bus.first

    def _measure(self) -> None:
        gauge = self.metrics.gauge
        gauge("records", "Records taken so far.", lambda: self.bus.next.offset)
        gauge("waiting_records", "Records that are not in a part yet.", self._waiting)
        gauge("bus_bytes", "Size of the bus on disk.", lambda: self.bus.bytes)
        gauge("store_bytes", "Size of the parts on disk.", lambda: self.store.disk_bytes)
        gauge("parts", "Parts of the store.", lambda: len(self.store.parts))
        gauge("searches_running", "Searches that run or wait.", lambda: len(self.searches))
        gauge("tails", "Open tails.", lambda: self.hub.stats().viewers)
        gauge("tail_queries", "Distinct queries of open tails.", lambda: self.hub.stats().queries)
        gauge("tail_rows_delivered", "Rows handed to tails so far.", lambda: self.hub.stats().rows_delivered)
        gauge("files", "Files that are followed.", lambda: len(self.collector.status()) if self.collector else 0)
        gauge("problems", "Things that are wrong; /api/v1/status says which.", lambda: len(self.problems()))
        gauge("damaged_records", "Records that damage of the bus has cost.", lambda: self.bus.damaged_records)


def _raise_files_max() -> None:
    """Have as many descriptors as this process may: each followed file holds one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):  # some kernels allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
