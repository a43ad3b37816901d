"""What ``tailrace up`` follows when it was told nothing: the logs of this machine, each with the reason.

Three places, in this order: files that running processes hold open for append; readable text logs under ``/var/log``;
``*.log`` files in the user's state directories. Left out: binary and compressed files, what may not be read, our own
data. The walk is bounded in depth and in files. Run it again from time to time: it returns the old ones again too.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tailrace.limits import DISCOVER_DEPTH_MAX, DISCOVER_FILES_MAX

_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4", ".zip")
_BINARY_NAMES = frozenset({"wtmp", "btmp", "lastlog", "faillog", "utmp", "tallylog"})
_NOT_LOGS = frozenset({"journal", "sa", "sysstat"})
_LOG_NAMES = (".log", ".out", ".err", ".jsonl", ".ndjson", ".logs")
_SNIFF_BYTES = 1024


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
        *((path, f"a log in {state}") for path in _walk(state) if path.endswith(_LOG_NAMES)),
    ):
        real = os.path.realpath(path)
        if real not in reasons and not (real + "/").startswith(own or ("\0",)) and _is_text(real):
            reasons[real] = reason
        if len(reasons) >= DISCOVER_FILES_MAX:
            break
    return [Found(path, reasons[path]) for path in sorted(reasons)]


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
