"""How a tail moves from one process of the server to another, and the wire between them.

A tail is moved while nothing is on its way to its client: then it is its descriptor, its query and its ``Standing``,
and the other process goes on as if it had always been there. A process that dies takes its connections with it; their
clients come back with their checkpoints.

    bus    first, next      how far the log goes; only the newest waits to be sent
    tail   see ``Tail``     and a descriptor
    stop   why              every tail gets its end, then the process ends
    stats  see ``Stats``    once a second, with the tails whose clients have left

One message is one packet of a SEQPACKET socket between parent and child, JSON. The end of the socket is the end of the
other process.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import deque
from collections.abc import Callable

import msgspec
from msgspec import Struct

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import TailraceError
from tailrace.limits import WIRE_PACKET_BYTES_MAX
from tailrace.query import parse
from tailrace.tail.connection import Connections
from tailrace.tail.hub import Hub
from tailrace.tail.sse import EventStream, encoding
from tailrace.tail.start import After
from tailrace.tail.subscription import Standing
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer


class Bus(Struct, tag="bus"):
    """The log holds [first, next) now."""

    first: int
    next: int


class Tail(Struct, tag="tail"):
    """A tail, whose descriptor comes along; ``next`` is how far the log goes. Tallies are written as text.

    ``id`` is how the main process knows it, which keeps its account open until it hears that it is gone.
    """

    id: int
    query: str
    http_version: str
    behind_max: int
    next: int
    cursors: list[str]
    missing: int
    sent: str
    matched: str
    observed_ns: int


class Stop(Struct, tag="stop"):
    """Every tail ends."""

    why: str


class Stats(Struct, tag="stats"):
    """What a process delivers: tails and queries now; rows found, rows handed out and rounds so far; who has left."""

    viewers: int = 0
    queries: int = 0
    rows_published: int = 0
    rows_delivered: int = 0
    rounds: int = 0
    gone: list[int] = []


Packet = Bus | Tail | Stop | Stats
_DECODER = msgspec.json.Decoder(Packet)


def pack(stream: EventStream, viewer: Viewer, number: int, end: Cursor) -> tuple[Tail, int] | None:
    """Take a stream out of this process; None when it cannot be moved now. ``end`` is the end of the log.

    What comes back belongs to the caller, who sends it or closes the descriptor, and so does the account.
    """
    if viewer.charged or viewer.task is not None or not viewer.view.is_plain:
        return None  # what is charged, read or remembered for it is here
    (at,) = viewer.checkpoint.cursors
    standing = viewer.subscription.standing
    if standing is None:
        return None
    descriptor = stream.depart()
    if descriptor is None:
        return None
    viewer.account = None
    viewer.close()
    tail = Tail(
        id=number,
        query=str(viewer.view.query),
        http_version=stream.http_version,
        behind_max=viewer.behind_max,
        next=max(end, at).offset,
        cursors=[str(cursor) for cursor in (standing.position, standing.start, standing.counted_from)],
        missing=standing.missing,
        sent=str(standing.sent),
        matched=str(standing.matched),
        observed_ns=standing.observed_ns,
    )
    return tail, descriptor


async def unpack(tail: Tail, descriptor: int, hub: Hub, connections: Connections) -> EventStream | None:
    """Go on with a stream in this process. When it cannot be, the connection is closed, and its client comes back."""
    connection = socket.socket(fileno=descriptor)
    position, start, counted_from = map(Cursor.parse, tail.cursors)
    try:
        viewer = hub.open(
            View(parse(tail.query, 0)), After(Checkpoint((position,))), encoding(tail.http_version), tail.behind_max
        )
    except TailraceError:  # the hub is closed, or full
        connection.close()
        return None
    viewer.subscription.restore(
        Standing(
            position=position,
            start=start,
            counted_from=counted_from,
            missing=tail.missing,
            sent=int(tail.sent),
            matched=int(tail.matched),
            observed_ns=tail.observed_ns,
        )
    )
    stream = EventStream(connections, viewer, tail.http_version, fresh=False)
    connection.setblocking(False)
    try:
        await asyncio.get_running_loop().connect_accepted_socket(lambda: stream, connection)
    except OSError:
        connection.close()
        viewer.close()
        return None
    return stream


class Wire:
    """One end of the socket between two processes."""

    def __init__(
        self, end: socket.socket, heard: Callable[[Packet, int | None], None], gone: Callable[[], None]
    ) -> None:
        """Call ``heard`` with each packet and its descriptor, which then belongs to it, and ``gone`` at the end."""
        self._end = end
        self._heard, self._gone = heard, gone
        self._waiting: deque[tuple[Packet, int | None]] = deque()
        self._loop = asyncio.get_running_loop()
        end.setblocking(False)
        self._loop.add_reader(end, self._read)

    @property
    def waiting(self) -> int:
        """How many packets wait for the other process to take them."""
        return len(self._waiting)

    def send(self, packet: Packet, descriptor: int | None = None) -> None:
        """Send a packet soon, in order; its descriptor is closed here then. Only the newest ``bus`` waits."""
        if isinstance(packet, Bus) and self._waiting and isinstance(self._waiting[-1][0], Bus):
            self._waiting.pop()
        self._waiting.append((packet, descriptor))
        self._write()

    def close(self) -> None:
        """Let go of this end."""
        if self._end.fileno() >= 0:
            self._loop.remove_reader(self._end)
            self._loop.remove_writer(self._end)
            self._end.close()
        for _, descriptor in self._waiting:
            if descriptor is not None:
                os.close(descriptor)
        self._waiting.clear()

    def _write(self) -> None:
        while self._waiting and self._end.fileno() >= 0:
            packet, descriptor = self._waiting[0]
            try:
                fds = [] if descriptor is None else [descriptor]
                socket.send_fds(self._end, [msgspec.json.encode(packet)], fds)
            except BlockingIOError:
                self._loop.add_writer(self._end, self._write)
                return
            except OSError:
                self._end_of_it()
                return
            self._waiting.popleft()
            if descriptor is not None:
                os.close(descriptor)
        if self._end.fileno() >= 0:
            self._loop.remove_writer(self._end)

    def _read(self) -> None:
        while self._end.fileno() >= 0:
            try:
                data, fds, _, _ = socket.recv_fds(self._end, WIRE_PACKET_BYTES_MAX, 1)
            except BlockingIOError:
                return
            except OSError:
                data, fds = b"", []
            if not data:
                self._end_of_it()
                return
            self._heard(_DECODER.decode(data), fds[0] if fds else None)

    def _end_of_it(self) -> None:
        self.close()
        with contextlib.suppress(OSError):
            self._gone()
