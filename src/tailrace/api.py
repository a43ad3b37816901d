"""The words of the HTTP API: what a call takes and gives, as types, from which the OpenAPI document is made.

A ``Call`` stands beside its handler and says everything a client must know. Query parameters are fields of a Struct;
an unknown one is an error with a suggestion, because a misspelt bound would silently widen a search.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from tailrace.errors import BadInput

JSON = "application/json"
NDJSON = "application/x-ndjson"
PROBLEM = "application/problem+json"
SSE = "text/event-stream"
TEXT = "text/plain"
WEBSOCKET = "websocket"
"""Stands for a media type where a connection becomes a WebSocket: its messages are JSON."""

Parameters = TypeVar("Parameters", bound=Struct)


class Record(Struct, omit_defaults=True):
    """One line. Labels of the stream stand beside the message; whatever else was parsed is in ``fields``."""

    time: Annotated[str, Meta(description="When it happened: RFC 3339, nine digits, UTC.")]
    message: str
    observed: Annotated[str, Meta(description="When Tailrace saw it.")]
    cursor: Annotated[str, Meta(description="Its identity and position.")]
    level: Literal["trace", "debug", "info", "warn", "error", "fatal"] | None = None
    service: str | None = None
    host: str | None = None
    path: str | None = None
    container: str | None = None
    pod: str | None = None
    namespace: str | None = None
    source: str | None = None
    trace_id: str | None = None
    fields: dict[str, Any] = {}


class Problem(Struct, omit_defaults=True):
    """What went wrong (RFC 9457), where in the query it is (``position``, characters), and what helps (``cure``).

    When it was a quota: which ``limit``, and how much of it is in use. ``until`` is when to come back.
    """

    type: str
    title: str
    status: int
    detail: str
    position: int | None = None
    cure: str | None = None
    limit: Annotated[str | None, Meta(description="The key in [quota], `breaker`, or `redis`.")] = None
    used: float | None = None
    allowed: float | None = None
    until: Annotated[str | None, Meta(description="RFC 3339; the seconds are in Retry-After.")] = None


class TailRecord(Record, omit_defaults=True):
    """A record of a tail; ``context``: it did not match, it stands around one that did."""

    context: bool = False


class CountsOfFrame(Struct):
    """What matched since the frame before, shown or not: by level, by label and value, by the shape of the message."""

    levels: dict[str, int]
    facets: dict[str, dict[str, int]]
    patterns: dict[str, int]


class RowsFrame(Struct):
    """Records that matched, and the checkpoint behind all that was looked at; what was asked for besides."""

    records: list[TailRecord]
    next: str
    counts: CountsOfFrame | None = None


class GapFrame(Struct):
    """Records that were not sent: which range, how many when that is known, and why.

    With ``levels`` and ``digest`` these are the records that matched in the range and were left out; of a range that
    was ``sampled``, others were sent. Whoever comes back does so with ``next`` when it is there, else with ``to``.
    """

    to: str
    why: Literal["expired", "damaged", "slow", "reset", "sampled"]
    from_: str | None = msgspec.field(name="from", default=None)
    count: int | None = None
    levels: dict[str, int] = {}
    digest: str | None = None
    next: str | None = None


class Shown(Struct):
    """Of the records of one level: how many were sent, and how many matched."""

    shown: int
    total: int


class PingFrame(Struct):
    """Still here: the checkpoint, how far behind, how many came in, and how many of them matched.

    ``sent`` and ``digest`` are of the records that were sent since ``from``, ``levels`` too; ``/api/v1/verify`` says
    what a search finds there. ``clock`` is the moment that a replay shows.
    """

    checkpoint: str
    lag_ms: float
    matched: int
    sent: int
    digest: str
    levels: dict[str, Shown]
    in_: int = msgspec.field(name="in")
    from_: str = msgspec.field(name="from")
    clock: str | None = None


class EndFrame(Struct, omit_defaults=True):
    """The tail is over. It goes on behind the checkpoint; when a ``limit`` ended it, in ``retry_s``.

    ``done`` is true when all that was asked for was sent: there is nothing to come back for.
    """

    why: str
    checkpoint: str = ""
    retry_s: float | None = None
    limit: str | None = None
    done: bool = False


class NoParameters(Struct, forbid_unknown_fields=True):
    """A call without parameters."""


FRAMES: Mapping[str, type[Struct]] = {"rows": RowsFrame, "gap": GapFrame, "ping": PingFrame, "end": EndFrame}


@dataclass(frozen=True, slots=True)
class Call:
    """One call: ``takes`` is the Struct of its query parameters, ``gives`` the answer of each media type.

    An answer that streams (``text/event-stream``) gives ``FRAMES``. ``body`` names the media types it reads. A call
    that becomes a WebSocket ``hears`` messages of one kind, and gives under WEBSOCKET the kind of each event.
    """

    method: str
    path: str
    summary: str
    takes: type[Struct] = NoParameters
    gives: Mapping[str, Any] = field(default_factory=dict[str, Any])
    body: tuple[str, ...] = ()
    any_parameters: bool = False
    hears: type[Struct] | None = None


def parameters(kind: type[Parameters], pairs: Iterable[tuple[str, str]]) -> Parameters:
    """Read query parameters as ``kind``. Raises BadInput for what is unknown, given twice or of a wrong type."""
    known = [field.encode_name for field in msgspec.structs.fields(kind)]
    given: dict[str, str] = {}
    for name, value in pairs:
        if name not in known:
            raise BadInput(f"there is no parameter {name[:80]!r}", cure=suggestion(name, known))
        if name in given:
            raise BadInput(f"the parameter {name!r} is given twice", cure="Give it once.")
        given[name] = value
    try:
        return msgspec.convert(given, kind, strict=False)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise BadInput(f"{where.rstrip('`')}: {what}" if where else what, cure="See /openapi.json.") from error


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a sentence that names what was probably meant."""
    known = list(known)
    close = difflib.get_close_matches(name, known, 1)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known) or 'none'}."
