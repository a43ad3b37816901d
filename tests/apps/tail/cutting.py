"""A wire that breaks: it stands between clients and a server, and cuts connections after so many bytes, anywhere."""

from __future__ import annotations

import contextlib
import random
import socket
import struct
import threading

_AT_ONCE = 65_536
_RESET = struct.pack("ii", 1, 0)


class Cutting:
    """Passes bytes on to ``to`` (a port); ``cuts`` says how often it has cut a connection so far.

    Every ``bytes_mean`` bytes on average, at random, the connection that carries the byte is cut there: half of the
    cuts are a reset, the others look like an end. After ``cuts_max`` it only passes on.
    """

    def __init__(self, cuts_max: int, bytes_mean: int, seed: str) -> None:
        self.to = 0
        self.cuts = 0
        self._cuts_max = cuts_max
        self._bytes_mean = bytes_mean
        self._chance = random.Random(seed)
        self._left = self._draw()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()
        self._listener.close()

    def _draw(self) -> int:
        return self._chance.randrange(2 * self._bytes_mean)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._carry, args=(client,), daemon=True).start()

    def _carry(self, client: socket.socket) -> None:
        with client, socket.socket() as server:
            try:
                server.connect(("127.0.0.1", self.to))
            except OSError:
                return
            asking = threading.Thread(target=_pass_on, args=(client, server))
            asking.start()
            resets = False
            try:
                while data := server.recv(_AT_ONCE):
                    if self.cuts < self._cuts_max and len(data) > self._left:
                        last = data[: self._left]
                        self.cuts += 1
                        self._left = self._draw()
                        client.sendall(last)
                        resets = self._chance.random() < 0.5
                        break
                    self._left -= len(data)
                    client.sendall(data)
            except OSError:
                pass  # One of them is gone, so the other one goes too.
            # Whoever waits on a socket is woken first: a socket that is in use is not closed.
            if resets:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            _end(client, socket.SHUT_RD if resets else socket.SHUT_RDWR)
            _end(server, socket.SHUT_RDWR)
            asking.join()


def _pass_on(client: socket.socket, server: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := client.recv(_AT_ONCE):
            server.sendall(data)
    _end(server, socket.SHUT_RDWR)


def _end(one: socket.socket, how: int) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(how)
