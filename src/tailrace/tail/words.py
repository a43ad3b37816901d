"""The words of the calls of the tail: their parameters and answers, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from tailrace.api import FRAMES, JSON, SSE, WEBSOCKET, Call
from tailrace.limits import (
    POLL_WAIT_S_MAX,
    REPLAY_SPEED_MAX,
    TAIL_BEHIND_ROWS_MAX,
    TAIL_CONTEXT_MAX,
    TAIL_LAST_MAX,
)
from tailrace.tail.conversation import ANSWERS, Message

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
    """Frames, each with its ``event``, where they begin, and the checkpoint to send as ``after`` next time."""

    begin: str = field(name="from")
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
