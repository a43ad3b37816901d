"""What a client that watches is sent: rows, gaps, pings and the end, on every transport alike.

    Rows   records that matched, in the order of their cursors, and the position behind all that was looked at
    Gap    records that were not sent: which range, how many, why; never left out silently
    Ping   still here: the position, how far behind, how many came in and matched so far, the digest of what was sent
    End    the last frame, and why it ended

A client that sends back the newest checkpoint it has seen gets exactly what follows, on any transport. Frames of a
replay (tail/pace.py) have its token in place of the checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.tally import NAMES, NOTHING, by_level, count, digest, named


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded records (one JSON object each) and the position behind the last record that was looked at.

    ``counts`` is a JSON object, or nothing: of everything that matched since the frame before (``tail/counts.py``).
    """

    records: tuple[bytes, ...]
    next: Position | str
    counts: bytes = b""

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        counts = b',"counts":' + self.counts if self.counts else b""
        return (
            b'{"records":[' + b",".join(self.records) + b'],"next":"' + str(self.next).encode() + b'"' + counts + b"}"
        )


WHYS = {
    "expired": "retention removed them",
    "damaged": "the disk damaged them",
    "slow": "the client was too slow",
    "sampled": "there were more than a person can read",
    "reset": "the position belongs to another log, or lies behind the end of this one",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """``count`` records in [start, end), of one log, are not sent: ``why`` is one of WHYS.

    With a ``tally`` they were looked at, and ``count`` are those that matched; without, nobody has seen them. Of
    the matches in a range that was ``sampled`` others were sent; of any other, none. A client that has seen it comes
    back with ``token``; without one it has read that log alone, and comes back with ``end``.
    """

    start: Cursor | None
    end: Cursor
    count: int | None
    why: str
    tally: int = NOTHING
    token: str = ""

    @property
    def next(self) -> Position | str:
        """What a client that has seen this frame comes back with."""
        return self.token or self.end

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        start = None if self.start is None else str(self.start)
        said: dict[str, object] = {"from": start, "to": str(self.end), "count": self.count, "why": self.why}
        if self.tally:
            said |= {"levels": named(self.tally), "digest": digest(self.tally)}
        if str(self.next) != said["to"]:
            said["next"] = str(self.next)
        return orjson.dumps(said)


@dataclass(frozen=True, slots=True)
class Ping:
    """Where the tail stands: ``lag_ms`` behind the newest record, ``taken`` records looked at.

    ``sent`` is the tally of the rows that were sent since ``start``, ``matched`` of all that matched there: the
    difference is what gaps have declared. ``clock`` is the moment (RFC 3339) that a replay shows.
    """

    next: Position | str
    lag_ms: float
    taken: int
    start: Position
    sent: int
    matched: int
    clock: str | None = None

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        sent, matched = by_level(self.sent), named(self.matched)
        said: dict[str, object] = {
            "checkpoint": str(self.next),
            "lag_ms": self.lag_ms,
            "in": self.taken,
            "matched": count(self.matched),
            "from": str(self.start),
            "sent": sum(sent),
            "digest": digest(self.sent),
            "levels": {
                name: {"shown": shown, "total": matched.get(name, 0)}
                for name, shown in zip(NAMES, sent, strict=True)
                if name in matched
            },
        }
        if self.clock is not None:
            said["clock"] = self.clock
        return orjson.dumps(said)


@dataclass(frozen=True, slots=True)
class End:
    """The tail is over: ``why`` is a sentence for a person. It goes on behind ``next``: at once, or in ``retry_s``.

    ``limit`` is the quota that ended it, a key in the section [quota] of the configuration. ``done``: all that was
    asked for was sent, and there is nothing to come back for.
    """

    why: str
    next: Position | str = field(default=Checkpoint())
    retry_s: float | None = None
    limit: str | None = None
    done: bool = False

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        data: dict[str, str | float] = {"why": self.why, "checkpoint": str(self.next)}
        if self.retry_s is not None:
            data["retry_s"] = self.retry_s
        if self.limit is not None:
            data["limit"] = self.limit
        if self.done:
            data["done"] = True
        return orjson.dumps(data)


Frame = Rows | Gap | Ping | End

EVENTS: dict[type[Rows | Gap | Ping | End], str] = {Rows: "rows", Gap: "gap", Ping: "ping", End: "end"}
