"""Server-sent events: a tail as one HTTP response that does not end.

Each frame is one event: ``event:`` its kind, ``id:`` the checkpoint behind it, ``data:`` its JSON on one line. The
browser sends the newest id back as ``Last-Event-ID`` when it connects again, which resumes exactly there.

The response is written as plain ASGI messages, one for all frames that wait. To a client that has taken everything so
far, the hub's turn writes the same chunk straight to the connection: that leaves out a task switch and three calls per
client, which were most of the cost of a delivery. A client that accepts nothing for TAIL_STALL_S is cut off. A ping
comes first, so that a client knows its position at once, and every PING_S after.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any

from tailrace.frame import EVENTS, Frame
from tailrace.limits import PING_S, TAIL_SEND_BYTES, TAIL_STALL_S
from tailrace.tail.hub import Viewer
from tailrace.tail.subscription import State

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

TRANSPORT = "tailrace.transport"
"""The key in the scope's ``extensions`` under which the server gives the connection's transport."""
HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_RETRY = b"retry: 1000\n\n"


def encode(frame: Frame) -> bytes:
    """Return a frame as one event."""
    event = EVENTS[type(frame)].encode()
    return b"event: %b\nid: %b\ndata: %b\n\n" % (event, str(frame.next).encode(), frame.json())


class EventStream:
    """The response to a tail; an ASGI application that serves one client and then closes its viewer."""

    def __init__(self, viewer: Viewer) -> None:
        """Serve ``viewer``, which was opened with ``encode``."""
        self._viewer = viewer
        self._gone = False
        self._sending_since: float | None = None
        self._transport: asyncio.WriteTransport | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Send frames until the client leaves, stalls, or the tail ends."""
        self._transport = scope.get("extensions", {}).get(TRANSPORT)
        _bound_buffers(self._transport)
        if self._transport is not None:
            self._viewer.push = partial(self._push, self._transport)
        leaving = asyncio.create_task(self._leaving(receive))
        self._beat()
        try:
            await self._send(send)
        finally:
            self._viewer.close()
            leaving.cancel()
            if self._timer is not None:
                self._timer.cancel()

    async def _send(self, send: Send) -> None:
        viewer, loop = self._viewer, asyncio.get_running_loop()
        await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await send({"type": "http.response.body", "body": _RETRY, "more_body": True})
        while not self._gone:
            data = viewer.take()
            if data:
                self._sending_since = loop.time()
                await send({"type": "http.response.body", "body": data, "more_body": True})
                self._sending_since = None
            elif viewer.subscription.state is State.ENDED:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                return
            else:
                await viewer.wait()

    def _push(self, transport: asyncio.WriteTransport) -> bool:
        """Write what is queued as one chunk; False when the task has to see to it: to wait for the client, or to end.

        The task waits, so the head of the response is out; without a length its body is chunks (uvicorn's rule).
        """
        subscription = self._viewer.subscription
        if self._gone or subscription.state is State.ENDED or transport.get_write_buffer_size():
            return False
        data = self._viewer.take()
        if data:
            transport.write(b"%x\r\n%b\r\n" % (len(data), data))
        return not subscription.queued_bytes

    def _beat(self) -> None:
        """Ping now and then, and cut off a client that has stalled."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(PING_S, self._beat)
        if self._sending_since is None:
            self._viewer.ping()
        elif loop.time() - self._sending_since > TAIL_STALL_S and self._transport is not None:
            self._transport.abort()

    async def _leaving(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone = True
        self._viewer.wake()


def _bound_buffers(transport: asyncio.WriteTransport | None) -> None:
    """Have little wait for a slow client in the process and the kernel: what waits there cannot be shared."""
    if transport is None:
        return
    transport.set_write_buffer_limits(high=TAIL_SEND_BYTES)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, TAIL_SEND_BYTES)
