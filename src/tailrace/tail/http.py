"""The routes of the tail: a stream of events, and a long-poll with the same frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.access.quota import Account, Quota, name_of
from tailrace.api import JSON, PROBLEM, SSE, Problem, parameters
from tailrace.cursor import Checkpoint
from tailrace.errors import BadInput, OverQuota
from tailrace.frame import End
from tailrace.query import Query, parse
from tailrace.query.times import parse_span, parse_time
from tailrace.tail import poll, sse, websocket
from tailrace.tail.connection import Connection, Connections
from tailrace.tail.conversation import Conversation
from tailrace.tail.evaluate import Encode
from tailrace.tail.hub import Hub
from tailrace.tail.pace import PLACE, Place
from tailrace.tail.replay import Replays
from tailrace.tail.start import After, Last, Now, Since, Start
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer
from tailrace.tail.words import POLL, REPLAY, SOCKET, TAIL, PollParameters, ReplayParameters, TailParameters

_EVENTS = {name.decode(): value.decode() for name, value in sse.HEADERS}

AWAY = "tailrace.away"
"""The key in the scope's ``extensions`` under which ``Protocol`` gives itself and the request it is answering."""
_LEFT = ConnectionAbortedError("the connection left the server")
_UPGRADE_CURE = (
    "Connect with a WebSocket client. A proxy in between has to pass on the headers Upgrade and Connection: "
    "see the guide, Watching live."
)


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, from which an answer may take its connection away: see ``Away``."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Leave WebSockets to the routes: a request to upgrade is a request like any other."""
        super().__init__(*args, **kwargs)
        self.ws_protocol_class = None

    def on_headers_complete(self) -> None:
        """Give the application the means to take the connection away."""
        super().on_headers_complete()
        self.scope["extensions"] = {AWAY: (self, self.cycle)}  # pyright: ignore[reportGeneralTypeIssues]
        if self.parser is not None and self.parser.should_upgrade():
            # What follows is not HTTP when it is granted; when it is not, the end of the answer goes on with reading.
            self.flow.pause_reading()

    def _unsupported_upgrade_warning(self) -> None:
        """Whether an upgrade is supported is for the routes to say."""


class Away:
    """An answer with which a connection leaves the web framework and uvicorn: an ASGI application.

    The head goes the common way, and gets what the guard adds. From then on the connection belongs to ``connection``,
    which writes the body; for uvicorn the client has left, so that it forgets what it holds for it.
    """

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]], connection: Connection) -> None:
        self._head = {"type": "http.response.start", "status": status, "headers": headers}
        self._connection = connection

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Write the head, and hand the connection over; a client that has left by then is gone."""
        protocol, cycle = scope["extensions"][AWAY]
        upgraded = self._head["status"] == 101
        cycle.keep_alive = upgraded  # Else the head says that the connection is closed behind the body.
        cycle.chunked_encoding = None if scope["http_version"] == "1.1" and not upgraded else False
        handed_over = False
        try:
            await send(self._head)
            transport: asyncio.Transport = protocol.transport
            if not cycle.disconnected and not transport.is_closing():
                protocol.connection_lost(_LEFT)
                protocol.flow.resume_reading()
                transport.set_protocol(self._connection)
                self._connection.connection_made(transport)
                handed_over = True
        finally:
            protocol.scope = protocol.cycle = None  # Or they would hold each other until the next garbage collection.
            if not handed_over:
                self._connection.source.close()


class Tails:
    """The calls over one hub; streams are added to ``connections``, and who asks is held to ``quota``."""

    def __init__(self, hub: Hub, connections: Connections, quota: Quota | None) -> None:
        self._hub = hub
        self._connections = connections
        self._quota = quota
        self._replays = Replays(hub)

    async def tail(self, request: Request) -> Any:
        """Answer with a stream of what arrives."""
        given = parameters(TailParameters, request.query_params.multi_items())
        view, start = _view(given), _start(given, request.headers.get("last-event-id"))
        return await self._stream(
            request, start, lambda encode, who: self._hub.open(view, start, encode, given.behind, who)
        )

    async def replay(self, request: Request) -> Any:
        """Answer with a stream of what was, at the speed that is asked for."""
        given = parameters(ReplayParameters, request.query_params.multi_items())
        view, place = View(_query(given.q)), await _place(self._replays, given, request.headers.get("last-event-id"))
        speed = None if given.speed == "max" else given.speed
        return await self._stream(
            request, place, lambda encode, who: self._replays.open(view, place, speed, encode, who)
        )

    async def web_socket(self, request: Request) -> Any:
        """Answer with a WebSocket."""
        given = parameters(TailParameters, request.query_params.multi_items())
        status, headers, why = websocket.handshake(request.scope["http_version"], request.headers.items())
        if status != 101:
            body = Problem("/problems/no-websocket", "Not a WebSocket", status, why, cure=_UPGRADE_CURE)
            return Response(msgspec.json.encode(body), status, headers, PROBLEM)
        view, start = _view(given), _start(given, None)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            account = await self._account(request)
            conversation = Conversation(
                self._hub,
                view,
                start,
                behind_max=given.behind,
                encode=websocket.encode,
                write=websocket.message,
                account=account,
            )
        except OverQuota as over:
            return Away(status, raw, websocket.Refusal(self._connections, _refusal(over, start)))
        return Away(status, raw, websocket.WebSocket(self._connections, conversation))

    async def long_poll(self, request: Request) -> Response:
        """Answer with what there is, or what comes while it waits."""
        given = parameters(PollParameters, request.query_params.multi_items())
        view, start = _view(given), _start(given, None)
        viewer = self._hub.open(view, start, poll.encode, given.behind, await self._account(request))
        answer = asyncio.create_task(poll.answer(viewer, given.wait))
        left = asyncio.create_task(_left(request))
        try:
            await asyncio.wait([answer, left], return_when=asyncio.FIRST_COMPLETED)
            body = answer.result() if answer.done() else b""
        finally:
            viewer.close()
            answer.cancel()
            left.cancel()
        return Response(body, headers={"cache-control": "no-store"}, media_type=JSON)

    async def _account(self, request: Request) -> Account | None:
        if self._quota is None:
            return None
        return await self._quota.ask(name_of(request.scope), time.monotonic())

    async def _stream(
        self, request: Request, start: Start | Place, opened: Callable[[Encode, Account | None], Viewer]
    ) -> Any:
        if request.method == "HEAD":
            return Response(headers=_EVENTS)
        version = request.scope["http_version"]
        try:
            viewer = opened(sse.encoding(version), await self._account(request))
        except OverQuota as over:
            if SSE not in request.headers.get("accept", ""):
                raise
            return Response(sse.encode(_refusal(over, start)), headers=_EVENTS)
        return Away(200, sse.HEADERS, sse.EventStream(self._connections, viewer, version))


def routes(hub: Hub, connections: Connections, quota: Quota | None = None) -> list[BaseRoute]:
    """Return the routes over one hub; streams are added to ``connections``, and who asks is held to ``quota``."""
    tails = Tails(hub, connections, quota)
    return [
        Route(TAIL.path, tails.tail),
        Route(SOCKET.path, tails.web_socket),
        Route(POLL.path, tails.long_poll),
        Route(REPLAY.path, tails.replay),
    ]


async def _place(replays: Replays, given: ReplayParameters, last_event_id: str | None) -> Place | After:
    """Return where to go on, or to begin. Past the window, an id is the checkpoint of a tail."""
    token = last_event_id or given.after
    if token:
        return Place.of(token) if token.startswith(PLACE) else After(Checkpoint.parse(token))
    if given.from_ is None:
        raise BadInput("where to begin is missing", cure="Give `from`, like 10m or 2026-11-20T08:00.")
    now_ns = time.time_ns()
    last_ns = parse_span(given.to, now_ns)[1] if given.to else None
    return await asyncio.to_thread(replays.begin, parse_time(given.from_, now_ns), last_ns)


def _refusal(over: OverQuota, start: Start | Place) -> End:
    """Return the only frame of a tail that a quota does not let begin: it loses nothing by coming back later."""
    if isinstance(start, Place):
        return End(f"{over.message}. {over.cure}", start.token(), over.retry_s, over.limit)
    checkpoint = start.checkpoint if isinstance(start, After) else Checkpoint()
    return End(f"{over.message}. {over.cure}", checkpoint, over.retry_s, over.limit)


def _query(text: str) -> Query:
    query = parse(text, time.time_ns())
    query.check_live()
    return query


def _view(given: TailParameters) -> View:
    return View(_query(given.q), given.context, given.rate_max, given.counts)


def _start(given: TailParameters, last_event_id: str | None) -> Start:
    """Return where to begin. The id of a browser that connects again stands above its first address."""
    if last_event_id:
        return After(Checkpoint.parse(last_event_id))
    named = [name for name in ("after", "since", "last") if getattr(given, name) is not None]
    if len(named) > 1:
        raise BadInput(f"{' and '.join(named)} contradict each other", cure="Give one of after, since and last.")
    if given.after is not None:
        return After(Checkpoint.parse(given.after))
    if given.since is not None:
        return Since(parse_time(given.since, time.time_ns()))
    return Last(given.last) if given.last else Now()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
