"""What is at the root: the page, health, metrics, the OpenAPI document; and the status of the process.

The page is what ``make page`` built into the folder ``page`` of this package: ``index.html``, and files whose names
carry a hash of their content, so they may be kept for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import BaseRoute, Route

from tailrace.access.quota import Usage, name_of
from tailrace.api import JSON, TEXT, Call
from tailrace.metrics import MEDIA_TYPE, Metrics
from tailrace.openapi import document
from tailrace.ship.http import AgentStatus

_PAGE = Path(__file__).parent / "page"
_NO_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Tailrace</title><h1>Tailrace is running</h1><p>This installation has no page: it was installed from a working
copy in which the page was not built. <code>make install</code> builds it; the API is described at
<a href="/openapi.json">/openapi.json</a>.</p></html>"""


class Status(Struct):
    """How the server is. ``records`` were taken so far; those in ``waiting_records`` are not in a part yet.

    ``quota`` is what is in use of each limit, by all together and by the token that asks.
    ``problems`` are sentences about what is wrong now, or was lost since the start; empty when all is well.
    """

    version: str
    uptime_s: float
    data: str
    records: int
    waiting_records: int
    bus_bytes: int
    store_bytes: int
    parts: int
    tails: int
    searches: int
    files: int
    agents: list[AgentStatus]
    quota: list[Usage]
    problems: list[str]


@dataclass(frozen=True, slots=True)
class Root:
    """What the root needs of the process."""

    status: Callable[[str], Status]
    ready: Callable[[], bool]
    metrics: Metrics
    calls: Sequence[Call]


CALLS = [
    Call("GET", "/api/v1/status", "How the server is", gives={JSON: Status}),
    Call("GET", "/healthz", "The process lives", gives={TEXT: str}),
    Call("GET", "/readyz", "It takes and answers (503 while it does not)", gives={TEXT: str}),
    Call("GET", "/metrics", "Counters for Prometheus", gives={TEXT: str}),
]


def routes(root: Root) -> list[BaseRoute]:
    """Return the routes of the root."""
    described = msgspec.json.encode(document(root.calls))

    async def healthy(_: Request) -> Response:
        return Response("ok\n", media_type=TEXT)

    async def ready(_: Request) -> Response:
        return Response("ready\n", media_type=TEXT) if root.ready() else Response("not ready\n", 503, media_type=TEXT)

    async def metrics(_: Request) -> Response:
        # In a thread: the values of thousands of files take milliseconds.
        return Response(await asyncio.to_thread(root.metrics.text), headers={"content-type": MEDIA_TYPE})

    async def openapi(_: Request) -> Response:
        return Response(described, media_type=JSON)

    async def status(request: Request) -> Response:
        return Response(msgspec.json.encode(root.status(name_of(request.scope))), media_type=JSON)

    return [
        Route("/healthz", healthy),
        Route("/readyz", ready),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
        Route("/api/v1/status", status),
        *_page_routes(_PAGE),
    ]


def _page_routes(folder: Path) -> list[BaseRoute]:
    """Return a route per file of the page: what is not listed here cannot be asked for."""
    index = folder / "index.html"

    async def page(_: Request) -> Response:
        if not index.is_file():
            return HTMLResponse(_NO_PAGE)
        return FileResponse(index, headers={"cache-control": "no-cache"})

    found: list[BaseRoute] = [Route("/", page)]
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path != index):
        kept = "public, max-age=31536000, immutable" if file.parent.name == "assets" else "no-cache"
        found.append(Route("/" + file.relative_to(folder).as_posix(), _file(file, kept)))
    return found


def _file(file: Path, kept: str) -> Callable[[Request], object]:
    async def answer(_: Request) -> Response:
        return FileResponse(file, headers={"cache-control": kept})

    return answer
