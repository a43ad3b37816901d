"""``tailrace index``: brings what lies on Kafka into Elasticsearch or OpenSearch; processes share the work.

It keeps nothing on disk. Stop, at SIGTERM or SIGINT: what is on its way is written (for INDEXING_END_S_MAX at most),
offsets are committed, the others take over. A second signal ends the process at once, which costs nothing either.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING, Any

from tailrace import config
from tailrace.config import Config
from tailrace.errors import ConfigError, TailraceError
from tailrace.text import count_text

if TYPE_CHECKING:
    from tailrace.asked import Asked
    from tailrace.indexing.indexing import Indexing, IndexStatus

_LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take where Kafka and the cluster are; everything else is in the configuration."""
    parser.add_argument("--kafka", metavar="HOST:PORT,...", help="read this Kafka")
    parser.add_argument("--topic", action="append", metavar="NAME", help="what to index; default: tailrace")
    parser.add_argument("--elastic", action="append", metavar="URL", help="a node of the cluster; may be given again")
    parser.add_argument("--index", metavar="NAME", help="what the names of its indices begin with; default: tailrace")
    parser.add_argument("--listen", metavar="HOST:PORT", help="answer there how it is; default: nowhere")
    parser.add_argument("--config", metavar="FILE", help="a TOML file; `tailrace check` prints every key")


def run(args: argparse.Namespace) -> int:
    """Index until told to stop."""
    wanted = config.load(args.config, os.environ, _flags(args))
    if not wanted.kafka.brokers:
        raise ConfigError("there is no Kafka to read", cure="Name a broker: --kafka kafka-1.example.com:9092")
    if not wanted.elastic.urls:
        raise ConfigError("there is no cluster to write", cure="Name a node: --elastic https://es-1.example.com:9200")
    from tailrace.limits import INDEXING_OBJECTS_YOUNG_MAX
    from tailrace.memory import one_allocator

    one_allocator()
    stopping = threading.Event()

    def told(_: int, __: object) -> None:
        if stopping.is_set():
            os._exit(1)
        stopping.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, told)
    program = _Program(wanted)
    gc.freeze()  # what is here stays, and need not be looked at again
    gc.set_threshold(INDEXING_OBJECTS_YOUNG_MAX)
    program.run(stopping)
    return 0


def _flags(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    given: dict[str, dict[str, Any]] = {
        "kafka": {"brokers": args.kafka and args.kafka.split(","), "topics": args.topic},
        "elastic": {"urls": args.elastic, "index": args.index},
        "index": {"listen": args.listen},
    }
    return {name: {key: value for key, value in keys.items() if value is not None} for name, keys in given.items()}


class _Program:
    """What one process says while it indexes."""

    def __init__(self, wanted: Config) -> None:
        self._wanted = wanted
        self._indexing = _indexing(wanted)
        self._asked = self._answering()
        self._said: set[str] = set()
        self._line = sys.stdout.isatty()
        self._before = 0

    def run(self, stopping: threading.Event) -> None:
        """Index until ``stopping``. Raises TailraceError when a fault of the program has ended it."""
        kafka, elastic = self._wanted.kafka, self._wanted.elastic
        self._say(f"indexing {', '.join(kafka.topics)} of {', '.join(kafka.brokers)}")
        self._say(f"into {elastic.index}-* of {', '.join(elastic.urls)}")
        if self._asked:
            self._asked.start()
            self._say(f"answering at {self._asked.url}")
        self._indexing.start()
        try:
            while not stopping.wait(_LOOK_S) and not self._indexing.failed:
                self._tell(self._indexing.status())
        finally:
            if self._asked:
                self._asked.stop()
            self._indexing.stop()
        status = self._indexing.status()
        self._say(_summary(status))
        if self._indexing.failed and not stopping.is_set():
            raise TailraceError("; ".join(status.problems), cure="Start it again; nothing is lost.")

    def _answering(self) -> Asked | None:
        listen = self._wanted.index.listen
        if not listen:
            return None
        from tailrace.asked import Asked
        from tailrace.metrics import Registry

        metrics = Registry()
        metrics.family(self._indexing.metrics)
        return Asked(
            self._wanted,
            self._wanted.directory,
            listen,
            status=self._indexing.status,
            metrics=metrics,
            ready=lambda: self._indexing.ready,
        )

    def _tell(self, status: IndexStatus) -> None:
        """Say a problem once when it comes and once when it has gone; on a terminal, a line of progress."""
        now = set(status.problems)
        for problem in sorted(self._said - now):
            self._say(f"well again: {problem}")
        for problem in status.problems:
            if problem not in self._said:
                self._say(f"PROBLEM: {problem}")
        self._said = now
        if self._line:
            done = status.written + status.there
            speed = (done - self._before) / _LOOK_S
            self._before = done
            print(f"\r\x1b[K{_summary(status)} · {count_text(int(speed))}/s", end="", flush=True)

    def _say(self, text: str) -> None:
        print(f"\r\x1b[K{text}" if self._line else text, flush=True)


def _indexing(wanted: Config) -> Indexing:
    from tailrace.bus.brokers import check_extra

    check_extra()
    from tailrace.indexing.indexing import Indexing
    from tailrace.pipeline.foreign import understand
    from tailrace.store.elastic.client import Client

    return Indexing(
        wanted.kafka.cluster,
        wanted.kafka.topics,
        Client(wanted.elastic.access),
        wanted.elastic.index,
        retain_s=config.seconds(wanted.store.retain),
        shards=wanted.elastic.shards,
        replicas=wanted.elastic.replicas,
        replication=wanted.kafka.replication,
        understand=understand,
    )


def _summary(status: IndexStatus) -> str:
    parts = [f"{count_text(status.written)} lines written"]
    if status.there:
        parts.append(f"{count_text(status.there)} were there")
    if status.dead:
        parts.append(f"{count_text(status.dead)} dead letters")
    parts.append(f"{len(status.partitions)} partition{'' if len(status.partitions) == 1 else 's'}")
    parts.append(f"{count_text(status.lag)} to go")
    return " · ".join(parts)
