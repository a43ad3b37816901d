"""etcd, spoken to through its JSON gateway."""

import json
import subprocess
import urllib.request

from tests.servers.program import Program, installed, listens


class KeyValues:
    """An etcd that runs at ``url``."""

    def __init__(self, url):
        self.url = url

    def call(self, path, **body):
        """Make a call of the gateway, like ``call("kv/range", key="Zm9v")``; return its answer. Bytes are Base64."""
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)


class Etcd(Program, KeyValues):
    """A server of a test's own. ``arguments`` are those of `etcd`."""

    def __init__(self, run, directory, *arguments, scheme="http"):
        self.port = run.port()
        self.url = f"{scheme}://127.0.0.1:{self.port}"
        peer = f"http://127.0.0.1:{run.port()}"
        where = ("--listen-client-urls", self.url, "--advertise-client-urls", self.url, "--listen-peer-urls", peer)
        member = ("--name", "one", "--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}")
        place = ("--data-dir", directory / "data", "--unsafe-no-fsync")
        super().__init__(
            run, "etcd", directory, [installed("etcd", "etcd-server"), *place, *where, *member, *arguments]
        )

    def start(self):
        super().start()
        self.until(lambda: listens(self.port))


def start(run, directory):
    """Start the one that all tests share."""
    said = subprocess.run([installed("etcd", "etcd-server"), "--version"], capture_output=True, text=True, check=True)
    return {"url": Etcd(run, directory).url, "version": said.stdout.split()[2]}
