"""What a program that is no server answers when it is asked how it is: ``/api/v1/status``, ``/metrics`` and health.

It runs in a thread of its own beside the program, behind the same guard as a server, only when an address was named.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

import tailrace.access.http
from tailrace import errors
from tailrace.api import JSON, TEXT
from tailrace.config import Config, address
from tailrace.listener import listening, url
from tailrace.metrics import MEDIA_TYPE, Registry
from tailrace.problem import problem


class Asked:
    """Listens from the beginning, answers from ``start`` until ``stop``."""

    def __init__(
        self,
        config: Config,
        directory: Path,
        listen: str,
        *,
        status: Callable[[], msgspec.Struct],
        metrics: Registry,
        ready: Callable[[], bool] = lambda: True,
        routes: Sequence[BaseRoute] = (),
    ) -> None:
        """Listen; the tokens that let somebody in are in ``directory``.

        Raises ConfigError for an open door that nobody asked for, Refused for an address that is taken.
        """
        self._status = status
        self._metrics = metrics
        self._ready = ready
        access = tailrace.access.http.guarding(directory, config, listen)
        app = Starlette(
            routes=[
                *routes,
                Route("/api/v1/status", self._answer_status),
                Route("/metrics", self._answer_metrics),
                Route("/healthz", _healthy),
                Route("/readyz", self._answer_ready),
            ],
            exception_handlers={errors.TailraceError: problem, HTTPException: problem, Exception: problem},
        )
        self._listening = listening(*address(listen))
        self._listener: socket.socket = self._listening.__enter__()
        self._server = uvicorn.Server(
            uvicorn.Config(
                tailrace.access.http.Guard(app, access),
                ws="none",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        self._thread = threading.Thread(target=self._run, name="status", daemon=True)

    @property
    def url(self) -> str:
        """Where it answers."""
        return url(self._listener)

    def start(self) -> None:
        """Begin to answer."""
        self._thread.start()

    def stop(self) -> None:
        """Answer nobody any more."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join()
        self._listening.__exit__(None, None, None)

    def _run(self) -> None:
        asyncio.run(self._server.serve([self._listener]))

    async def _answer_status(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(lambda: msgspec.json.encode(self._status())), media_type=JSON)

    async def _answer_metrics(self, _: Request) -> Response:
        return Response(await asyncio.to_thread(self._metrics.text), headers={"content-type": MEDIA_TYPE})

    async def _answer_ready(self, _: Request) -> Response:
        return Response("ok\n", media_type=TEXT) if self._ready() else Response("not yet\n", 503, media_type=TEXT)


async def _healthy(_: Request) -> Response:
    return Response("ok\n", media_type=TEXT)
