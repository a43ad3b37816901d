"""The connections of tails, outside the web framework: thousands of clients that stay for hours and mostly wait.

Purpose. A request comes through the framework, where it is let in and checked. From its answer on the connection
belongs to a ``Connection``: one small object that hands a tail's frames to the transport as they are, so that what
waits for a thousand clients is a thousand references to the same bytes. No task, no event and no timer per client.

Rules.
  write    Whatever the tail has queued goes to the transport, until that asks to pause: what waits there cannot be
           shared, so it and the kernel are asked to hold about TAIL_SEND_BYTES.
  pause    A client that is slower than its tail pauses; its tail then fills its own queue, and reads no further.
  beat     All connections turn on one wheel of TAIL_BEATS slots: a ping to each every PING_S, spread over that time.
  stalled  A client whose transport got rid of nothing for TAIL_STALL_S is cut off. The kernel cuts off one that
           acknowledges nothing for so long (TCP_USER_TIMEOUT): a machine that is gone, a proxy that went silent.
  end      Behind the tail's last frame the answer is ended as its transport demands, and the connection closed.
  stop     ``Connections.close`` waits for that, STOP_SECONDS_MAX at most, then cuts off who is left.
  crash    Nothing is lost with a connection: the client comes back with its checkpoint.

Everything here runs on the event loop's thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from typing import Protocol, cast

from tailrace.limits import PING_S, STOP_SECONDS_MAX, TAIL_BEATS, TAIL_SEND_BYTES, TAIL_STALL_S


class Source(Protocol):
    """What a connection sends: the frames of one tail, in the bytes of its transport."""

    @property
    def ended(self) -> bool:
        """Whether nothing will be queued any more."""
        ...

    def listen(self, on_news: Callable[[], object]) -> None:
        """Have this called whenever there may be something to take."""
        ...

    def take(self) -> bytes:
        """Return the next bytes, or nothing."""
        ...

    def ping(self) -> None:
        """Queue a sign of life."""
        ...

    def close(self) -> None:
        """Note that the client is gone."""
        ...


class Connections:
    """All connections of tails: the wheel that has them ping, and their common end."""

    def __init__(self, ping_s: float = PING_S, stall_s: float = TAIL_STALL_S) -> None:
        """Each connection pings every ``ping_s``, and is cut off when it has stalled for ``stall_s``."""
        self.ping_s = ping_s
        self.stall_s = stall_s
        self._slots: list[set[Connection]] = [set() for _ in range(TAIL_BEATS)]
        self._beat_s = ping_s / TAIL_BEATS
        self._due_s = 0.0
        self._at = 0
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._empty: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return self._count

    def add(self, connection: Connection) -> int:
        """Take a connection in; return its slot, which is the last to come round."""
        self._slots[self._at].add(connection)
        self._count += 1
        if self._timer is None:
            self._due_s = asyncio.get_running_loop().time()
            self._wind()
        return self._at

    def remove(self, connection: Connection, slot: int) -> None:
        """Forget a connection."""
        self._slots[slot].remove(connection)
        self._count -= 1
        if not self._count and self._empty is not None and not self._empty.done():
            self._empty.set_result(None)

    def __iter__(self) -> Iterator[Connection]:
        return (connection for slot in self._slots for connection in list(slot))

    async def close(self) -> None:
        """Return when all connections are closed; their tails have ended. Those that take too long are cut off."""
        if self._count:
            self._empty = asyncio.get_running_loop().create_future()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._empty, STOP_SECONDS_MAX)
        for connection in self:
            connection.cut_off()
        if self._timer is not None:
            self._timer.cancel()

    def _wind(self) -> None:
        self._due_s += self._beat_s
        self._timer = asyncio.get_running_loop().call_at(self._due_s, self._turn)

    def _turn(self) -> None:
        now_s = asyncio.get_running_loop().time()
        self._at = (self._at + 1) % TAIL_BEATS
        for connection in list(self._slots[self._at]):
            connection.beat(now_s)
        if self._count:
            self._wind()
        else:
            self._timer = None


class Connection(asyncio.Protocol):
    """One client; see the head of this module. A transport says how its answer begins and ends, and what it reads."""

    __slots__ = (
        "_connections",
        "_fresh",
        "_left_bytes",
        "_open",
        "_paused",
        "_since_s",
        "_slot",
        "source",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, connections: Connections, source: Source, *, fresh: bool = True) -> None:
        """Serve ``source`` from ``connection_made`` on; not ``fresh``: where another process has left off."""
        self.source = source
        self._fresh = fresh
        self._connections = connections
        self._slot = -1
        self._open = True
        self._paused = False
        self._since_s = 0.0
        self._left_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin: the head of the answer was written to this transport."""
        self.transport = cast(asyncio.Transport, transport)  # uvloop's do not inherit from it
        _bound(self.transport, self._connections.stall_s)
        self._slot = self._connections.add(self)
        self.source.listen(self.flush)
        if self._fresh:
            self.begin()
            self.source.ping()
        self.flush()

    def begin(self) -> None:
        """Write what stands before the first frame."""

    def finish(self) -> None:
        """Write what stands behind the last frame, and close the transport."""
        self.transport.close()

    def flush(self) -> None:
        """Hand over what is queued; once the tail has ended, end the answer."""
        source, transport = self.source, self.transport
        while self._open and not self._paused:
            data = source.take()
            if data:
                transport.write(data)
            else:
                if source.ended:
                    self._shut()
                    self.finish()
                return

    def beat(self, now_s: float) -> None:
        """Ping, or cut off a client that has stalled."""
        if not self._paused:
            self.source.ping()
        elif (left_bytes := self.transport.get_write_buffer_size()) < self._left_bytes:
            self._left_bytes, self._since_s = left_bytes, now_s
        elif now_s - self._since_s >= self._connections.stall_s:
            self.cut_off()

    def depart(self) -> int | None:
        """Return a descriptor of the connection, which is closed here but not for its client, to go on elsewhere.

        None while something is on its way to the client. Raises OSError when there are too many descriptors.
        """
        if not self._open or self._paused or self.transport.get_write_buffer_size():
            return None
        descriptor = os.dup(self.transport.get_extra_info("socket").fileno())
        self._open = False
        self.transport.abort()
        return descriptor

    @property
    def closed(self) -> bool:
        """Whether nothing more will be handed over here."""
        return not self._open

    def cut_off(self) -> None:
        """Close at once, whatever is on its way."""
        self.transport.abort()

    def pause_writing(self) -> None:
        """Note that the client has not taken enough of what it was sent."""
        self._pause(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """Go on: the client has taken most of it."""
        if self._open:
            self._paused = False
            self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Note that the client is gone."""
        self._open = False
        self._connections.remove(self, self._slot)
        self.source.close()

    def _shut(self) -> None:
        """Hand over nothing more; who does not take the rest in time is cut off as one that has stalled."""
        self._open = False
        self._pause(0)

    def _pause(self, left_bytes: int) -> None:
        self._paused = True
        self._left_bytes = left_bytes
        self._since_s = asyncio.get_running_loop().time()


def _bound(transport: asyncio.Transport, stall_s: float) -> None:
    """Have little wait for a slow client in the process and the kernel, and not for ever."""
    transport.set_write_buffer_limits(high=TAIL_SEND_BYTES)
    connection = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TAIL_SEND_BYTES)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(stall_s * 1000))
