"""The server: joins the stages of one process and lets people ask. One list of routes, one table of errors.

Start: lock the data directory, bind the address, open store and bus (in that order: the log never goes on before what
is stored), follow files, serve. With [kafka] bus and store are elsewhere, and the directory has nothing but the tokens:
it is not locked, and may be shared. Stop, at SIGTERM or SIGINT: no more reading, tails get their end, open answers get
STOP_SECONDS_MAX, what was appended is committed, the store flushed. A second signal ends the process at once, which
costs nothing that was acknowledged. SIGHUP has the file of the configuration read again, where there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

import tailrace.access.http
import tailrace.collect.http
import tailrace.collect.words
import tailrace.http
import tailrace.ship.http
import tailrace.sources.http
import tailrace.store.http
import tailrace.tail.http
import tailrace.tail.words
import tailrace.topics.http
import tailrace.topics.words
from tailrace import errors
from tailrace.api import Call
from tailrace.config import Config, Settings
from tailrace.directory import held, shared
from tailrace.errors import ConfigError
from tailrace.following import raise_files_max
from tailrace.limits import FIRST_LOOK_S_MAX, STOP_SECONDS_MAX
from tailrace.listener import listening, url
from tailrace.machine import Machine
from tailrace.memory import few_arenas
from tailrace.problem import problem
from tailrace.process import Process

if TYPE_CHECKING:
    from tailrace.cluster import Cluster

CALLS: list[Call] = [
    *tailrace.sources.http.CALLS,
    *tailrace.ship.http.CALLS,
    *tailrace.store.http.CALLS.values(),
    *tailrace.tail.words.CALLS,
    *tailrace.topics.words.CALLS,
    *tailrace.collect.words.CALLS,
    *tailrace.collect.words.AGENT_CALLS,
    *tailrace.http.CALLS,
]


def application(process: Process, access: tailrace.access.http.Access) -> ASGIApp:
    """Return the application: every route there is, behind the guard."""
    root = tailrace.http.Root(process.status, lambda: process.ready, process.metrics, CALLS)
    app = Starlette(
        routes=[
            *tailrace.sources.http.routes(process.push),
            *tailrace.ship.http.routes(process.blocks),
            *tailrace.store.http.routes(process.history, process.searches, process.quota),
            *tailrace.tail.http.routes(process.hub, process.connections, process.quota),
            *tailrace.topics.http.routes(process.kafka, process.connections, process.quota),
            *tailrace.collect.http.routes(process.collecting),
            *tailrace.collect.http.agent_routes(process.agents),
            *tailrace.access.http.routes(access),
            *tailrace.http.routes(root),
        ],
        exception_handlers={errors.TailraceError: problem, HTTPException: problem, Exception: problem},
    )
    return tailrace.access.http.Guard(app, access)


def run(settings: Settings, *, collecting: bool) -> None:
    """Serve until told to stop. Raises ConfigError, DataError and what keeps the address from being bound."""
    few_arenas()
    raise_files_max()
    config = settings.load()
    host, port = config.address
    if config.kafka.brokers and collecting:
        raise ConfigError(
            "[kafka] is for many machines, and `tailrace up` is one",
            cure="Run `tailrace agent` and `tailrace serve`, or take kafka.brokers out.",
        )
    with shared(config.directory) if config.kafka.brokers else held(config.directory) as directory:
        access = tailrace.access.http.guarding(directory, config, config.server.listen)
        with (
            listening(host, port) as listener,
            Process(config, directory, _kept(config, directory), collecting=collecting, settings=settings) as process,
        ):
            uvloop.run(_serve(process, access, listener, print))


def _kept(config: Config, directory: Path) -> Machine | Cluster:
    """Open what keeps the records. Raises ConfigError, DataError, Away."""
    if not config.kafka.brokers:
        return Machine(config, directory)
    from tailrace.cluster import Cluster  # only who has one pays for it

    return Cluster(config)


async def _serve(
    process: Process, access: tailrace.access.http.Access, listener: socket.socket, say: Callable[[str], None]
) -> None:
    process.start()
    server = _Server(
        uvicorn.Config(
            application(process, access),
            http=tailrace.tail.http.Protocol,
            ws="none",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(STOP_SECONDS_MAX),
        )
    )

    async def stop() -> None:
        process.ready = False
        await process.end_tails()
        server.should_exit = True

    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    def told() -> None:
        if stopping:
            os._exit(1)
        stopping.append(loop.create_task(stop()))

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told)
    if process.following and process.following.configuration.path:
        loop.add_signal_handler(signal.SIGHUP, process.following.reload)
    if process.following:
        await asyncio.to_thread(process.following.collector.looked.wait, FIRST_LOOK_S_MAX)
    for line in process.announcement():
        say(line)
    say(f"{process.summary()} · {url(listener)}")
    sys.stdout.flush()
    process.ready = True
    await server.serve([listener])


class _Server(uvicorn.Server):
    """uvicorn without its own signals: the stop has an order, see ``_serve``."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield
