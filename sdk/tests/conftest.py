"""Real programs, disks and servers for the tests of the SDK, which need nothing of Tailrace but, some, its command."""

import gzip
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"


@pytest.fixture
def until():
    """Wait until something is true; return it."""

    def wait(condition, seconds=20):
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            assert time.monotonic() < deadline, "it never came true"
            time.sleep(0.01)
        return found

    return wait


@pytest.fixture
def run():
    """Run a program to its end; its arguments are in sys.argv."""

    def one(program, *arguments, code=0, cwd=None, **more):
        done = subprocess.run(  # noqa: PLW1510 - how it ends is looked at below
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            timeout=60,
            cwd=cwd,
            env=environment(**more),
        )
        assert done.returncode == code, done.stderr.decode()
        return done

    return one


@pytest.fixture
def begin():
    """Begin programs that end with the test."""
    begun = []

    def one(*command, cwd=None, **more):
        process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=cwd, env=environment(**more)
        )
        begun.append(process)
        return process

    yield one
    for process in begun:
        if process.poll() is None:
            process.kill()
        process.communicate()


def environment(**more):
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TAILRACE_")}
    return {**kept, "PYTHONPATH": str(SOURCE), **more}


@pytest.fixture
def logged():
    """Return what stands in the files of a directory, oldest first; every line must be whole."""

    def records(place):
        found = []
        for path in sorted(place.glob("*.jsonl*"), key=lambda path: (path.stat().st_mtime_ns, path.name)):
            data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
            assert data[-1:] in (b"", b"\n")
            found += [json.loads(line) for line in data.split(b"\n")[:-1]]
        return found

    return records


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own with a megabyte."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us mount a disk")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


class Tailrace:
    """A server; can be stopped and started again at the same address with what it had."""

    def __init__(self, place, *command):
        self._command = [*(command or ("serve",)), "--data", place]
        self._listen = "127.0.0.1:0"
        self.start()

    def start(self):
        command = [sys.executable, "-m", "tailrace.cli", *self._command, "--listen", self._listen]
        self.process = subprocess.Popen(
            list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment(NO_COLOR="1")
        )
        said = ""
        while not (address := re.search(r"http://(\S+)$", said)):
            said = self.process.stdout.readline().decode().rstrip("\n")
            assert said or self.process.poll() is None, "the server ended"
        self._listen = address[1]
        self.url = f"http://{self._listen}"

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        self.process.wait(20)
        self.process.stdout.close()


@pytest.fixture
def begin_tailrace(tmp_path):
    """Begin Tailrace with a command, `serve` without any; it ends with the test."""
    if not importlib.util.find_spec("tailrace"):
        pytest.skip("tailrace itself is not installed here")
    begun = []

    def one(*command):
        begun.append(Tailrace(tmp_path / "tailrace", *command))
        return begun[-1]

    yield one
    for server in begun:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture
def tailrace(begin_tailrace):
    """A Tailrace server of its own."""
    return begin_tailrace()


@pytest.fixture(autouse=True)
def quiet(monkeypatch, tmp_path):
    """Spools of the tests lie in their own directories."""
    for name in ("TAILRACE_SERVER", "TAILRACE_LOG_DIR", "TAILRACE_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
