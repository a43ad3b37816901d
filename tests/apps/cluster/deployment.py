"""A whole deployment of a test's own. Every process is real, and can be killed, halted, cut off and started again.

    logs -> 2 agents -> 3 brokers -> 2 indexers -> OpenSearch
                            |                          |
                            +------> 2 servers <-------+
                                         |
                                       tails

etcd tells the agents what to follow, Redis holds the quotas of the servers. The first agent, indexer and server reach
the brokers through proxies, the second ones directly; what else is spoken to over a network has a proxy before it.
"""

from __future__ import annotations

import contextlib
import itertools
import random
import signal
import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from confluent_kafka.admin import AdminClient

from tests.apps.agent.agents import Agent
from tests.apps.cluster.indexers import Indexer
from tests.apps.programs import Server
from tests.apps.tail.ways import WAYS, Way
from tests.servers.kafka import Kafka
from tests.servers.proxy import Proxy

LOG = 1_000_000
"""The lines of the second log are numbered from here on, those of the third from twice as much."""
LOGS = 4
EVER = LOG * LOGS
PARTITIONS = 6
ROTATE_LINES = 400


def by_log(numbers: Iterable[int]) -> list[list[int]]:
    """Return the lines of each log, in the order in which they came."""
    logs: list[list[int]] = [[] for _ in range(LOGS)]
    for number in numbers:
        logs[number // LOG].append(number)
    return logs


class Ledger(threading.Thread):
    """Appends numbered lines to logs, in halves, and rotates them by renaming. ``written`` counts whole ones."""

    def __init__(self, paths: list[Path], seed: int) -> None:
        super().__init__(daemon=True)
        self.written = [0] * len(paths)
        self._paths = paths
        self._chance = random.Random(seed)
        self._stopping = threading.Event()

    @property
    def lines(self) -> list[list[int]]:
        """The lines of each log."""
        return [list(range(LOG * number, LOG * number + count)) for number, count in enumerate(self.written)]

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def run(self) -> None:
        while not self._stopping.wait(self._chance.uniform(0, 0.04)):
            log = self._chance.randrange(len(self._paths))
            with self._paths[log].open("ab", buffering=0) as file:
                for _ in range(self._chance.randint(1, 5)):
                    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
                    line = b"%b INFO line %d\n" % (now.encode(), LOG * log + self.written[log])
                    half = self._chance.randint(0, len(line))
                    file.write(line[:half])
                    file.write(line[half:])
                    self.written[log] += 1
            if self.written[log] // ROTATE_LINES > len(
                list(self._paths[log].parent.glob(f"{self._paths[log].name}.*"))
            ):
                _rotate(self._paths[log])


def _rotate(path: Path) -> None:
    older = sorted(path.parent.glob(f"{path.name}.*"), key=lambda one: int(one.suffix[1:]), reverse=True)
    for one in older:
        one.rename(one.with_suffix(f".{int(one.suffix[1:]) + 1}"))
    path.rename(f"{path}.1")


class Part:
    """A program of Tailrace, which is started again as it was begun."""

    def __init__(self, name: str, begin: Callable[[], Any]) -> None:
        self.name = name
        self._begin = begin
        self.running = begin()

    @property
    def alive(self) -> bool:
        return self.running.process.poll() is None

    def start(self) -> None:
        """Try to start it; who starts without brokers may give up, and is tried again by ``revive``."""
        with contextlib.suppress(AssertionError):
            self.revive()

    def revive(self) -> None:
        """Start it if it does not run, as whatever looks after services does."""
        if not self.alive:
            self.running = self._begin()

    def kill(self) -> None:
        """End it as if its machine had lost power."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Tell it to end, and wait until it has."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        process = self.running.process
        process.send_signal(number)
        process.wait(60)
        if process.stdout:
            process.stdout.close()

    def pause(self) -> None:
        self.running.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.running.process.send_signal(signal.SIGCONT)


class Tail:
    """Somebody who watches, and whose wire leads to one of the servers."""

    def __init__(self, name: str, kind: type[Way], server: Part, after: str) -> None:
        self.name = name
        self.server = server
        self.wire = Proxy(server.running.port)
        self.way = kind(self.wire.address[1], after, EVER)

    def move(self, server: Part) -> None:
        """Have the next connection lead to this server."""
        self.server = server
        self.wire.port = server.running.port


class Deployment:
    """See the head of this module. ``search`` is an OpenSearch, ``own_search`` whether it may be killed."""

    def __init__(self, folder: Path, kafka: Any, search: Any, etcd: Any, redis: Any, *, seed: int) -> None:
        self.kafka, self.search, self.etcd, self.redis = kafka, search, etcd, redis
        self.topic = kafka.topic(PARTITIONS, 3, config={"min.insync.replicas": "2"})
        self.index = search.prefix()
        self.ways = {name: Proxy(int(url.rpartition(":")[2])) for name, url in self._urls().items()}
        self._folder = folder
        self._names = map(str, itertools.count())
        logs = [folder / "logs" / name / f"{log}.log" for name, log in itertools.product(("one", "two"), ("a", "b"))]
        for log in logs:
            log.parent.mkdir(parents=True, exist_ok=True)
        self.ledger = Ledger(logs, seed)
        for name in ("one", "two"):
            self.tell(name)
        brokers = {"one": kafka.bootstrap, "two": kafka.direct}
        self.servers = [Part(f"server {name}", lambda at=at: self._serve(at)) for name, at in brokers.items()]
        self.indexers = [Part(f"indexer {name}", lambda at=at: self._index(at)) for name, at in brokers.items()]
        self.agents = [
            Part(f"agent {name}", lambda name=name, at=at: self._agent(name, at)) for name, at in brokers.items()
        ]
        self.tails: list[Tail] = []

    def _urls(self) -> dict[str, str]:
        return {"OpenSearch": self.search.url, "etcd": self.etcd.url, "Redis": self.redis.url}

    @property
    def parts(self) -> list[Part]:
        return [*self.servers, *self.indexers, *self.agents]

    @property
    def admin(self) -> AdminClient:
        return AdminClient({"bootstrap.servers": self.kafka.direct, "log_level": 0})

    def begin(self) -> None:
        """Have tails of each kind, and then lines."""
        after = self.servers[0].running.get("/api/v1/tail/poll", wait="0")["next"]
        for number, (name, kind) in enumerate(WAYS.items()):
            self.tails.append(Tail(name, kind, self.servers[number % 2], after))
        for tail in self.tails:
            tail.way.start()
        self.ledger.start()

    def tell(self, agent: str, *others: str) -> None:
        """Have etcd say what an agent follows: its logs, and ``others``."""
        paths = [f"{self._folder}/logs/{agent}/*.log*", *others]
        self.etcd.put(f"tailrace/agents/{agent}", {"entries": [{"path": path} for path in paths]})

    def steer(self) -> None:
        """Have who comes back find a server that is there."""
        there = [server for server in self.servers if server.alive]
        for tail in self.tails:
            tail.move(tail.server if tail.server.alive or not there else there[0])

    def revive(self) -> None:
        """Start what runs no more."""
        for part in self.parts:
            part.revive()
        self.steer()

    def close(self) -> None:
        for tail in self.tails:
            tail.way.stop()
            tail.wire.close()
        if self.ledger.is_alive():
            self.ledger.stop()
        for part in self.parts:
            if part.alive:
                part.go_on()
                part.kill()
        for way in self.ways.values():
            way.close()

    def said(self) -> str:
        """Return what all programs have said."""
        return "\n".join(path.read_text() for path in [*self._folder.glob("*.stderr"), *self._folder.glob("*.out")])

    def _settings(self, brokers: str) -> dict[str, str]:
        return {
            "TAILRACE_KAFKA__BROKERS": brokers,
            "TAILRACE_KAFKA__TOPICS": self.topic,
            "TAILRACE_KAFKA__REPLICATION": "3",
            "TAILRACE_AGENT__TOPIC": self.topic,
            "TAILRACE_ELASTIC__URLS": self.ways["OpenSearch"].url,
            "TAILRACE_ELASTIC__INDEX": self.index,
            "TAILRACE_ELASTIC__REPLICAS": "0",
        }

    def _serve(self, brokers: str) -> Server:
        redis = self.ways["Redis"].url.replace("http", "redis")
        directory = self._folder / f"server-{next(self._names)}"
        return Server(directory, TAILRACE_REDIS__URL=redis, **self._settings(brokers))

    def _index(self, brokers: str) -> Indexer:
        log = self._folder / f"index-{next(self._names)}.out"
        kept = {"TAILRACE_KAFKA__REPLICATION": "3"}
        return Indexer(log, Kafka(brokers), self.topic, self.ways["OpenSearch"].url, self.index, **kept)

    def _agent(self, name: str, brokers: str) -> Agent:
        own = {
            "TAILRACE_ETCD__ENDPOINTS": self.ways["etcd"].url,
            "TAILRACE_COLLECT__HOST": name,
            "TAILRACE_COLLECT__ALLOW": str(self._folder / "logs"),
        }
        return Agent(self._folder / f"agent-{name}", **own, **self._settings(brokers))
