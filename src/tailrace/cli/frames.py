"""The frames of a tail as a client reads them, over a connection that is found again by itself.

Purpose. A thread reads one tail (server-sent events) and hands frames over; whoever shows them takes them when it can.
The bytes of a frame are never taken apart here: what only passes through stays the bytes that the server wrote.

Rules.
  resume   Every frame has the checkpoint behind it. After a cut the tail is opened again behind the newest one that was
           handed over, so nothing comes twice and nothing is left out; what is gone comes as a gap.
  lost     A cut, silence longer than a server is ever silent, an ``end``: a Note says it once, the next connection is
           tried after RETRY_S, or when the server said to come back (``retry_s`` of an end, Retry-After).
  refused  What a server refuses (a wrong query, a token) is raised by ``next``; so is a first connection that fails.
  full     FRAMES_WAITING_MAX frames wait; then the thread reads no more, and the server finds a slow client.
  closed   ``close`` may be called from a signal handler: it only sets a flag and shuts down the socket.
"""

from __future__ import annotations

import http.client
import os
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from tailrace.cli.client import Client, Unreachable
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import Busy, TailraceError
from tailrace.limits import PING_S, TAIL_FRAMES_WAITING_MAX, TAIL_RECEIVE_BYTES

if TYPE_CHECKING:
    from msgspec import Raw
    from msgspec.json import Decoder

_SILENCE_S = 2.5 * PING_S  # a server that is there would have sent a ping
_RETRY_S = (0.1, 0.5, 1.0, 2.0, 5.0)
_POLL_WAIT_S = 0.2


class Frame(NamedTuple):
    """One frame: its kind, the checkpoint behind it, and its JSON."""

    event: str
    checkpoint: str
    data: bytes

    def json(self) -> dict[str, Any]:
        """Return the frame's data."""
        return orjson.loads(self.data)

    def records(self) -> list[bytes]:
        """Return the records of rows, each as the bytes that the server wrote."""
        return list(map(bytes, _parts("records", self.data)))


def _parts(name: str, data: bytes) -> list[Raw]:
    """Return the elements of an array in a JSON object as the bytes that they are.

    msgspec leaves bytes alone, which orjson cannot; it is imported when it is needed: it would take half of the time in
    which the command starts.
    """
    members, elements = _decoders()
    return elements.decode(members.decode(data)[name])


@cache
def _decoders() -> tuple[Decoder[dict[str, Raw]], Decoder[list[Raw]]]:
    import msgspec

    return msgspec.json.Decoder(dict[str, msgspec.Raw]), msgspec.json.Decoder(list[msgspec.Raw])


class Note(NamedTuple):
    """What happened to the connection: ``lost`` or ``found``, and how a person is told."""

    kind: str
    text: str


def frames(answer: http.client.HTTPResponse) -> Iterator[Frame]:
    """Yield the frames of a stream of server-sent events as they come in; a torn last one is left out."""
    held = bytearray()
    looked = 0
    while block := answer.read1(TAIL_RECEIVE_BYTES):
        held += block
        while (end := held.find(b"\n\n", looked)) >= 0:
            event, last_id, data = b"", b"", b""
            for line in bytes(held[:end]).split(b"\n"):
                name, _, value = line.partition(b": ")
                if name == b"event":
                    event = value
                elif name == b"id":
                    last_id = value
                elif name == b"data":
                    data = value
            del held[: end + 2]
            looked = 0
            if data:
                yield Frame(event.decode(), last_id.decode(), data)
        looked = max(0, len(held) - 1)


def stretch(server: Client, query: str | None, start: str, end: str) -> Iterator[Frame]:
    """Yield the frames of what a query finds in [start, end), which lies in the past, and then return."""
    stop = Cursor.parse(end)
    start = _position(server, start)
    while not _reached(start, stop):
        parameters = {"q": query, "after": start, "wait": _POLL_WAIT_S}
        with server.open("GET", "/api/v1/tail/poll", parameters) as answer:
            body = answer.read()
        for data in map(bytes, _parts("frames", body)):
            frame = orjson.loads(data)
            checkpoint = frame.get("next") or frame.get("checkpoint") or frame["to"]
            yield Frame(frame["event"], checkpoint, data)
            if _reached(checkpoint, stop):
                return
        start = orjson.loads(body)["next"]


def _position(server: Client, start: str) -> str:
    """Return a place in one log as a position that a tail begins at: where there are other logs, at their ends."""
    with server.open("GET", "/api/v1/tail/poll", {"wait": 0}) as answer:
        now = Checkpoint.parse(orjson.loads(answer.read())["next"])
    for here in Checkpoint.parse(start).cursors if len(now.cursors) > 1 else ():
        now = now.with_cursor(here)
        start = str(now)
    return start


def _reached(checkpoint: str, stop: Cursor) -> bool:
    at = Checkpoint.parse(checkpoint).get(stop.epoch)
    return at is None or stop <= at


class Reader:
    """See the head of this module. One thread takes frames with ``next``."""

    def __init__(self, server: Client, parameters: dict[str, Any], path: str = "/api/v1/tail") -> None:
        """Read a tail, or a replay, with these parameters, from where they say."""
        self._path = path
        self._server = server
        self._parameters = parameters
        self._waiting: queue.Queue[Frame | Note | TailraceError] = queue.Queue(TAIL_FRAMES_WAITING_MAX)
        self._closed = threading.Event()
        self._answer: http.client.HTTPResponse | None = None
        self._thread = threading.Thread(target=self._run, name="tail", daemon=True)
        self._thread.start()

    def next(self, wait_s: float = 0.0) -> Frame | Note | None:
        """Return what came next, or None when nothing does within ``wait_s``. Raises what the server refused."""
        try:
            found = self._waiting.get(wait_s > 0, wait_s)
        except queue.Empty:
            return None
        if isinstance(found, TailraceError):
            raise found
        return found

    def close(self) -> None:
        """Let go of the connection; the thread ends by itself."""
        self._closed.set()
        answer = self._answer
        if answer is not None:
            # An answer that its reader has closed by now has no descriptor, nor a file that could have one.
            with suppress(OSError, ValueError, AttributeError), socket.socket(fileno=os.dup(answer.fileno())) as same:
                same.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._follow()
        except TailraceError as error:
            self._put(error)

    def _follow(self) -> None:
        failures, connected_once = 0, False
        while not self._closed.is_set():
            wait_s = None
            try:
                with self._server.open("GET", self._path, self._parameters, timeout_s=_SILENCE_S) as answer:
                    self._answer = answer
                    if failures:
                        self._put(
                            Note("found", f"connected again{self._at()}; nothing was missed but what is said here")
                        )
                    connected_once, failures = True, 0
                    cause, wait_s = self._take(answer)
            except (OSError, http.client.HTTPException) as error:
                cause = _cause(error)
            except (Unreachable, Busy) as error:
                if not connected_once:
                    raise
                cause, wait_s = error.message, getattr(error, "retry_s", None)
            finally:
                self._answer = None
            if self._closed.is_set():
                return
            if not failures:
                when = f"in {wait_s:g} s" if wait_s else "now"
                self._put(Note("lost", f"{cause.rstrip('.')}; connecting again {when}{self._at()}"))
            self._closed.wait(wait_s or _RETRY_S[min(failures, len(_RETRY_S) - 1)])
            failures += 1

    def _take(self, answer: http.client.HTTPResponse) -> tuple[str, float | None]:
        """Hand over the frames of one connection; return why it ended, and when to come back if the server said so."""
        for frame in frames(answer):
            if frame.checkpoint:
                self._parameters = {**self._parameters, "after": frame.checkpoint, "last": None, "since": None}
            if frame.event == "end":
                end = frame.json()
                if end.get("done"):
                    self._put(frame)
                    self._closed.set()
                return end["why"], end.get("retry_s")
            self._put(frame)
        return "the server closed the connection", None

    def _put(self, what: Frame | Note | TailraceError) -> None:
        while not self._closed.is_set():
            try:
                self._waiting.put(what, timeout=1.0)
            except queue.Full:
                continue
            return

    def _at(self) -> str:
        after = self._parameters.get("after")
        if after and after.startswith("replay."):
            return " where it was"  # a token says nothing to a person
        return f" at {after}" if after else ""


def _cause(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"nothing came for {_SILENCE_S:.0f} s"
    if isinstance(error, http.client.IncompleteRead):
        return "the server closed the connection"
    return str(error) or type(error).__name__
