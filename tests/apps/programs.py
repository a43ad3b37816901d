"""Real processes: `tailrace serve` or `up` on a port of its own, with a data directory of its own."""

import http.client
import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

TAILRACE = [sys.executable, "-m", "tailrace.cli"]


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    return {**kept, "NO_COLOR": "1", **more}


def tailrace(*arguments, server=None, stdin=b"", **more):
    """Run a command to its end."""
    if server is not None:
        more["TAILRACE_SERVER"] = server.url
    return subprocess.run(  # noqa: PLW1510 - how it ends is what the tests look at
        [*TAILRACE, *map(str, arguments)], input=stdin, capture_output=True, env=environment(**more), timeout=60
    )


class Server:
    """A process that serves; ends with its test."""

    def __init__(self, directory: Path, *arguments, command="serve", stdin=None, under=(), **more):
        """``under`` is a command that runs it with other rights or limits, like ``prlimit --nofile=100``."""
        self.directory = directory
        self.log = directory.with_suffix(".stderr")
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*under, *TAILRACE, command, "--data", directory, "--listen", "127.0.0.1:0", *map(str, arguments)],
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(**more),
            )
        self.said = []
        assert self.process.stdout
        while not self.said or not re.search(r"http://\S+$", self.said[-1]):
            line = self.process.stdout.readline().decode().rstrip("\n")
            if not line and self.process.wait(20) is not None:
                self.process.stdout.close()
                raise AssertionError(self.log.read_text())
            self.said.append(line)
        self.url = self.said[-1].rpartition(" ")[2]
        self.port = int(self.url.rpartition(":")[2])

    def call(self, method, path, parameters=None, *, body=None, **headers):
        """Make a call; return status, headers, body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            target = path + ("?" + urlencode(parameters) if parameters else "")
            connection.request(method, target, body, {name.replace("_", "-"): text for name, text in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path, **parameters):
        """Return the JSON of an answer that must be good."""
        status, _, body = self.call("GET", path, {name.rstrip("_"): value for name, value in parameters.items()})
        assert status == 200, body
        return json.loads(body)

    def push(self, body, *, kind="application/x-ndjson", parameters=None, **headers):
        """Push, and return status and JSON."""
        status, _, answer = self.call("POST", "/api/v1/push", parameters, body=body, Content_Type=kind, **headers)
        return status, json.loads(answer)

    def messages(self, **parameters):
        """Return the messages that a search finds, in the order of arrival."""
        found = self.get("/api/v1/search", **{"order": "arrival", "limit": 100_000, **parameters})
        return [record["message"] for record in found["records"]]

    def stop(self, number=signal.SIGTERM):
        """End it, and return its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        if self.process.stdout:
            self.process.stdout.close()
        return code


@contextmanager
def served(places, *arguments, **more):
    """A server for all tests of a module; ``places`` is ``tmp_path_factory``."""
    one = Server(places.mktemp("server") / "data", *arguments, **more)
    yield one
    one.stop()


def until(condition, seconds=60):
    """Wait until something is true; return it. The deadline is for what never comes true, on a slow machine, too."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.02)
    return found


def rises_to(count, wanted, seconds=60):
    """Wait until a count is so high, as long as it rises within ``seconds``."""
    while (now := count()) < wanted:
        until(lambda before=now: count() > before, seconds)
