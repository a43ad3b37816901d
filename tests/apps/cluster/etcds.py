"""Real etcd servers, each a process with a directory of its own, and a proxy before one whose connections can freeze."""

import base64
import contextlib
import json
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import urllib.error
import urllib.request

import pytest

from tests.apps.programs import until


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


class EtcdServer:
    """An etcd of one member; ``kill`` and ``start`` as often as one likes, on the same port."""

    def __init__(self, directory, *arguments, scheme="http"):
        self.directory = directory
        self.port, self._peer = free_port(), free_port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        self._arguments = arguments
        if shutil.which("etcd") is None:
            pytest.skip("etcd is not installed (Debian: apt install etcd-server)")
        self.start()

    def start(self):
        peer = f"http://127.0.0.1:{self._peer}"
        words = [
            *("etcd", "--data-dir", self.directory, "--unsafe-no-fsync", "--log-level", "error"),
            *("--listen-client-urls", self.url, "--advertise-client-urls", self.url),
            *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
            *("--initial-cluster", f"default={peer}", "--heartbeat-interval", "20", "--election-timeout", "200"),
        ]
        if subprocess.run(["etcd", "--help"], capture_output=True, check=False).stderr.find(b"unsafe-no-fsync") < 0:
            words.remove("--unsafe-no-fsync")
        with self.directory.with_suffix(".log").open("ab") as log:
            self.process = subprocess.Popen([*map(str, words), *map(str, self._arguments)], stdout=log, stderr=log)
        until(self._ready, 30)

    def _ready(self):
        """Tell whether it has a leader: one that is killed before it had its first does not find itself again."""
        assert self.process.poll() is None, self.directory.with_suffix(".log").read_text()
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        with contextlib.suppress(OSError):
            with urllib.request.urlopen(f"{self.url}/health", timeout=2, context=context) as answer:
                return json.load(answer)["health"] == "true"
        return False

    def kill(self):
        """End it as a loss of power would."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(20)

    def call(self, path, **message):
        """Return the answer of the gateway; waits while there is no leader yet."""
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(message).encode())

        def answer():
            try:
                with urllib.request.urlopen(request, timeout=2) as response:
                    return json.loads(response.read().partition(b"\n")[0])
            except urllib.error.HTTPError as error:
                assert error.code in (503, 504), error.read()
            except TimeoutError:
                pass  # its gateway was asked before it had found its own server
            return None

        return until(answer)

    def put(self, key, value):
        """Write a value (text, or what becomes JSON), and return its revision."""
        text = value if isinstance(value, str) else json.dumps(value)
        return int(self.call("kv/put", key=b64(key), value=b64(text))["header"]["revision"])

    def delete(self, key):
        self.call("kv/deleterange", key=b64(key))

    def get(self, key):
        """Return what a key holds as text, None when it is not there."""
        found = self.call("kv/range", key=b64(key)).get("kvs")
        return base64.b64decode(found[0].get("value", "")).decode() if found else None

    def json(self, key):
        text = self.get(key)
        return None if text is None else json.loads(text)

    def compact(self):
        """Forget all history."""
        revision = self.put("compacted", "now")
        self.call("kv/compaction", revision=str(revision), physical=True)


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Freezing:
    """Passes to a port. ``freeze`` has what is open stay so, and silent for ever; new connections are not touched."""

    def __init__(self, behind, port=0):
        self._behind = behind
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._turn = 0
        self.connections = 0
        self._open = []
        threading.Thread(target=self._accept, daemon=True).start()

    def freeze(self):
        self._turn += 1

    def close(self):
        """Break what is open, and let nobody in any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._open:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._behind))
                self._open += [near, far]
                self.connections += 1
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=self._pass, args=(*pair, self._turn), daemon=True).start()

    def _pass(self, source, sink, turn):
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                if self._turn == turn:
                    sink.sendall(data)
            if self._turn == turn:
                sink.shutdown(socket.SHUT_WR)
