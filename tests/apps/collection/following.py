"""`tailrace up` as a collector under test: files go in, and what search gives in the order of arrival comes out."""

import os
import re
import signal
from collections.abc import Sequence
from itertools import count
from pathlib import Path

from tests.apps.collection.oracle import Log, Verdict, judge
from tests.apps.programs import Server, rises_to, until

RECORDS_MAX = 1_000_000
FENCE_S = 60


class Follower:
    """One agent: its data directory outlives its processes. ``paths`` are what it is told to follow.

    It also follows a directory of *fences*. A fence is a new file: when its line has come, names were looked at and
    files were read since, so that what would come a second time has come.
    """

    def __init__(self, directory: Path, *paths: object, under: Sequence[str] = (), **environment: str) -> None:
        self.directory = directory
        self._fences = directory.with_name(f"{directory.name}-fences")
        self._fences.mkdir(parents=True, exist_ok=True)
        self._number = count(len(list(self._fences.iterdir())))
        self.arguments = [str(self._fences / "*.log"), *map(str, paths), "--no-discover"]
        self._under = under
        self._environment = environment
        self._server: Server | None = None

    @property
    def server(self) -> Server:
        """The process that runs."""
        assert self._server is not None
        return self._server

    @property
    def pid(self) -> int:
        return self.server.process.pid

    @property
    def said(self) -> str:
        """What all its processes have written to their standard error."""
        return self.server.log.read_text()

    def start(self) -> "Follower":
        """Start a process; the one before has ended."""
        self._server = Server(self.directory, *self.arguments, command="up", under=self._under, **self._environment)
        return self

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the process, and return its exit code."""
        return self.server.stop(number)

    def end(self) -> None:
        """End the process if there is one."""
        if self._server is not None and self._server.process.poll() is None:
            self._server.process.send_signal(signal.SIGCONT)
            self.stop(signal.SIGKILL)

    def restart(self) -> "Follower":
        """Stop in order, and start."""
        self.stop()
        return self.start()

    # -- what came out -----------------------------------------------------------------------------------------

    def records(self, place: object = "") -> list[dict]:
        """Return the records of files below a directory (or of one path), in the order of arrival."""
        return self.server.get("/api/v1/search", order="arrival", limit=RECORDS_MAX, q=_below(place))["records"]

    def messages(self, place: object = "") -> list[str]:
        return [record["message"] for record in self.records(place)]

    def count(self, place: object = "") -> int:
        found = self.server.get("/api/v1/search", q=f"{_below(place)} | stats count() as n")
        return found["records"][0]["n"]

    @property
    def taken(self) -> int:
        """How many records it has, of all that it follows."""
        return self.server.get("/api/v1/status")["records"]

    def fence(self) -> None:
        """Wait until names were looked at and all files were read."""
        number = next(self._number)
        (self._fences / f"{number}.log").write_text(f"fence {number}\n")
        until(lambda: self.count(self._fences / f"{number}.log") == 1, FENCE_S)

    def comes_to(self, place: object, wanted: int, seconds: float = 20) -> None:
        """Wait until a directory has given so many records at least, as long as more come within ``seconds``."""
        rises_to(lambda: self.count(place), wanted, seconds)

    def verdict(self, place: object, *logs: Log, seconds: float = 20) -> Verdict:
        """Wait for everything that the logs promised, then for what might come twice; then judge."""
        try:
            self.comes_to(place, sum(len(log.complete) for log in logs), seconds)
        except AssertionError:
            return judge(self.messages(place), *logs)
        self.fence()
        return judge(self.messages(place), *logs)

    # -- how it is ---------------------------------------------------------------------------------------------

    @property
    def problems(self) -> str:
        return " ".join(self.server.get("/api/v1/status")["problems"])

    @property
    def memory_peak_bytes(self) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1]) * 1024  # type: ignore[index]

    @property
    def open_files(self) -> list[str]:
        """What its descriptors lead to."""
        found = []
        for one in Path(f"/proc/{self.pid}/fd").iterdir():
            try:
                found.append(os.readlink(one))
            except FileNotFoundError:
                continue
        return found


def _below(place: object) -> str:
    """Return a query for what was read below a directory, or from one path and what begins like it."""
    return f"path:/^{re.escape(str(place)).replace('/', chr(92) + '/')}/" if place else "*"
