"""Clients of a real server's tail: they keep each record as the bytes it came in, and what was said beside the rows."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol
from urllib.parse import urlencode
from zlib import crc32

import msgspec

from tailrace.cursor import Cursor

TIMEOUT_S = 60


class Listening(Protocol):
    """A server that runs."""

    port: int


class Frame(msgspec.Struct):
    """What one frame says; records as they came."""

    records: list[msgspec.Raw] = []
    next: str = ""
    counts: dict[str, Any] | None = None


class Tail:
    """One tail over server-sent events: ``records`` and ``counts`` in the order they came, ``gaps``, and ``pings``."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.records: list[bytes] = []
        self.counts: list[dict[str, Any]] = []
        self.gaps: list[dict[str, Any]] = []
        self.pings: list[dict[str, Any]] = []
        self.ended: dict[str, Any] | None = None
        self.last_id = ""
        self._answer = answer
        self._waiting = b""

    @property
    def ping(self) -> dict[str, Any]:
        return self.pings[-1]

    @property
    def messages(self) -> list[str]:
        return [msgspec.json.decode(record)["message"] for record in self.records]

    def until(self, done: Callable[[], object]) -> Tail:
        """Read until something holds."""
        while not done():
            data = self._answer.read1(1 << 20)
            assert data, "the tail ended"
            *events, self._waiting = (self._waiting + data).split(b"\n\n")
            for event in events:
                self._take(dict(line.split(b": ", 1) for line in event.split(b"\n")))
        return self

    def until_count(self, count: int) -> Tail:
        """Read until there are so many records."""
        return self.until(lambda: len(self.records) >= count)

    def until_ping(self, behind: str) -> dict[str, Any]:
        """Read until a ping says that everything before this cursor was looked at; return it."""
        end = Cursor.parse(behind)
        self.until(lambda: self.pings and end <= Cursor.parse(self.ping["checkpoint"]))
        return self.ping

    def _take(self, event: dict[bytes, bytes]) -> None:
        if b"id" not in event:
            return
        self.last_id = event[b"id"].decode()
        kind, data = event[b"event"], event[b"data"]
        if kind == b"rows":
            frame = msgspec.json.decode(data, type=Frame)
            self.records += map(bytes, frame.records)
            self.counts += [frame.counts] if frame.counts else []
        elif kind == b"gap":
            self.gaps.append(msgspec.json.decode(data))
        elif kind == b"ping":
            self.pings.append(msgspec.json.decode(data))
        else:
            self.ended = msgspec.json.decode(data)


@contextmanager
def tailing(server: Listening, **parameters: object) -> Iterator[Tail]:
    """Open a tail; returns when its first ping has come."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/api/v1/tail?" + urlencode(parameters))
        with connection.getresponse() as answer:
            assert answer.status == 200, answer.read()
            tail = Tail(answer)
            yield tail.until(lambda: tail.pings)
    finally:
        connection.close()


def searched(server: Any, **parameters: object) -> list[bytes]:
    """Return the records that a search finds, as the bytes they come in."""
    given = {"order": "arrival", "limit": 1_000_000, "format": "ndjson", **parameters}
    status, _, body = server.call("GET", "/api/v1/search", given)
    *records, end = body.splitlines()
    assert (status, msgspec.json.decode(end)["end"]["complete"]) == (200, True), end
    return records


def polled(server: Any, after: str, stop: str, **parameters: object) -> list[bytes]:
    """Return the records in [after, stop) by polls, as a client fetches what it has skipped."""
    found: list[bytes] = []
    while Cursor.parse(after) < Cursor.parse(stop):
        _, _, body = server.call("GET", "/api/v1/tail/poll", {"after": after, "wait": 0, **parameters})
        answer = msgspec.json.decode(body, type=Answer)
        found += [bytes(record) for frame in answer.frames for record in frame.records]
        after = answer.next
    return [record for record in found if cursor(record) < Cursor.parse(stop)]


class Answer(msgspec.Struct):
    """The answer of a poll."""

    frames: list[Frame]
    next: str


def cursor(record: bytes) -> Cursor:
    """Return the cursor of a record as it came."""
    return Cursor.parse(msgspec.json.decode(record)["cursor"])


def digest_of(records: list[bytes]) -> str:
    """Return the digest of records, by its definition, from what a client has."""
    total = 0
    for record in records:
        known = msgspec.json.decode(record)
        mixed = Cursor.parse(known["cursor"]).offset * 0x9E3779B97F4A7C15
        mixed = (mixed + crc32((known.get("message") or "").encode()) * 0xC2B2AE3D27D4EB4F) % 2**64
        total += mixed ^ mixed >> 32
    return f"{total % 2**64:016x}"
