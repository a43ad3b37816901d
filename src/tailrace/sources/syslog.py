r"""Syslog over UDP, TCP and TLS: what devices and other machines send becomes records.

    udp://HOST:PORT   a datagram is a message (RFC 5426, RFC 3164)
    tcp://HOST:PORT   octet counting (``LENGTH SP MESSAGE``) or a newline or NUL behind each message, told apart frame
                      by frame (RFC 6587)
    tls://HOST:PORT   the same inside TLS (RFC 5425), with the certificate and key of the configuration

One thread with an event loop of its own receives; what came within SYSLOG_FLUSH_S is understood and appended together,
one batch of lines for each peer. While the bus has no room the thread waits: TCP senders are slowed down by their
windows, and what the kernel then drops of UDP is counted (the ``drops`` of /proc/net/udp): nobody else can know.

There is no place to read again from, so a record has no origin: what was received is on disk some milliseconds later,
and a crash costs what came within them (and what a TCP sender believes to have delivered: the protocol has no
acknowledgement).

Bounds: SYSLOG_CONNECTIONS_MAX connections; a message longer than SYSLOG_MESSAGE_BYTES_MAX goes on as the next record.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import ssl
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa

from tailrace.bus import Bus
from tailrace.errors import ConfigError, Refused
from tailrace.limits import (
    MIB,
    STOP_SECONDS_MAX,
    SYSLOG_BURST_DATAGRAMS,
    SYSLOG_CONNECTIONS_MAX,
    SYSLOG_FLUSH_S,
    SYSLOG_MESSAGE_BYTES_MAX,
    SYSLOG_PENDING_BYTES_MAX,
)
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline
from tailrace.record import Batch, Origin, Stream
from tailrace.sources.intake import Intake, SourceStatus

_READ_BYTES = 256 * 1024
_DATAGRAM_BYTES_MAX = 65_535
_RECEIVE_BUFFER_BYTES = 8 * MIB
_COUNT_DIGITS_MAX = 8
_ENDS = b"\r\n\0"  # many senders count the newline, too
_DROPS_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen: ``scheme`` is udp, tcp or tls; ``host`` an IP address or a name of this machine."""

    scheme: str
    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Address:
        """Read ``udp://HOST:PORT``. Raises ConfigError."""
        cure = "Write udp://HOST:PORT, tcp://HOST:PORT or tls://HOST:PORT, like udp://0.0.0.0:514."
        try:
            parts = urlsplit(text)
            scheme, host, port = parts.scheme, parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"{text!r} is no address for syslog: {error}", cure=cure) from error
        if scheme not in ("udp", "tcp", "tls") or not host or port is None or parts.path or parts.query:
            raise ConfigError(f"{text!r} is no address for syslog", cure=cure)
        return Address(scheme, host, port)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


@dataclass(slots=True)
class Frames:
    """Takes the bytes of one connection apart; ``feed`` gives the messages that are complete."""

    _rest: bytes = b""
    _counted: int = field(default=0)

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that end in ``data``. Raises ValueError for a count that is none."""
        # A Python loop over messages where the sender counts: each has a length of its own (about 0.5 us).
        buffer = self._rest + data
        messages: list[bytes] = []
        place = 0
        while place < len(buffer):
            if self._counted:
                piece = min(self._counted, SYSLOG_MESSAGE_BYTES_MAX)
                if len(buffer) - place < piece:
                    break
                messages.append(buffer[place : place + piece].rstrip(_ENDS))
                self._counted -= piece
                place += piece
            elif 48 < buffer[place] < 58:
                space = buffer.find(b" ", place, place + _COUNT_DIGITS_MAX + 1)
                if space < 0:
                    if len(buffer) - place > _COUNT_DIGITS_MAX:
                        raise ValueError(f"a message cannot begin with {buffer[place : place + 16]!r}")
                    break
                self._counted = int(buffer[place:space])
                place = space + 1
            else:
                taken = self._lines(buffer, place, messages)
                if not taken:
                    break
                place += taken
        self._rest = buffer[place:]
        return messages

    def _lines(self, buffer: bytes, place: int, messages: list[bytes]) -> int:
        """Take one message that ends with a newline or NUL, or a piece of one that is too long."""
        end = min((e for e in (buffer.find(b"\n", place), buffer.find(b"\0", place)) if e >= 0), default=-1)
        if end < 0 and len(buffer) - place < SYSLOG_MESSAGE_BYTES_MAX:
            return 0
        if end < 0 or end - place > SYSLOG_MESSAGE_BYTES_MAX:
            messages.append(buffer[place : place + SYSLOG_MESSAGE_BYTES_MAX])
            return SYSLOG_MESSAGE_BYTES_MAX
        message = buffer[place:end].removesuffix(b"\r")
        if message:
            messages.append(message)
        return end + 1 - place

    def end(self) -> list[bytes]:
        """Return what came last, without its end."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class Syslog:
    """Listens on ``addresses`` from ``start`` until ``stop``."""

    def __init__(
        self, bus: Bus, addresses: Sequence[str], *, pipeline: Pipeline, certificate: str = "", key: str = ""
    ) -> None:
        """Bind; ``certificate`` and ``key`` are PEM files, for TLS. Raises ConfigError, Refused."""
        self._intake = Intake(bus)
        self._pipeline = pipeline
        self._pending: dict[str, list[bytes]] = {}
        self._pending_bytes = 0
        self._flush_due = False
        self._connections = 0
        self._lost = 0
        self._error = ""
        self._sockets: list[tuple[Address, socket.socket]] = []
        self.addresses = [Address.parse(text) for text in addresses]
        self._tls = _tls(certificate, key) if any(one.scheme == "tls" for one in self.addresses) else None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), name="syslog", daemon=True)
        self._running = threading.Event()
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        try:
            for place, address in enumerate(self.addresses):
                listener = _bound(address)
                self._sockets.append((address, listener))
                port = listener.getsockname()[1]
                self.addresses[place] = Address(address.scheme, address.host, port)
        except Refused:
            self._close()
            raise

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()
        self._running.wait()

    def stop(self) -> None:
        """Stop receiving; what was received is appended first, if there is room."""
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with contextlib.suppress(RuntimeError):  # it has ended already
                loop.call_soon_threadsafe(stop.set)
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS_MAX)
            self._intake.stop()  # there was no room for what came last
            self._thread.join()
        self._close()

    @property
    def receive_buffer_bytes(self) -> int:
        """What the kernel keeps of datagrams, at most, on each address."""
        return max(one.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) for _, one in self._sockets)

    def status(self) -> SourceStatus:
        """Return how it is doing. From any thread."""
        error = self._intake.error or self._error
        if self._lost:
            error = error or f"the kernel had to drop {self._lost} datagrams: more came than could be taken"
        name = " ".join(map(str, self.addresses))
        return SourceStatus(name, "failing" if error else "reading", self._intake.lines, self._lost, error)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        self._running.set()
        servers: list[asyncio.Server] = []
        datagrams = [one for address, one in self._sockets if address.scheme == "udp"]
        for address, listener in self._sockets:
            if address.scheme == "udp":
                self._loop.add_reader(listener, self._datagrams, listener)
            else:
                context = self._tls if address.scheme == "tls" else None
                servers.append(await asyncio.start_server(self._connection, sock=listener, ssl=context))
        before = sum(map(_drops, datagrams))
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), _DROPS_EVERY_S)
            now = sum(map(_drops, datagrams))
            self._lost += max(0, now - before)
            before = now
        for listener in datagrams:
            self._datagrams(listener)
            self._loop.remove_reader(listener)
        for server in servers:
            server.close()
        self._flush()

    def _datagrams(self, listener: socket.socket) -> None:
        # A Python loop over datagrams: each is a call to the kernel anyway (about 1.5 us).
        for _ in range(SYSLOG_BURST_DATAGRAMS):
            try:
                data, peer = listener.recvfrom(_DATAGRAM_BYTES_MAX)
            except (BlockingIOError, ConnectionError):
                break
            if message := data.rstrip(_ENDS):
                self._take(peer[0], [message])

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._connections >= SYSLOG_CONNECTIONS_MAX:
            self._error = f"{self._connections} syslog connections are open; one more was refused"
            writer.close()
            return
        self._connections += 1
        peer = str(writer.get_extra_info("peername")[0])
        frames = Frames()
        try:
            while data := await reader.read(_READ_BYTES):
                self._take(peer, frames.feed(data))
            self._error = ""
        except ValueError as error:
            self._error = f"{peer}: {error}"
        except (ConnectionError, ssl.SSLError) as error:
            self._error = f"{peer}: {error}"
        finally:
            self._take(peer, frames.end())
            self._connections -= 1
            writer.close()

    def _take(self, peer: str, messages: list[bytes]) -> None:
        if not messages:
            return
        self._pending.setdefault(peer, []).extend(messages)
        self._pending_bytes += sum(map(len, messages))
        if self._pending_bytes > SYSLOG_PENDING_BYTES_MAX:
            self._flush()
        elif not self._flush_due:
            assert self._loop is not None
            self._flush_due = True
            self._loop.call_later(SYSLOG_FLUSH_S, self._flush)

    def _flush(self) -> None:
        """Append what has come; waits, and receives nothing, while there is no room."""
        self._flush_due = False
        pending, self._pending = self._pending, {}
        self._pending_bytes = 0
        batches = [self._batch(peer, messages) for peer, messages in pending.items()]
        if batches:
            self._intake.append(Batch.concat(batches))

    def _batch(self, peer: str, messages: list[bytes]) -> Batch:
        rows = len(messages)
        stream = Stream.of({"source": "syslog", "host": peer.removeprefix("::ffff:")})
        origin = Origin("", 0, rows, rows)
        positions = np.arange(rows, dtype=np.int64)
        lines = Lines(pa.array(messages, pa.binary()), positions, stream, time.time_ns(), origin)
        return Batch(self._pipeline.process(lines).columns)

    def _close(self) -> None:
        for _, listener in self._sockets:
            listener.close()


def _bound(address: Address) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    kind = socket.SOCK_DGRAM if address.scheme == "udp" else socket.SOCK_STREAM
    listener = socket.socket(family, kind)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if kind == socket.SOCK_DGRAM:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_BYTES)
        listener.setblocking(False)
        listener.bind((address.host, address.port))
        if kind == socket.SOCK_STREAM:
            listener.listen(128)
    except OSError as error:
        listener.close()
        cure = "Ports below 1024 need root or CAP_NET_BIND_SERVICE; is another syslog daemon listening there?"
        raise Refused(f"cannot listen on {address}: {error.strerror or error}", cure=cure) from error
    return listener


def _tls(certificate: str, key: str) -> ssl.SSLContext:
    if not certificate or not key:
        raise ConfigError("syslog over tls needs a certificate and a key", cure="Name collect.syslog_cert and _key.")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(Path(certificate), Path(key))
    except (OSError, ssl.SSLError) as error:
        cure = "Both are PEM files, and the key belongs to the certificate."
        raise ConfigError(f"{certificate} and {key} cannot be used: {error}", cure=cure) from error
    return context


def _drops(listener: socket.socket) -> int:
    """Return how many datagrams the kernel dropped because the socket's buffer was full."""
    inode = str(os.fstat(listener.fileno()).st_ino)
    table = "/proc/net/udp6" if listener.family == socket.AF_INET6 else "/proc/net/udp"
    try:
        rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
    except OSError:
        return 0  # a system without /proc does not tell
    return sum(int(row[-1]) for row in rows if row[9] == inode)
