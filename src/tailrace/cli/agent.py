"""``tailrace agent``: the collector alone; it ships what it follows to servers, from a spool on this disk.

Start: lock the data directory, open the spool, ship what it still has, follow files. Stop, at SIGTERM or SIGINT: no
more reading, what was read goes to the spool, servers that take get SHIP_DRAIN_S_MAX, and what waits is said; it is
shipped after the next start. A second signal ends the process at once, which costs nothing. When the configuration
changes (SIGHUP has it read at once), so do what is followed and the servers: those that are new, gone or have another
token file or CA; the others ship on.
"""

from __future__ import annotations

import argparse
import glob
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tailrace
from tailrace import config
from tailrace.config import Config
from tailrace.errors import ConfigError

if TYPE_CHECKING:
    from tailrace.agent_server import ShippingStatus
    from tailrace.asked import Asked
    from tailrace.ship.output import OutputStatus

_SAY_S = 0.5
_SHOWN = 20
_WAITING_SAID_MIN = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take what to follow, where to ship it, and where to keep the spool."""
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH|GLOB",
        help="what to follow, - for standard input; default: this machine's logs",
    )
    parser.add_argument("--server", action="append", metavar="URL", help="ship there; may be given more than once")
    parser.add_argument("--kafka", metavar="HOST:PORT,...", help="ship to this Kafka; agent.topic says to which topic")
    parser.add_argument("--listen", metavar="HOST:PORT", help="answer there how it is; default: nowhere")
    parser.add_argument("--start", metavar="WHERE", help="beginning, end, or a size from the end, like 10MB")
    parser.add_argument("--data", metavar="DIR", help="directory of the spool (default: in $XDG_DATA_HOME)")
    parser.add_argument("--config", metavar="FILE", help="a TOML file; `tailrace check` prints every key")


def run(args: argparse.Namespace) -> int:
    """Follow and ship until told to stop."""
    settings = config.Settings(args.config, os.environ, _flags(args))
    wanted = settings.load()
    if not wanted.outputs:
        raise ConfigError(
            "there is no server to ship to", cure="Name one: --server http://logs.example.com:7800 or --kafka HOST:9092"
        )
    from tailrace.directory import held
    from tailrace.memory import one_allocator

    one_allocator()
    stopping, reloading = threading.Event(), threading.Event()

    def told(number: int, _: object) -> None:
        if stopping.is_set() and number != signal.SIGHUP:
            os._exit(1)
        (reloading if number == signal.SIGHUP else stopping).set()

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, told)
    with held(_directory(wanted)) as directory:
        _Agent(wanted, directory, settings).run(stopping, reloading)
    return 0


def _flags(args: argparse.Namespace) -> dict[str, dict[str, Any]]:
    given: dict[str, Mapping[str, Any]] = {
        "data": {"directory": args.data},
        "agent": {"servers": args.server, "listen": args.listen},
        "kafka": {"brokers": args.kafka and args.kafka.split(",")},
        "collect": {
            "paths": [path if path == "-" else str(Path(path).absolute()) for path in args.paths] or None,
            "start": args.start,
        },
    }
    return {name: {key: value for key, value in keys.items() if value is not None} for name, keys in given.items()}


def _directory(wanted: Config) -> Path:
    """Return where the spool is: not where a server of the same user has its data, unless somebody says so."""
    return wanted.directory if wanted.data.directory else wanted.directory.with_name("tailrace-agent")


class _Agent:
    """The stages of one agent, opened and closed in their order."""

    def __init__(self, wanted: Config, directory: Path, settings: config.Settings) -> None:
        """Open the spool and read its end. Raises DataError."""
        from tailrace.bus.disk import DiskBus
        from tailrace.following import Following
        from tailrace.limits import SEGMENT_BYTES, SPOOL_RING_BYTES_MAX, SPOOL_SEGMENT_BYTES_MIN, SPOOL_SEGMENTS
        from tailrace.ship.shipping import Shipping

        spool = config.size(wanted.agent.spool)
        self._bus = DiskBus(
            directory / "spool",
            bytes_max=0,
            segment_bytes=max(min(spool // SPOOL_SEGMENTS, SEGMENT_BYTES), SPOOL_SEGMENT_BYTES_MIN),
            ring_bytes_max=SPOOL_RING_BYTES_MAX,
            spool_bytes=spool,
        )
        self._shipping = Shipping(self._bus, directory / "dead", host=wanted.collect.host or socket.gethostname())
        self._wanted = wanted
        self._following = Following(
            self._bus, wanted, directory, settings, say=_say, applied=self._change, shipping=self._standing
        )
        self._directory = directory
        self._started = time.monotonic()
        self._servers: list[Any] | None = None
        self._asked = self._answering()
        self._said: dict[str, str] = {}
        self._waited: dict[str, int] = {}

    def run(self, stopping: threading.Event, reloading: threading.Event) -> None:
        """Ship and follow until ``stopping``."""
        self._change(self._wanted)
        self._following.start()
        paths = self._following.paths
        for path in paths[:_SHOWN]:
            found = any(glob.iglob(path, recursive=True))
            _say(f"  {path}{'' if found else '  (there is none yet)'}")
        if len(paths) > _SHOWN:
            _say(f"  and {len(paths) - _SHOWN} more")
        if self._asked:
            self._asked.start()
            _say(f"answering at {self._asked.url}")
        try:
            while not stopping.wait(_SAY_S):
                if reloading.is_set():
                    reloading.clear()
                    self._following.reload()
                self._say_what_changed()
        finally:
            self._stop()

    def _change(self, wanted: Config) -> None:
        servers = wanted.outputs
        if servers == self._servers:
            return
        self._servers = servers
        self._shipping.change(servers)
        _say(f"shipping to {', '.join(server.url for server in servers) or 'nobody: the spool keeps everything'}")
        for server in servers:
            if server.exposed:
                _say(f"  {server.url}: what is sent can be read on the way; {server.safer} would prevent it")

    def _say_what_changed(self) -> None:
        """Say a problem once when it comes and once when it has gone, and what waits whenever it is ten times more."""
        outputs = self._shipping.status()
        now = dict(line for output in outputs for line in _problems(output))
        now |= dict.fromkeys(self._following.problems()[:_SHOWN], "")
        waiting = {output.server: output.waiting for output in outputs}
        for name in self._said.keys() - now.keys():
            _say(f"well again: {name}{_follow(waiting.get(name, 0))}" if self._said[name] else f"no longer: {name}")
            self._waited.pop(name, None)
        for name in now:
            if now[name] != self._said.get(name):
                _say(f"PROBLEM: {name}{now[name] and ': '}{now[name]}")
            if waiting.get(name, 0) >= self._waited.get(name, _WAITING_SAID_MIN):
                _say(f"  {_records(waiting[name])} in the spool for {name}")
                self._waited[name] = 10 ** len(str(waiting[name]))
        self._said = now

    def _answering(self) -> Asked | None:
        if not self._wanted.agent.listen:
            return None
        from tailrace.agent_server import answering

        return answering(self._wanted, self._directory, self._following, self._status)

    def _standing(self) -> tuple[int, list[str]]:
        """Return how many records wait for the server that has the fewest, and what is wrong; from any thread."""
        outputs = self._shipping.status()
        said = [": ".join(filter(None, line)) for output in outputs for line in _problems(output)]
        return max((output.waiting for output in outputs), default=0), said

    def _status(self) -> ShippingStatus:
        """Return how it is; from any thread."""
        from tailrace.agent_server import ShippingStatus

        outputs = self._shipping.status()
        said = [": ".join(filter(None, line)) for output in outputs for line in _problems(output)]
        return ShippingStatus(
            version=tailrace.__version__,
            uptime_s=round(time.monotonic() - self._started, 1),
            data=str(self._directory),
            spool_bytes=self._bus.bytes,
            files=self._following.collector.report.count(),
            outputs=outputs,
            problems=[*said, *self._following.problems()][:_SHOWN],
        )

    def _stop(self) -> None:
        if self._asked:
            self._asked.stop()
        self._following.stop()
        self._shipping.stop()
        for output in self._shipping.status():
            if output.waiting:
                _say(f"{_records(output.waiting)} in the spool for {output.server}; the next start ships them")
        self._bus.close()


def _problems(output: OutputStatus) -> Iterator[tuple[str, str]]:
    """Yield what there is to say about an output: whom or what it is about, and what it is."""
    if output.error:
        yield output.server, output.error
    if output.dead:
        yield f"records that {output.server} refuses", f"they are put aside in {output.dead_path}, with the reason"
    if output.lost:
        yield f"records for {output.server}", f"{output.lost} are neither there nor in the spool any more"


def _records(count: int) -> str:
    return "1 record waits" if count == 1 else f"{count} records wait"


def _follow(count: int) -> str:
    return f"; {count} records follow" if count > 1 else ""


def _say(text: str) -> None:
    print(text)
    sys.stdout.flush()
