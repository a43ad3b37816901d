"""Thousands of clients of a tail in one cheap process: raw sockets, no parsing, a sample of them with stamps.

Each line that a bench writes has one `~` with the time in ns behind it. A client counts the `~`, which cannot be torn:
it knows exactly how many lines it has. Some clients, the sample, are read the moment something comes, and measure. The
others are drained every SWEEP_S, so that reading them costs little beside the server, which is on the same machine:
what waits meanwhile fits in the socket, and the server writes as it does to any client.
"""

import re
import resource
import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlencode

SWEEP_S = 0.5
OPEN_AT_ONCE = 100
DONE_S_MAX = 30
_STAMP = re.compile(rb"~(\d{19})")


@dataclass(eq=False)
class Viewer:
    """One client; ``kept`` is all that it was sent, when it keeps that."""

    socket: socket.socket
    keeps: bool = False
    lines: int = 0
    rest: bytes = b""
    kept: bytearray = field(default_factory=bytearray)


class Viewers:
    """Clients of one server; see the head of this module."""

    def __init__(self, port: int, queries: list[str], *, sample: int = 100, keep: bool = False) -> None:
        """Open a tail for each query; returns when each of them has its first ping."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, len(queries) + 200)), hard))
        self.delays_ms: list[float] = []
        self.every: list[Viewer] = []
        self._buffer = bytearray(1 << 20)
        self._epoll = select.epoll()
        for first in range(0, len(queries), OPEN_AT_ONCE):
            some = [connected(port, query) for query in queries[first : first + OPEN_AT_ONCE]]
            for one in some:
                data = b""
                while b"event: ping" not in data:
                    data += one.recv(65536)
                one.setblocking(False)
                self.every.append(Viewer(one, keep, kept=bytearray(data)))
        step = max(1, len(self.every) // sample)
        self._sample = {viewer.socket.fileno(): viewer for viewer in self.every[::step]}
        self._others = [viewer for viewer in self.every if viewer.socket.fileno() not in self._sample]
        for number in self._sample:
            self._epoll.register(number, select.EPOLLIN)
        self._swept = time.perf_counter()
        self._at = 0

    def watch(self, write: Callable[[int], None], count: int, rate: float) -> None:
        """Call ``write`` with 0 .. count-1, ``rate`` times per second, and read meanwhile."""
        began = time.perf_counter()
        for number in range(count):
            while (left := began + number / rate - time.perf_counter()) > 0:
                self._turn(left)
            write(number)

    def until(self, lines: int) -> float:
        """Read until each client has ``lines``, or DONE_S_MAX; return the seconds that took."""
        began = time.perf_counter()
        while min(viewer.lines for viewer in self.every) < lines and time.perf_counter() - began < DONE_S_MAX:
            self._turn(0.005)
        return time.perf_counter() - began

    def read_for(self, seconds: float) -> None:
        """Read for so long."""
        end = time.perf_counter() + seconds
        while (left := end - time.perf_counter()) > 0:
            self._turn(left)

    def close(self) -> None:
        """Leave."""
        self._epoll.close()
        for viewer in self.every:
            viewer.socket.close()

    def percentile(self, percent: float) -> float:
        """Return a percentile of the delays, in ms."""
        return sorted(self.delays_ms)[int(len(self.delays_ms) * percent / 100)]

    def _turn(self, seconds: float) -> None:
        for number, _ in self._epoll.poll(min(seconds, 0.01)):
            self._measure(self._sample[number])
        now = time.perf_counter()
        due = min(int((now - self._swept) / SWEEP_S * len(self._others)), len(self._others))
        if due:
            self._swept = now
            for turn in range(due):
                self._drain(self._others[(self._at + turn) % len(self._others)])
            self._at += due

    def _measure(self, viewer: Viewer) -> None:
        size = viewer.socket.recv_into(self._buffer)  # a new buffer for each would be measured, too
        now_ns = time.time_ns()
        if not size:
            raise ConnectionError("the server closed a tail")
        data = bytes(memoryview(self._buffer)[:size])
        viewer.lines += data.count(b"~")
        if viewer.keeps:
            viewer.kept += data
        data = viewer.rest + data
        end = 0
        for stamp in _STAMP.finditer(data):
            self.delays_ms.append((now_ns - int(stamp[1])) / 1e6)
            end = stamp.end()
        viewer.rest = data[end:][-24:]

    def _drain(self, viewer: Viewer) -> None:
        try:
            size = viewer.socket.recv_into(self._buffer)
        except BlockingIOError:
            return
        if not size:
            raise ConnectionError("the server closed a tail")
        viewer.lines += self._buffer.count(b"~", 0, size)
        if viewer.keeps:
            viewer.kept += self._buffer[:size]


def connected(port: int, query: str, *, receive_bytes: int | None = None) -> socket.socket:
    """Ask for a tail; the answer is not read yet."""
    one = socket.socket()
    if receive_bytes is not None:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    one.settimeout(60)
    one.connect(("127.0.0.1", port))
    target = "/api/v1/tail?" + urlencode({"q": query})
    one.sendall(f"GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode())
    return one
