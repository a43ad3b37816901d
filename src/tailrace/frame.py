"""What a client that watches is sent: rows, gaps, pings and the end, on every transport alike.

    Rows   records that matched, in the order of their cursors, and the position behind all that was looked at
    Gap    records that were not sent: which range, how many, why; never left out silently
    Ping   still here: the position, how far behind, how many came in and how many matched so far
    End    the last frame, and why it ended

A client that sends back the newest checkpoint it has seen gets exactly what follows, on any transport.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import orjson

from tailrace.cursor import Checkpoint, Cursor


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded records (one JSON object each) and the checkpoint behind the last record that was looked at."""

    records: tuple[bytes, ...]
    next: Checkpoint

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        return b'{"records":[' + b",".join(self.records) + b'],"next":"' + str(self.next).encode() + b'"}'


WHYS = {
    "expired": "retention removed them",
    "damaged": "the disk damaged them",
    "slow": "the client was too slow",
    "reset": "the position belongs to another log, or lies behind the end of this one",
}


@dataclass(frozen=True, slots=True)
class Gap:
    """``count`` records in [start, end) were not looked at: ``why`` is one of WHYS."""

    start: Cursor | None
    end: Cursor
    count: int | None
    why: str

    @property
    def next(self) -> Checkpoint:
        """The checkpoint of a client that has seen this frame."""
        return Checkpoint((self.end,))

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        start = None if self.start is None else str(self.start)
        return orjson.dumps({"from": start, "to": str(self.end), "count": self.count, "why": self.why})


@dataclass(frozen=True, slots=True)
class Ping:
    """Where the tail stands: ``lag_ms`` behind the newest record, ``taken`` looked at, ``matched`` of them."""

    next: Checkpoint
    lag_ms: float
    taken: int
    matched: int

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        return orjson.dumps(
            {"checkpoint": str(self.next), "lag_ms": self.lag_ms, "in": self.taken, "matched": self.matched}
        )


@dataclass(frozen=True, slots=True)
class End:
    """The tail is over: ``why`` is a sentence for a person."""

    why: str
    next: Checkpoint = field(default=Checkpoint())

    def json(self) -> bytes:
        """Return the frame's data as JSON."""
        return orjson.dumps({"why": self.why, "checkpoint": str(self.next)})


Frame = Rows | Gap | Ping | End

EVENTS: dict[type[Rows | Gap | Ping | End], str] = {Rows: "rows", Gap: "gap", Ping: "ping", End: "end"}
