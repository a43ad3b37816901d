"""The routes of the tail: a stream of events, and a long-poll with the same frames."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.access.quota import Account, Quota, name_of
from tailrace.api import FRAMES, JSON, PROBLEM, SSE, WEBSOCKET, Call, Problem, parameters
from tailrace.cursor import Checkpoint
from tailrace.errors import BadInput, OverQuota
from tailrace.frame import End
from tailrace.limits import (
    POLL_WAIT_S_MAX,
    REPLAY_SPEED_MAX,
    TAIL_BEHIND_ROWS_MAX,
    TAIL_CONTEXT_MAX,
    TAIL_LAST_MAX,
)
from tailrace.query import parse
from tailrace.query.times import parse_span, parse_time
from tailrace.tail import poll, sse, websocket
from tailrace.tail.connection import Connection, Connections
from tailrace.tail.conversation import ANSWERS, Conversation, Message
from tailrace.tail.evaluate import Encode
from tailrace.tail.hub import After, Hub, Last, Now, Since, Start
from tailrace.tail.pace import PLACE, Place
from tailrace.tail.replay import Replays
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer

Position = Annotated[str, Meta(description="Begin behind this checkpoint: a cursor, or several joined by dots.")]


class TailParameters(Struct, forbid_unknown_fields=True):
    """What to watch, and from where; without a start, from now."""

    q: Annotated[str, Meta(description="The query; empty for everything.")] = ""
    after: Position | None = None
    since: Annotated[str, Meta(description="Begin with what happened since: 10m, or a time.")] | None = None
    last: Annotated[int, Meta(ge=0, le=TAIL_LAST_MAX, description="Begin with the newest so many matches.")] | None = (
        None
    )
    behind: Annotated[
        int,
        Meta(ge=0, description="Further behind than so many records, skip to now and say so with a gap; 0: never."),
    ] = TAIL_BEHIND_ROWS_MAX
    context: Annotated[
        int,
        Meta(ge=0, le=TAIL_CONTEXT_MAX, description="Send so many lines of the same stream before and after a match."),
    ] = 0
    rate_max: Annotated[
        int,
        Meta(ge=0, description="Of more lines a second show so many, besides warnings, errors and rare ones; 0: all."),
    ] = 0
    counts: Annotated[bool, Meta(description="Count what matches: levels, labels, patterns, in each frame.")] = False


class PollParameters(TailParameters):
    """The same, and how long to wait."""

    wait: Annotated[float, Meta(ge=0, le=POLL_WAIT_S_MAX, description="Seconds to wait when there is nothing.")] = 30.0


class ReplayParameters(Struct, forbid_unknown_fields=True):
    """Which window to replay and how fast, or where to go on."""

    q: Annotated[str, Meta(description="The query; empty for everything.")] = ""
    from_: Annotated[str, Meta(description="Begin with what happened then: 10m (ago), or a time.")] | None = field(
        name="from", default=None
    )
    to: (
        Annotated[str, Meta(description="End with what happened then, now at most; without it, go on into live.")]
        | None
    ) = None
    speed: Annotated[
        Annotated[int, Meta(ge=1, le=REPLAY_SPEED_MAX)] | Literal["max"],
        Meta(description=f"1 to {REPLAY_SPEED_MAX} times as fast as it happened, or `max`: as fast as it is taken."),
    ] = 1
    after: (
        Annotated[
            str,
            Meta(description="Go on behind the frame with this id, at any speed; `from` and `to` are those it had."),
        ]
        | None
    ) = None


class Frames(Struct):
    """Frames, each with its ``event``, and the checkpoint to send as ``after`` next time."""

    frames: list[dict[str, Any]]
    next: str


TAIL = Call(
    "GET",
    "/api/v1/tail",
    "Records as they arrive, from any position: server-sent events.",
    takes=TailParameters,
    gives={SSE: FRAMES},
)
POLL = Call(
    "GET",
    "/api/v1/tail/poll",
    "The same frames, one answer at a time: at once when there is something, else when there is.",
    takes=PollParameters,
    gives={JSON: Frames},
)
SOCKET = Call(
    "GET",
    "/api/v1/tail/ws",
    "The same as a WebSocket, whose client may change the query, pause and resume",
    takes=TailParameters,
    gives={WEBSOCKET: {**FRAMES, **ANSWERS}},
    hears=Message,
)
REPLAY = Call(
    "GET",
    "/api/v1/replay",
    "What happened in a window, in the order of time and at any speed, then live: the same events",
    takes=ReplayParameters,
    gives={SSE: FRAMES},
)
CALLS = [TAIL, SOCKET, POLL, REPLAY]
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


def routes(hub: Hub, connections: Connections, quota: Quota | None = None) -> list[BaseRoute]:  # noqa: C901
    """Return the routes over one hub; streams are added to ``connections``, and who asks is held to ``quota``."""
    replays = Replays(hub)

    def account(request: Request) -> Account | None:
        return quota.account(name_of(request.scope), time.monotonic()) if quota is not None else None

    def stream(request: Request, start: Start | Place, opened: Callable[[Encode, Account | None], Viewer]) -> Any:
        version = request.scope["http_version"]
        try:
            viewer = opened(sse.encoding(version), account(request))
        except OverQuota as over:
            if SSE not in request.headers.get("accept", ""):
                raise
            return Response(sse.encode(_refusal(over, start)), headers=_EVENTS)
        return Away(200, sse.HEADERS, sse.EventStream(connections, viewer, version))

    async def tail(request: Request) -> Any:
        given = parameters(TailParameters, request.query_params.multi_items())
        view, start = _view(given), _start(given, request.headers.get("last-event-id"))
        if request.method == "HEAD":
            return Response(headers=_EVENTS)
        return stream(request, start, lambda encode, who: hub.open(view, start, encode, given.behind, who))

    async def web_socket(request: Request) -> Any:
        given = parameters(TailParameters, request.query_params.multi_items())
        status, headers, why = websocket.handshake(request.scope["http_version"], request.headers.items())
        if status != 101:
            body = Problem("/problems/no-websocket", "Not a WebSocket", status, why, cure=_UPGRADE_CURE)
            return Response(msgspec.json.encode(body), status, headers, PROBLEM)
        view, start = _view(given), _start(given, None)
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        try:
            conversation = Conversation(
                hub,
                view,
                start,
                behind_max=given.behind,
                encode=websocket.encode,
                write=websocket.message,
                account=account(request),
            )
        except OverQuota as over:
            return Away(status, raw, websocket.Refusal(connections, _refusal(over, start)))
        return Away(status, raw, websocket.WebSocket(connections, conversation))

    async def long_poll(request: Request) -> Response:
        given = parameters(PollParameters, request.query_params.multi_items())
        view, start = _view(given), _start(given, None)
        viewer = hub.open(view, start, poll.encode, given.behind, account(request))
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

    async def replay(request: Request) -> Any:
        given = parameters(ReplayParameters, request.query_params.multi_items())
        query, place = parse(given.q, time.time_ns()), _place(replays, given, request.headers.get("last-event-id"))
        query.check_live()
        if request.method == "HEAD":
            return Response(headers=_EVENTS)
        speed = None if given.speed == "max" else given.speed
        return stream(request, place, lambda encode, who: replays.open(query, place, speed, encode, who))

    return [
        Route(TAIL.path, tail),
        Route(SOCKET.path, web_socket),
        Route(POLL.path, long_poll),
        Route(REPLAY.path, replay),
    ]


def _place(replays: Replays, given: ReplayParameters, last_event_id: str | None) -> Place | After:
    """Return where to go on, or to begin. Past the window, an id is the checkpoint of a tail."""
    token = last_event_id or given.after
    if token:
        return Place.of(token) if token.startswith(PLACE) else After(Checkpoint.parse(token))
    if given.from_ is None:
        raise BadInput("where to begin is missing", cure="Give `from`, like 10m or 2026-11-20T08:00.")
    now_ns = time.time_ns()
    return replays.begin(parse_time(given.from_, now_ns), parse_span(given.to, now_ns)[1] if given.to else None)


def _refusal(over: OverQuota, start: Start | Place) -> End:
    """Return the only frame of a tail that a quota does not let begin: it loses nothing by coming back later."""
    if isinstance(start, Place):
        return End(f"{over.message}. {over.cure}", start.token(), over.retry_s, over.limit)
    checkpoint = start.checkpoint if isinstance(start, After) else Checkpoint()
    return End(f"{over.message}. {over.cure}", checkpoint, over.retry_s, over.limit)


def _view(given: TailParameters) -> View:
    query = parse(given.q, time.time_ns())
    query.check_live()
    return View(query, given.context, given.rate_max, given.counts)


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
