"""The routes of the tail: a stream of events, and a long-poll with the same frames."""

from __future__ import annotations

import asyncio
import time
from typing import Annotated, Any

from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from tailrace.api import FRAMES, JSON, SSE, Call, parameters
from tailrace.cursor import Checkpoint
from tailrace.errors import BadInput
from tailrace.limits import POLL_WAIT_S_MAX, TAIL_BEHIND_ROWS_MAX, TAIL_LAST_MAX
from tailrace.query import parse
from tailrace.query.times import parse_time
from tailrace.tail import poll, sse
from tailrace.tail.hub import After, Hub, Last, Now, Since, Start

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


class PollParameters(TailParameters):
    """The same, and how long to wait."""

    wait: Annotated[float, Meta(ge=0, le=POLL_WAIT_S_MAX, description="Seconds to wait when there is nothing.")] = 30.0


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
CALLS = [TAIL, POLL]


class Protocol(HttpToolsProtocol):
    """uvicorn's HTTP, which also gives its transport to the application: a stream bounds its buffers and can abort."""

    def on_message_begin(self) -> None:
        """Add the transport to the scope of each request."""
        super().on_message_begin()
        self.scope["extensions"] = {sse.TRANSPORT: self.transport}  # pyright: ignore[reportGeneralTypeIssues]


def routes(hub: Hub) -> list[BaseRoute]:
    """Return the routes over one hub."""

    async def tail(request: Request) -> Any:
        given = parameters(TailParameters, request.query_params.multi_items())
        query, start = parse(given.q, time.time_ns()), _start(given, request.headers.get("last-event-id"))
        query.check_live()
        if request.method == "HEAD":
            return Response(headers={name.decode(): value.decode() for name, value in sse.HEADERS})
        return sse.EventStream(hub.open(query, start, sse.encode, given.behind))

    async def long_poll(request: Request) -> Response:
        given = parameters(PollParameters, request.query_params.multi_items())
        viewer = hub.open(parse(given.q, time.time_ns()), _start(given, None), poll.encode, given.behind)
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

    return [Route(TAIL.path, tail), Route(POLL.path, long_poll)]


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
