"""A real proxy before a real server, that misbehaves as it is told."""

import contextlib
import socket
import threading
import time


class Proxy:
    """Passes bytes to ``port`` and back. ``mode`` is what it does with connections that come from now on:

    - pass
    - cut: each is broken after ``cut_bytes``
    - deaf: what is posted arrives, its answer is lost (HTTP)
    - slow, trickle: calls, or answers, come a byte at a time
    - late: every block of bytes comes ``delay_s`` later
    - narrow: ``bytes_per_s`` in each direction, at most
    - stall: accepted, and then silence
    - hole: silence also on those that are open, which stay so (a cable that was pulled out)
    - forget: silence for ever on those that are open, and nothing with new ones (a firewall that has lost its table)
    - refuse: nobody listens
    - bytes: what every connection is answered with

    ``turn`` breaks those that are open, except into a hole, and those that were forgotten.
    """

    def __init__(self, port, address=("127.0.0.1", 0)):
        self.port = port
        self.mode = "pass"
        self.cut_bytes = 1000
        self.delay_s = 0.1
        self.bytes_per_s = 10_000
        self.connections = 0
        self.lost = 0
        self.calls_s = []
        self._open = []
        self._through = threading.Event()
        self._through.set()
        self._closed = False
        self.address = address
        self._listen()
        self.url = f"http://{self.address[0]}:{self.address[1]}"

    def turn(self, mode):
        """Behave so from now on."""
        before, self.mode = self.mode, mode
        if mode == "hole":
            self._through.clear()
            return
        if mode == "forget":
            self._through.clear()
            self._through = threading.Event()
            self._through.set()
            return
        if mode == "refuse":
            self._stop_listening()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
        self._open = []
        self._through.set()
        if before == "refuse" and mode != "refuse" and not self._closed:
            self._listen()

    def mend(self):
        """Behind a hole, go on with what is open: the cable is back in."""
        self.mode = "pass"
        self._through.set()

    def close(self):
        self._closed = True
        self._stop_listening()
        self.turn("pass")

    def _listen(self):
        self._listener = socket.create_server(self.address)
        self.address = self._listener.getsockname()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def _stop_listening(self):
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that accepts, which keeps it open otherwise
        self._listener.close()

    def _accept(self, listener):
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self.calls_s.append(time.monotonic())
            self._open.append(one)
            threading.Thread(target=self._serve, args=(one, self.mode), daemon=True).start()

    def _serve(self, one, mode):
        with contextlib.suppress(OSError), one:
            if isinstance(mode, bytes):
                one.recv(65_536)
                one.sendall(mode)
                one.shutdown(socket.SHUT_WR)
                while one.recv(65_536):
                    pass
                return
            if mode == "stall":
                while one.recv(65_536):
                    pass
                return
            with socket.create_connection(("127.0.0.1", self.port)) as other:
                self._open.append(other)
                posted = threading.Event() if mode == "deaf" else None
                through = self._through
                back = threading.Thread(target=self._answer, args=(other, one, mode, posted, through), daemon=True)
                back.start()
                self._call(one, other, mode, posted, through)
                back.join()

    def _call(self, source, sink, mode, posted, through):
        passed = 0
        cut_bytes = self.cut_bytes if mode == "cut" else None
        with contextlib.suppress(OSError):
            while data := source.recv(64 if mode == "slow" else 65_536):
                if posted and data.startswith(b"POST"):
                    posted.set()
                passed += len(data)
                if cut_bytes is not None and passed > cut_bytes:
                    sink.sendall(data[: -(passed - cut_bytes)])
                    source.shutdown(socket.SHUT_RDWR)
                    break
                self._send(sink, data, mode, mode == "slow", through)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR if cut_bytes is None else socket.SHUT_RDWR)

    def _answer(self, source, sink, mode, posted, through):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if posted and posted.is_set():
                    self.lost += 1
                    sink.shutdown(socket.SHUT_RDWR)
                    return
                self._send(sink, data, mode, mode == "trickle", through)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)

    def _send(self, sink, data, mode, slowly, through):
        """Pass a block on; that it waits is what the proxy does, not what a test waits for."""
        through.wait()
        if mode == "late":
            time.sleep(self.delay_s)
        size = 1 if slowly else max(1, self.bytes_per_s // 50) if mode == "narrow" else len(data)
        for at in range(0, len(data), size):
            sink.sendall(data[at : at + size])
            if size < len(data):
                time.sleep(0.02)
