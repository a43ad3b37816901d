"""What ``tailrace up`` follows when it was told nothing: the logs of this machine, each with the reason.

Four places, in this order: files that running processes hold open for append; readable text logs under ``/var/log``
(those of Kubernetes' pods are there); the logs of Docker's containers; ``*.log`` files in the user's state
directories. Left out: binary and compressed files, what may not be read, our own data. The walk is bounded in depth and
in files. ``Rediscovery`` repeats it, for logs that appear later.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.limits import DISCOVER_DEPTH_MAX, DISCOVER_FILES_MAX, DISCOVER_S

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_BINARY_NAMES = frozenset({"wtmp", "btmp", "lastlog", "faillog", "utmp", "tallylog"})
_NOT_LOGS = frozenset({"journal", "sa", "sysstat"})
_LOG_NAMES = (".log", ".out", ".err", ".jsonl", ".ndjson", ".logs")
_SNIFF_BYTES = 1024
_DOCKER = Path("/var/lib/docker/containers")
_REST_SHARE = 200  # a walk may take this part of the time


@dataclass(frozen=True, slots=True)
class Found:
    """A log and why it is one."""

    path: str
    reason: str


def discover(
    exclude: Sequence[Path] = (), *, log_directory: Path = Path("/var/log"), state: Path | None = None
) -> list[Found]:
    """Return the logs of this machine, sorted by path; nothing below the directories of ``exclude``."""
    own = tuple(os.path.realpath(path) + "/" for path in exclude)
    reasons: dict[str, str] = {}
    state = state or Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state")
    for path, reason in (
        *_held_open(),
        *((path, f"a text log in {log_directory}") for path in _walk(log_directory)),
        *((path, "a container's log") for path in _walk(_DOCKER) if path.endswith("-json.log")),
        *((path, f"a log in {state}") for path in _walk(state) if path.endswith(_LOG_NAMES)),
    ):
        real = os.path.realpath(path)
        if real not in reasons and not (real + "/").startswith(own or ("\0",)) and _is_text(real):
            reasons[real] = reason
        if len(reasons) >= DISCOVER_FILES_MAX:
            break
    return [Found(path, reasons[path]) for path in sorted(reasons)]


class Rediscovery:
    """A thread that looks for logs again every DISCOVER_S, or more seldom where that takes long."""

    def __init__(self, exclude: Sequence[Path], known: Sequence[Found], take: Callable[[list[Found]], None]) -> None:
        """``take`` is called in the thread with what was found and is not ``known`` yet."""
        self._exclude = exclude
        self._known = {found.path for found in known}
        self._take = take
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="discover", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        rest = DISCOVER_S
        while not self._stopping.wait(rest):
            began = time.monotonic()
            fresh = [found for found in discover(self._exclude) if found.path not in self._known]
            if fresh:
                self._known.update(found.path for found in fresh)
                self._take(fresh)
            rest = max(DISCOVER_S, _REST_SHARE * (time.monotonic() - began))


def _walk(top: Path, depth: int = DISCOVER_DEPTH_MAX) -> Iterator[str]:
    """Yield the regular files below a directory, without following links: what they lead to has its own place."""
    try:
        entries = sorted(os.scandir(top), key=lambda entry: entry.name)
    except OSError:
        return  # not ours to read, or gone meanwhile
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if depth and entry.name not in _NOT_LOGS:
                yield from _walk(Path(entry.path), depth - 1)
        elif entry.is_file(follow_symlinks=False) and entry.name.split("-")[0] not in _BINARY_NAMES:
            yield entry.path


def _held_open() -> Iterator[tuple[str, str]]:
    """Yield (path, reason) of the log-like files that processes append to; only those that we may look into."""
    for process in os.scandir("/proc"):
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            descriptors = os.listdir(f"{process.path}/fd")
        except OSError:
            continue  # another user's process, or it has ended
        for number in descriptors:
            path = _appended(process.path, number)
            if path is not None and _like_a_log(path):
                yield path, f"open for append by {_command(process.path)} (pid {process.name})"


def _appended(process: str, number: str) -> str | None:
    try:
        path = os.readlink(f"{process}/fd/{number}")
        if not path.startswith("/") or path.startswith(("/proc/", "/dev/", "/sys/")):
            return None
        with open(f"{process}/fdinfo/{number}") as info:
            flags = next((int(line.split()[1], 8) for line in info if line.startswith("flags:")), 0)
    except (OSError, ValueError):
        return None
    return path if flags & os.O_APPEND else None


def _command(process: str) -> str:
    try:
        return Path(process, "comm").read_text().strip()
    except OSError:
        return "a process"


def _like_a_log(path: str) -> bool:
    directories, name = os.path.split(path)
    return (
        name.endswith(_LOG_NAMES)
        or ".log." in name
        or any(part in ("log", "logs") for part in directories.lower().split("/"))
    )


def _is_text(path: str) -> bool:
    """Tell whether a file is regular, readable and begins without NUL bytes; an empty one may become a log."""
    try:
        if path.endswith(_COMPRESSED) or not stat.S_ISREG(os.stat(path).st_mode):
            return False
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return b"\0" not in os.read(fd, _SNIFF_BYTES)
    except OSError:
        return False
    finally:
        os.close(fd)
