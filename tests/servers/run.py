"""What the workers of one test run share: a directory, ports, and the servers that who asks first has started.

    <base of the run's temporary directories>/servers/
        running         locked by the run as long as it lives (keeper.py)
        ports           those that were given away
        <server>/       known.json: where it listens, its version; or why it is not there. Its data and its log.
        pids/           of every program that runs

A server is started when the first test wants it, once for all workers: they wait for each other at a lock.
"""

import contextlib
import fcntl
import json
import os
import random
import socket
import time
import traceback

import pytest

# A machine of its own, or the word that it is one: then every server must be there, and its tests run.
REQUIRED = os.environ.get("CI") == "true" or os.environ.get("TAILRACE_SERVERS") == "required"
# Below those that the kernel gives to whoever asks for any, so that a server that comes back finds its port free.
PORTS = range(10_000, 32_000)
# A JVM that is ready in six seconds takes a hundred on a machine that does ten other things.
START_SECONDS = 150


class Absent(Exception):
    """This machine does not have the server; the text says what is missing."""


class Run:
    """One per process of the run."""

    def __init__(self, config):
        base = config._tmp_path_factory.getbasetemp()  # that of a worker is a folder in that of the run
        self.directory = (base.parent if hasattr(config, "workerinput") else base) / "servers"
        self.running = self.directory / "running"
        self.pids = self.directory / "pids"

    def begin(self):
        """Be the process that the run is, until ``end``."""
        self.pids.mkdir(parents=True)
        self._held = self.running.open("w")
        fcntl.flock(self._held, fcntl.LOCK_EX)

    def end(self):
        """Let every program be killed, and wait until the last has gone."""
        self._held.close()
        deadline = time.monotonic() + 20
        while (left := list(self.pids.iterdir())) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not left, f"programs that did not end: {[path.read_text() for path in left]}"

    @contextlib.contextmanager
    def locked(self, name):
        with (self.directory / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def port(self):
        """Return a port that nobody listens on, and which the run gives away once."""
        with self.locked("ports"), (self.directory / "ports").open("a+") as file:
            file.seek(0)
            given = {int(line) for line in file}
            while True:
                port = random.choice(PORTS)
                with contextlib.suppress(OSError):
                    if port not in given:
                        socket.create_server(("127.0.0.1", port)).close()
                        file.write(f"{port}\n")
                        return port

    def server(self, name, start):
        """Return what ``start(directory)`` has made known about a server: at once when a worker has started it."""
        directory = self.directory / name
        known = directory / "known.json"
        with self.locked(name):
            if not known.exists():
                directory.mkdir(exist_ok=True)
                known.write_text(json.dumps(self._start(start, directory)))
        found = json.loads(known.read_text())
        if "failed" in found:
            pytest.fail(found["failed"], pytrace=False)
        if "absent" in found:
            self.absent(found["absent"])
        return found

    def absent(self, why):
        if REQUIRED:
            pytest.fail(why, pytrace=False)
        pytest.skip(why)

    def _start(self, start, directory):
        try:
            return start(directory)
        except Absent as why:
            return {"absent": str(why)}
        except Exception:  # noqa: BLE001 - whatever it was, nobody tries again, and every test of it says so
            return {"failed": traceback.format_exc()}

    def known(self):
        """Return what is known of each server that was asked for."""
        return {path.parent.name: json.loads(path.read_text()) for path in self.directory.glob("*/known.json")}
