"""What an agent answers when it is asked how it is: ``/api/v1/status``, ``/api/v1/collect``, ``/metrics`` and health.

It runs in a thread of its own beside the agent, behind the same guard as a server, and only when an address was named.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import uvicorn
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

import tailrace.access.http
import tailrace.collect.http
from tailrace import errors
from tailrace.api import JSON, TEXT
from tailrace.config import Config, address
from tailrace.following import Following
from tailrace.listener import listening, url
from tailrace.metrics import MEDIA_TYPE, Registry
from tailrace.server import problem
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


class AgentServer:
    """Listens from the start on; ``stop`` ends it."""

    def __init__(
        self, config: Config, directory: Path, following: Following, status: Callable[[], ShippingStatus]
    ) -> None:
        """Listen. Raises ConfigError for an open door that nobody asked for, Refused for an address that is taken."""
        self._status = status
        self._metrics = Registry()
        self._metrics.family(following.metrics)
        self._metrics.family(self._shipping)
        access = tailrace.access.http.guarding(directory, config, config.agent.listen)
        app = Starlette(
            routes=[
                *tailrace.collect.http.routes(following.answer),
                Route("/api/v1/status", self._answer_status),
                Route("/metrics", self._answer_metrics),
                Route("/healthz", _healthy),
                Route("/readyz", _healthy),
            ],
            exception_handlers={errors.TailraceError: problem, HTTPException: problem, Exception: problem},
        )
        self._listening = listening(*address(config.agent.listen))
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

    def _shipping(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        status = self._status()
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


async def _healthy(_: Request) -> Response:
    return Response("ok\n", media_type=TEXT)
