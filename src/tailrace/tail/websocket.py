"""WebSocket (RFC 6455): the frames of a tail as text messages, and what its client says.

A message is a JSON object that names its ``event``, as in a long-poll. What a server sends is not masked and nothing is
compressed, so the bytes of a message are the same for every client: they are made once and written past the library,
which keeps the rules of the protocol for what comes in (masks, fragments, control frames, sizes, the close handshake).

What clients say waits in the socket: one message is taken from it at a time, once the answer to the one before was
handed over, and nothing is read from a client that does not take what it is sent.

At the end of the tail its ``end`` message is followed by a close frame, and the client's closes the connection. Bytes
that break the protocol (too long, not masked) are answered with the close code that RFC 6455 names for it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from websockets.datastructures import Headers
from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import SERVER, Protocol, State
from websockets.server import ServerProtocol

from tailrace import frame as frames
from tailrace.limits import TAIL_MESSAGE_BYTES_MAX
from tailrace.tail import poll
from tailrace.tail.connection import Connection, Connections
from tailrace.tail.conversation import Conversation


def encode(frame: frames.Frame) -> bytes:
    """Return a frame as one message."""
    return message(poll.encode(frame))


def message(text: bytes) -> bytes:
    """Return UTF-8 text as one message."""
    return Frame(Opcode.TEXT, text).serialize(mask=False)


def handshake(http_version: str, headers: Iterable[tuple[str, str]]) -> tuple[int, dict[str, str], str]:
    """Return status, headers and (unless the status is 101) the reason of the answer to a request to upgrade."""
    if http_version != "1.1":
        return 426, {"upgrade": "websocket"}, f"HTTP/{http_version} has no WebSockets"
    asked = ServerProtocol()
    answer = asked.accept(Request("", Headers(headers)))
    kept = ("upgrade", "connection", "sec-websocket-accept") if answer.status_code == 101 else ("upgrade",)
    given = {name: answer.headers[name] for name in kept if name in answer.headers}
    return answer.status_code, given, str(asked.handshake_exc or "")


class WebSocket(Connection):
    """The connection of one client."""

    __slots__ = ("_conversation", "_fragments", "_hearing", "_messages", "_protocol")

    def __init__(self, connections: Connections, conversation: Conversation) -> None:
        """Serve ``conversation``, which was opened with ``encode`` and ``message``."""
        super().__init__(connections, conversation)
        self._conversation = conversation
        self._protocol = Protocol(SERVER, max_size=TAIL_MESSAGE_BYTES_MAX)
        self._fragments = b""
        self._messages: deque[bytes] = deque()
        self._hearing = False

    def finish(self) -> None:
        """Say that it is over; the client's answer closes the connection."""
        self._messages.clear()
        self.transport.resume_reading()
        if self._protocol.state is State.OPEN:
            code = CloseCode.TRY_AGAIN_LATER if self._conversation.over else CloseCode.GOING_AWAY
            self._protocol.send_close(CloseCode.POLICY_VIOLATION if self._conversation.misspoke else code)
            self._write_own()

    def data_received(self, data: bytes) -> None:
        """Take in what the client says; messages wait for their turn."""
        self._protocol.receive_data(data)
        for frame in self._protocol.events_received():
            if isinstance(frame, Frame) and frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                self._fragments += frame.data
                if frame.fin:
                    self._messages.append(self._fragments)
                    self._fragments = b""
        self._write_own()
        if self._protocol.state is not State.OPEN:
            self._shut()
        elif self._messages and self._open:
            self.transport.pause_reading()
            self._hear_soon()

    def flush(self) -> None:
        """Hand over what is queued, and hear what waits."""
        super().flush()
        self._hear_soon()

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not take what it is sent."""
        super().pause_writing()
        if self._open:
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on with both."""
        super().resume_writing()
        self._read_on()

    def _hear_soon(self) -> None:
        # One message in each turn of the loop: who sends thousands at once waits with those who send one.
        if self._messages and self._open and not self._hearing:
            self._hearing = True
            asyncio.get_running_loop().call_soon(self._hear)

    def _hear(self) -> None:
        self._hearing = False
        if self._open and not self._paused and self._conversation.listening:
            self._conversation.hear(self._messages.popleft())
            self._read_on()
            self._hear_soon()

    def _read_on(self) -> None:
        if self._open and not self._paused and not self._messages:
            self.transport.resume_reading()

    def _write_own(self) -> None:
        """Write what the protocol itself has to say: pongs, the close frame, and the end of the connection."""
        for data in self._protocol.data_to_send():
            if data:
                self.transport.write(data)
            else:
                self.transport.close()


class Refusal(Connection):
    """The connection of a client that may have no tail now: its ``end`` and a close frame; it cannot see a status."""

    __slots__ = ()

    def __init__(self, connections: Connections, end: frames.End) -> None:
        """Say ``end``."""
        super().__init__(connections, _Said(encode(end)))

    def finish(self) -> None:
        """Have the client try again later; its answer closes the connection."""
        reason = Close(CloseCode.TRY_AGAIN_LATER, "").serialize()
        self.transport.write(Frame(Opcode.CLOSE, reason).serialize(mask=False))

    def data_received(self, data: bytes) -> None:  # noqa: ARG002 - whatever it says, there is nothing to talk about
        """Close."""
        self.transport.close()


class _Said:
    """A source that has one thing to say."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    @property
    def ended(self) -> bool:
        return True

    def listen(self, on_news: Callable[[], object]) -> None:
        """There are no news."""

    def take(self) -> bytes:
        data, self._data = self._data, b""
        return data

    def ping(self) -> None:
        """There is no more to say."""

    def close(self) -> None:
        """There is nothing to give up."""
