"""A real server on a real socket over a real bus, on an event loop in a thread; clients are plain sockets."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tailrace.access.quota import Quota
from tailrace.bus.disk import DiskBus
from tailrace.errors import Busy, TailraceError
from tailrace.limits import PING_S, TAIL_STALL_S
from tailrace.tail.connection import Connections
from tailrace.tail.http import Protocol, routes
from tailrace.tail.hub import Hub
from tailrace.tail.workers import Workers
from tests.tail.watching import ListHistory


@contextmanager
def streamed(
    connection: http.client.HTTPConnection, answer: http.client.HTTPResponse
) -> Iterator[Iterator[tuple[str, str, dict[str, Any]]]]:
    """Give the events of an answer that must be good, and close it."""
    assert answer.status == 200, answer.read()
    try:
        yield events(answer)
    finally:
        answer.close()
        connection.close()


class Serving:
    """A hub behind HTTP; ``stop`` and ``start`` are a restart on the same port and data."""

    def __init__(self, folder: Path, ping_s: float = PING_S, stall_s: float = TAIL_STALL_S, processes: int = 0) -> None:
        """With ``processes`` beside this one, streams move to them as soon as they can."""
        self.folder = folder
        self.processes = processes
        self.quota = Quota()
        self.ping_s, self.stall_s = ping_s, stall_s
        self.port = 0
        self.bus = DiskBus(folder / "bus")
        self.history = ListHistory(self.bus)
        self.start()

    def start(self) -> None:
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), daemon=True)
        self._thread.start()
        assert ready.wait(20)

    async def _serve(self, ready: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self.hub = Hub(self.bus, self.history)
        self.hub.start()
        self.connections = Connections(self.ping_s, self.stall_s)
        self.workers = Workers(
            self.hub, self.connections, self.folder / "bus", count_max=self.processes, busy_share=0.0, tails_min=2
        )
        self.workers.start()
        app = Starlette(
            routes=routes(self.hub, self.connections, self.quota), exception_handlers={TailraceError: _problem}
        )
        config = uvicorn.Config(
            app,
            port=self.port,
            http=Protocol,
            log_level="warning",
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        config.load()
        self._server.lifespan = config.lifespan_class(config)
        await self._server.startup()
        self.port = self._server.servers[0].sockets[0].getsockname()[1]
        ready.set()
        while not self._server.should_exit:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await self.hub.close()
        await self.connections.close()
        await self.workers.close()
        await self._server.shutdown()

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(20)
        assert not self._thread.is_alive()

    def close(self) -> None:
        self.stop()
        self.bus.close()

    def get(self, target: str, **headers: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/api/v1" + target, headers={k.replace("_", "-"): v for k, v in headers.items()})
        return connection, connection.getresponse()

    @contextmanager
    def tail(self, target: str = "/tail", **headers: str) -> Iterator[Iterator[tuple[str, str, dict[str, Any]]]]:
        with streamed(*self.get(target, **headers)) as frames:
            yield frames

    def json(self, target: str) -> tuple[int, dict[str, Any]]:
        connection, answer = self.get(target)
        try:
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()


def _problem(request: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 429 if isinstance(error, Busy) else 400)


def events(lines: http.client.HTTPResponse) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield (event, id, data) of a stream of server-sent events: read line by line, unlike the command does."""
    event = last_id = data = ""
    for line in lines:
        name, _, value = line.decode().rstrip("\n").partition(": ")
        if name == "event":
            event = value
        elif name == "id":
            last_id = value
        elif name == "data":
            data = value
        elif not name and data:
            yield event, last_id, json.loads(data)
            event = last_id = data = ""


def messages(frames: Iterator[tuple[str, str, dict[str, Any]]], count: int) -> tuple[list[str], str]:
    """Read rows until there are ``count`` messages; return them and the newest id."""
    found: list[str] = []
    last_id = ""
    while len(found) < count:
        event, last_id, data = next(frames)
        if event == "rows":
            found += [record["message"] for record in data["records"]]
    return found, last_id
