"""The server: joins the stages of one process and lets people ask. One list of routes, one table of errors.

Start: lock the data directory, bind the address, open store and bus (in that order: the log never goes on before what
is stored), follow files, serve. Stop, at SIGTERM or SIGINT: no more reading, tails get their end, open answers get
STOP_SECONDS_MAX, what was appended is committed, the store flushed. A second signal ends the process at once, which
costs nothing that was acknowledged. SIGHUP has the file of the configuration read again, where there is one.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec
import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
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
from tailrace import errors
from tailrace.api import PROBLEM, Call, Problem
from tailrace.config import Settings
from tailrace.directory import held
from tailrace.following import raise_files_max
from tailrace.limits import STOP_SECONDS_MAX
from tailrace.listener import listening, url
from tailrace.memory import few_arenas
from tailrace.process import Process

CALLS: list[Call] = [
    *tailrace.sources.http.CALLS,
    *tailrace.ship.http.CALLS,
    *tailrace.store.http.CALLS.values(),
    *tailrace.tail.words.CALLS,
    *tailrace.collect.words.CALLS,
    *tailrace.collect.words.AGENT_CALLS,
    *tailrace.http.CALLS,
]

STATUS: list[tuple[type[errors.TailraceError], int, str]] = [
    (errors.QueryError, 400, "Query not understood"),
    (errors.TooLarge, 413, "Too large"),
    (errors.Unsupported, 415, "Not supported"),
    (errors.BadInput, 400, "Bad request"),
    (errors.OverQuota, 429, "Over the quota"),
    (errors.Busy, 429, "Too busy"),
    (errors.Refused, 403, "Refused"),
    (errors.Gone, 410, "No longer there"),
    (errors.Changed, 409, "Changed meanwhile"),
    (errors.Away, 503, "Not reachable"),
    (errors.OriginTaken, 409, "This key was used for another body"),
    (errors.Closed, 503, "Stopping"),
    (errors.DiskFull, 507, "No room on the disk"),
    (errors.TailraceError, 500, "Failed"),
]


def problem(_: Request, error: Exception) -> Response:
    """Answer an error: what the world did wrong is said; a fault of the program goes to stderr only."""
    headers: dict[str, str] = {}
    position = cure = None
    if isinstance(error, errors.TailraceError):
        status, title = next((status, title) for kind, status, title in STATUS if isinstance(error, kind))
        detail, cure = error.message, error.cure or None
        position = error.position if isinstance(error, errors.QueryError) else None
        if isinstance(error, errors.Busy):
            headers["retry-after"] = str(max(1, math.ceil(error.retry_s)))
    elif isinstance(error, HTTPException):
        status, title, detail = error.status_code, error.detail, f"{error.detail}: see /openapi.json"
        headers.update(error.headers or {})
    else:
        status, title, detail = 500, "Internal error", "the server failed; its log says why"
    body = Problem(f"/problems/{title.lower().replace(' ', '-')}", title, status, detail, position, cure)
    if isinstance(error, errors.OverQuota):
        body.limit, body.used, body.allowed = error.limit, error.used, error.allowed
        until = datetime.now(UTC) + timedelta(seconds=error.retry_s)
        body.until = until.isoformat(timespec="seconds").replace("+00:00", "Z")
    return Response(msgspec.json.encode(body), status, headers, PROBLEM)


def application(process: Process, access: tailrace.access.http.Access) -> ASGIApp:
    """Return the application: every route there is, behind the guard."""
    root = tailrace.http.Root(process.status, lambda: process.ready, process.metrics, CALLS)
    app = Starlette(
        routes=[
            *tailrace.sources.http.routes(process.push),
            *tailrace.ship.http.routes(process.blocks),
            *tailrace.store.http.routes(process.history, process.searches, process.quota),
            *tailrace.tail.http.routes(process.hub, process.connections, process.quota),
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
    with held(config.directory) as directory:
        access = tailrace.access.http.guarding(directory, config, config.server.listen)
        with (
            listening(host, port) as listener,
            Process(config, directory, collecting=collecting, settings=settings) as process,
        ):
            uvloop.run(_serve(process, access, listener, print))


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
