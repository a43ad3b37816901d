"""etcd, spoken to through its JSON gateway."""

import contextlib
import json
import ssl
import subprocess
import urllib.error
import urllib.request
from base64 import b64decode, b64encode

from tests.servers.program import Program, installed


class KeyValues:
    """An etcd that runs at ``url``."""

    def __init__(self, url):
        self.url = url

    def call(self, path, **body):
        """Make a call of the gateway, like ``call("kv/range", key="Zm9v")``; return its answer. Bytes are Base64."""
        request = urllib.request.Request(f"{self.url}/v3/{path}", json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read().partition(b"\n")[0])

    @property
    def port(self):
        return int(self.url.rpartition(":")[2])

    def put(self, key, value):
        """Write text, or what becomes JSON, and return its revision."""
        text = value if isinstance(value, str) else json.dumps(value)
        return int(self.call("kv/put", key=base64(key), value=base64(text))["header"]["revision"])

    def delete(self, key):
        self.call("kv/deleterange", key=base64(key))

    def get(self, key):
        """Return what a key holds as text, None when it is not there."""
        found = self.call("kv/range", key=base64(key)).get("kvs")
        return b64decode(found[0].get("value", "")).decode() if found else None

    def json(self, key):
        text = self.get(key)
        return None if text is None else json.loads(text)

    def compact(self):
        """Forget all history."""
        self.call("kv/compaction", revision=str(self.put("compacted", "now")), physical=True)


def base64(text):
    return b64encode(text.encode()).decode()


class Etcd(Program, KeyValues):
    """A server of a test's own. ``arguments`` are those of `etcd`."""

    def __init__(self, run, directory, *arguments, scheme="http"):
        self.url = f"{scheme}://127.0.0.1:{run.port()}"
        peer = f"http://127.0.0.1:{run.port()}"
        where = ("--listen-client-urls", self.url, "--advertise-client-urls", self.url, "--listen-peer-urls", peer)
        member = ("--name", "one", "--initial-advertise-peer-urls", peer, "--initial-cluster", f"one={peer}")
        place = ("--data-dir", directory / "data", "--unsafe-no-fsync")
        hurry = ("--heartbeat-interval", "20", "--election-timeout", "200")
        super().__init__(
            run, "etcd", directory, [installed("etcd", "etcd-server"), *place, *hurry, *where, *member, *arguments]
        )

    def start(self):
        super().start()
        self.until(self._leads)

    def _leads(self):
        """Say whether it has a leader: one that is killed before it had its first never finds itself again."""
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        health = f"{self.url}/health"
        with contextlib.suppress(OSError), urllib.request.urlopen(health, timeout=2, context=context) as answer:
            return json.load(answer)["health"] == "true"
        return False


def start(run, directory):
    """Start the one that all tests share."""
    said = subprocess.run([installed("etcd", "etcd-server"), "--version"], capture_output=True, text=True, check=True)
    return {"url": Etcd(run, directory).url, "version": said.stdout.split()[2]}
