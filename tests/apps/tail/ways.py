"""The ways out of a tail as clients that come back: each notes the numbers of the lines that it was given, in order.

A line ends with ``line NUMBER``. A client believes only what is whole: an event with its end, an answer with all its
bytes. It comes back with the newest checkpoint that it has believed.
"""

from __future__ import annotations

import http.client
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from tests.apps.programs import TAILRACE, environment

_NUMBER = re.compile(rb'line (\d+)"')
_FRAME = re.compile(rb'"event":"(gap|end|ping|rows)"')
_RETRY_S = 0.02
_TIMEOUT_S = 30


class Way(threading.Thread):
    """One client; ``numbers`` grows until ``last`` is among them. ``gaps`` has what was said to be missing."""

    def __init__(self, port: int, after: str, last: int) -> None:
        super().__init__(daemon=True)
        self.port = port
        self.after = after
        self.last = last
        self.numbers: list[int] = []
        self.gaps: list[bytes] = []
        self.comebacks = -1

    def run(self) -> None:
        while not self.done:
            self.comebacks += 1
            try:
                self.watch()
            except (OSError, http.client.HTTPException):
                time.sleep(_RETRY_S)  # The server is away, or the wire is cut.

    @property
    def done(self) -> bool:
        return bool(self.numbers) and self.numbers[-1] >= self.last

    def watch(self) -> None:
        """Read over one connection until it ends, or all is there."""
        raise NotImplementedError

    def stop(self) -> None:
        """Leave, wherever it stands."""
        self.last = -1
        self.numbers.append(0)

    @contextmanager
    def get(self, target: str, **headers: str) -> Iterator[http.client.HTTPResponse]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_TIMEOUT_S)
        try:
            connection.request("GET", target, headers={name.replace("_", "-"): text for name, text in headers.items()})
            with connection.getresponse() as answer:
                if answer.status != 200:
                    raise http.client.HTTPException(f"{answer.status}")
                yield answer
        finally:
            connection.close()

    def believe(self, kind: bytes, data: bytes, checkpoint: bytes) -> None:
        """Take over what one whole frame says."""
        if kind == b"rows":
            self.numbers += map(int, _NUMBER.findall(data))
        elif kind == b"gap":
            self.gaps.append(data)
        self.after = checkpoint.decode()


class Events(Way):
    """Server-sent events, resumed by ``Last-Event-ID``."""

    def watch(self) -> None:
        with self.get("/api/v1/tail", Last_Event_ID=self.after) as answer:
            waiting = b""
            while not self.done:
                data = answer.read1(1 << 20)
                if not data:
                    return
                *events, waiting = (waiting + data).split(b"\n\n")
                for event in events:
                    fields = dict(line.split(b": ", 1) for line in event.split(b"\n"))
                    if b"id" in fields:
                        self.believe(fields[b"event"], fields[b"data"], fields[b"id"])


class Polls(Way):
    """Long-polls, resumed by ``next``."""

    def watch(self) -> None:
        with self.get(f"/api/v1/tail/poll?after={self.after}&wait=5") as answer:
            body = answer.read()
        assert body.endswith(b'"}'), body[-80:]
        checkpoint = body[body.rindex(b'"next":"') + 8 : -2]
        frames = [kind for kind in _FRAME.findall(body) if kind != b"rows"]
        assert not frames or b"line" not in body, frames
        self.believe(b"rows" if not frames else frames[0], body, checkpoint)


class Sockets(Way):
    """WebSocket messages, resumed by ``after``."""

    def watch(self) -> None:
        url = f"ws://127.0.0.1:{self.port}/api/v1/tail/ws?after={self.after}"
        try:
            with connect(url, compression=None, max_size=None, open_timeout=_TIMEOUT_S, close_timeout=0) as socket:
                while not self.done:
                    message = socket.recv(_TIMEOUT_S, decode=False)
                    said = msgspec.json.decode(message, type=Said)
                    self.believe(said.event.encode(), message, (said.next or said.checkpoint or said.to).encode())
        except WebSocketException as error:
            raise ConnectionError from error


class Said(msgspec.Struct):
    """What a message says beside its records."""

    event: str
    next: str = ""
    checkpoint: str = ""
    to: str = ""


class Command(Way):
    """``tailrace tail``, which comes back by itself."""

    def run(self) -> None:
        command = ["tail", "--after", self.after, "--output", "raw", "--server", f"http://127.0.0.1:{self.port}"]
        with subprocess.Popen(
            [*TAILRACE, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()
        ) as self.running:
            assert self.running.stdout
            assert self.running.stderr
            said = threading.Thread(target=self._listen, args=(self.running.stderr,))
            said.start()
            for line in self.running.stdout:
                self.numbers.append(int(line.rpartition(b" ")[2]))
                if self.done:
                    break
            self.running.kill()
            said.join()

    def stop(self) -> None:
        self.running.kill()

    def _listen(self, said: object) -> None:
        for line in said:  # pyright: ignore[reportGeneralTypeIssues]
            self.comebacks += b"connected again" in line
            if b"GAP" in line:
                self.gaps.append(line)


WAYS: dict[str, type[Way]] = {"sse": Events, "websocket": Sockets, "poll": Polls, "cli": Command}
