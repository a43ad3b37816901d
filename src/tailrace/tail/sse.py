"""Server-sent events: a tail as one HTTP response that does not end.

Each frame is one event: ``event:`` its kind, ``id:`` the checkpoint behind it, ``data:`` its JSON on one line. The
browser sends the newest id back as ``Last-Event-ID`` when it connects again, which resumes exactly there.

To an HTTP/1.1 client an event is one chunk of the body (RFC 9112, 7.1), and an empty chunk is the end; to an older one,
which many proxies are, the body is the events as they are, and its end is the end of the connection. A ping comes
first, so that a client knows its position at once.

EventSource cannot see a status: who asked for events and may have none now (a quota) is given a stream that is only the
``end``, and ``retry:`` with the time after which EventSource connects again by itself.
"""

from __future__ import annotations

from tailrace.frame import EVENTS, End, Frame
from tailrace.tail.connection import Connection, Connections, Source
from tailrace.tail.evaluate import Encode

HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_RETRY = b"retry: 1000\n\n"


def encode(frame: Frame) -> bytes:
    """Return a frame as one event."""
    retry_s = frame.retry_s if isinstance(frame, End) else None
    return event(EVENTS[type(frame)], str(frame.next), frame.json(), retry_s)


def event(kind: str, here: str, data: bytes, retry_s: float | None = None) -> bytes:
    """Return one event: ``data`` is JSON on one line, ``here`` what a client that has seen it comes back with."""
    # An empty id would have the browser forget the one it has.
    place = b"id: %b\n" % here.encode() if here else b""
    retry = b"" if retry_s is None else b"retry: %d\n" % round(retry_s * 1000)
    return b"event: %b\n%b%bdata: %b\n\n" % (kind.encode(), place, retry, data)


def encode_chunk(frame: Frame) -> bytes:
    """Return a frame as one event in a chunk of its own."""
    return _chunk(encode(frame))


def event_chunk(kind: str, here: str, data: bytes) -> bytes:
    """Return one event in a chunk of its own."""
    return _chunk(event(kind, here, data))


def encoding(http_version: str) -> Encode:
    """Return how frames are written to a client of this version of HTTP."""
    return encode_chunk if http_version == "1.1" else encode


class EventStream(Connection):
    """The response to one client, written as ``encoding`` says: the source has to have been opened with that."""

    __slots__ = ("_chunked", "http_version")

    def __init__(self, connections: Connections, source: Source, http_version: str, *, fresh: bool = True) -> None:
        """Serve ``source``."""
        super().__init__(connections, source, fresh=fresh)
        self.http_version = http_version
        self._chunked = encoding(http_version) is encode_chunk

    def begin(self) -> None:
        """Tell the browser to come back soon when it is cut off."""
        self.transport.write(_chunk(_RETRY) if self._chunked else _RETRY)

    def finish(self) -> None:
        """End the body."""
        if self._chunked:
            self.transport.write(b"0\r\n\r\n")
        self.transport.close()


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
