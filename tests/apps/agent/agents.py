"""Real agents, and logs that are written meanwhile."""

import contextlib
import os
import random
import signal
import subprocess
import threading
from collections import Counter

from tests.apps.programs import TAILRACE, environment, rises_to, until


class Agent:
    """A `tailrace agent`; what it says is in ``said()``. ``under`` is a command that runs it."""

    def __init__(self, directory, *arguments, servers=(), under=(), **more):
        self.directory = directory
        self.log = directory.with_suffix(".out")
        named = [word for url in servers for word in ("--server", url)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*under, *TAILRACE, "agent", "--data", directory, *named, *map(str, arguments)],
                stdout=log,
                stderr=log,
                env=environment(**more),
            )

    def said(self):
        return self.log.read_text()

    def stop(self, number=signal.SIGTERM):
        """End it, and return its exit code."""
        self.process.send_signal(number)
        return self.process.wait(60)

    def peak_mib(self):
        with open(f"/proc/{self.process.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) // 1024

    def processor_s(self):
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Writer:
    """Appends numbered lines, in halves, to ``app.log`` and renames it away now and then. ``written`` are whole.

    ``pad`` characters that cannot be compressed make the lines longer.
    """

    def __init__(self, path, *, rotate_lines=400, pad=0):
        self.path = path
        self.written = 0
        self._rotate_lines = rotate_lines
        self._pad = pad
        self._chance = random.Random(1)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self):
        self._stopping.set()
        self._thread.join()

    def _run(self):
        while not self._stopping.is_set():
            with self.path.open("ab", buffering=0) as file:
                until = self.written + self._rotate_lines
                while self.written < until and not self._stopping.wait(self._chance.uniform(0, 0.01)):
                    for _ in range(self._chance.randint(1, 5)):
                        self._write(file)
            if self.written >= until:
                self._rotate()

    def _write(self, file):
        pad = b" " + self._chance.randbytes(self._pad // 2).hex().encode() if self._pad else b""
        line = b"2026-11-20 08:00:00,%03d INFO%b app line %d\n" % (self.written % 1000, pad, self.written)
        half = self._chance.randint(0, len(line))
        file.write(line[:half])
        file.write(line[half:])
        self.written += 1

    def _rotate(self):
        older = sorted(self.path.parent.glob(f"{self.path.name}.*"), key=lambda one: int(one.suffix[1:]), reverse=True)
        for one in older:
            one.rename(one.with_suffix(f".{int(one.suffix[1:]) + 1}"))
        self.path.rename(f"{self.path}.1")


def write(path, first, count, size=100):
    """Append numbered lines of about ``size`` characters."""
    line = "2026-11-20 08:00:00,123 INFO %s app line %d\n"
    with path.open("a") as file:
        file.write("".join(line % (os.urandom(size // 2).hex(), n) for n in range(first, first + count)))


def numbers(server):
    """Return the numbers of the lines that the server has, in the order of their arrival."""
    return [int(text.partition(" app line ")[2]) for text in server.messages(q='"app line"', limit=1_000_000)]


def all_there(server, writer, why="", *, others=0):
    """Wait until every line of a writer that has stopped is there; once, and in order. There are ``others``, too."""
    with contextlib.suppress(AssertionError):  # what is missing is shown below
        rises_to(lambda: server.get("/api/v1/status")["records"], writer.written + others)
    found = numbers(server)
    times = Counter(found)
    lost = [n for n in range(writer.written) if not times[n]]
    doubled = [n for n, many in times.items() if many > 1]
    assert (lost[:9], doubled[:9], found == list(range(writer.written))) == ([], [], True), why


def count(server):
    """Return how many lines the server has."""
    return server.get("/api/v1/search", q='"app line" | stats count() as n')["records"][0]["n"]


def wait_for_lines(writer, count):
    """Wait until a writer has written so many lines more."""
    known = writer.written + count
    until(lambda: writer.written >= known, 60)


def logs(tmp_path):
    """Return what agents follow: the log of a writer, and what was rotated away."""
    return tmp_path / "logs" / "*.log*"
