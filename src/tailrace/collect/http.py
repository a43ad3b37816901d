"""The calls about collecting: how it goes here, and what agents are to collect. Answers are made in threads.

However many people look at the list of agents, etcd is asked once at a time, and every AGENTS_FRESH_S at most. When it
does not answer, AGENT_CALLS_MAX wait for it, in threads of their own, and who comes then is told to come back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.api import JSON, parameters
from tailrace.collect.agents import Directory
from tailrace.collect.words import AGENTS_PATH, AgentEntries, Agents, Collecting, CollectParameters, Replaces
from tailrace.errors import Away, BadInput, Busy, TooLarge
from tailrace.limits import AGENT_CALLS_MAX, AGENTS_FRESH_S, REMOTE_BYTES_MAX

_THREADS = 2


def routes(answer: Callable[[CollectParameters], Collecting]) -> list[BaseRoute]:
    """Return the route; ``answer`` may be called by several threads."""

    async def collect(request: Request) -> Response:
        given = parameters(CollectParameters, request.query_params.multi_items())
        return Response(await asyncio.to_thread(lambda: msgspec.json.encode(answer(given))), media_type=JSON)

    return [Route("/api/v1/collect", collect)]


class _Asking:
    """The questions to one directory, of one event loop."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self._threads = ThreadPoolExecutor(_THREADS, "agents")
        self._waiting = 0
        self._list: asyncio.Future[bytes] | None = None
        self._at = float("-inf")

    async def list(self) -> bytes:
        """Return the list, which all who look share. Raises Away, Declined."""
        now = time.monotonic()
        if self._list is None or (self._list.done() and now - self._at >= AGENTS_FRESH_S):
            self._at = now
            loop = asyncio.get_running_loop()
            self._list = loop.run_in_executor(self._threads, lambda: msgspec.json.encode(self._directory.agents()))
        return await asyncio.shield(self._list)

    async def do(self, call: Callable[[Directory], AgentEntries]) -> Response:
        """Answer what a call returns, after which the list is another. Raises Busy, and what the call does."""
        if self._waiting >= AGENT_CALLS_MAX:
            raise Busy(f"{self._waiting} calls wait for etcd", retry_s=5, cure="Try again when it answers.")
        self._waiting += 1
        try:
            done = await asyncio.get_running_loop().run_in_executor(self._threads, call, self._directory)
        finally:
            self._waiting -= 1
            self._list = None
        return Response(msgspec.json.encode(done), media_type=JSON)


def agent_routes(directory: Directory | None) -> list[BaseRoute]:
    """Return the routes of agents; without a directory there is nobody to ask."""
    asking = _Asking(directory) if directory else None

    async def agents(_: Request) -> Response:
        body = await asking.list() if asking else msgspec.json.encode(Agents(etcd=False, agents=[], more=False))
        return Response(body, media_type=JSON)

    async def agent(request: Request) -> Response:
        if asking is None:
            raise Away("no etcd is configured here", cure="Name its members in the section [etcd] of the server.")
        host = request.path_params["host"]
        if request.method == "GET":
            return await asking.do(lambda directory: directory.entries(host))
        revision = parameters(Replaces, request.query_params.multi_items()).revision
        if request.method == "DELETE":
            return await asking.do(lambda directory: directory.remove(host, revision))
        text = await _body(request)
        return await asking.do(lambda directory: directory.replace(host, text, revision))

    return [
        Route(AGENTS_PATH, agents),
        Route(AGENTS_PATH + "/{host}", agent, methods=["GET", "PUT", "DELETE"]),
    ]


async def _body(request: Request) -> bytes:
    body = b""
    try:
        async for piece in request.stream():
            body += piece
            if len(body) > REMOTE_BYTES_MAX:
                raise TooLarge(f"entries have at most {REMOTE_BYTES_MAX} bytes", cure="Write globs.")
    except ClientDisconnect as error:
        raise BadInput("the entries did not come to their end", cure="Send them again.") from error
    return body
