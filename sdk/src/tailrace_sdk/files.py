"""JSON lines files that `tailrace` follows: one a day, shared by all processes that log to it.

    PREFIX-2026-11-21.jsonl       today's, appended to
    PREFIX-2026-11-21.1.jsonl     set aside when it was full; the numbers count up, a name never changes again
    PREFIX-2026-11-20.jsonl.gz    compressed COMPRESS_AFTER_S after its last write
    .PREFIX.lock                  who holds it may write, set aside, compress, remove

**Write.** Under the lock, one batch of whole lines is appended to the file that stands under the day's name now. If the
disk takes only a part, the line that it tore is cut off again and the batch goes on there when it is tried again. A
process that is killed in the middle of its write leaves a torn line; the next who writes cuts it off. So there are only
whole lines, each once, and no whole line is ever taken back: somebody may have read it.

**Full.** When the file would exceed ``file_bytes_max`` it is renamed to the next number; other processes see under the
lock that the name leads to another file, and follow.

**Old.** A thread of its own compresses (to a temporary name, then renamed) and removes what is older than ``keep_days``
or exceeds ``keep_bytes``, oldest first. Of all processes one does so at a time.

**Crash.** What a write returned for is in the kernel: killing the process does not lose it, a loss of power may.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tailrace_sdk.limits import (
    COMPRESS_AFTER_S,
    FILE_BYTES_MAX,
    FILE_DAYS,
    FILES_BYTES_MAX,
    KIB,
    LOCK_S_MAX,
    TIDY_S,
)
from tailrace_sdk.lock import locked, try_lock
from tailrace_sdk.sink import Partly

_DAY_S = 86_400


def files_of(log_dir: str, file_prefix: str) -> list[str]:
    """Return the files of a prefix, oldest first."""
    name = re.compile(re.escape(file_prefix) + r"-(\d{4}-\d\d-\d\d)(?:\.(\d+))?\.jsonl(?:\.gz)?")
    found = {}
    with contextlib.suppress(FileNotFoundError):
        for entry in os.listdir(log_dir):
            parts = name.fullmatch(entry)
            if parts:
                found[os.path.join(log_dir, entry)] = parts[1], int(parts[2] or 1 << 62)
    return sorted(found, key=lambda path: found[path])


class FileSink:
    """The files of one prefix in one directory. Belongs to a writer's thread."""

    kind = "file"

    def __init__(
        self,
        log_dir: str,
        file_prefix: str = "realtime",
        *,
        file_bytes_max: int = FILE_BYTES_MAX,
        compress_after_s: float | None = COMPRESS_AFTER_S,
        keep_days: float | None = FILE_DAYS,
        keep_bytes: int | None = FILES_BYTES_MAX,
    ) -> None:
        """Write to a directory, which is made with the first write; None for never compressed, kept forever."""
        if not file_prefix or "/" in file_prefix or os.sep in file_prefix:
            raise ValueError(f"{file_prefix!r} cannot begin the name of a file")
        self.log_dir = os.path.abspath(os.fspath(log_dir))
        self.file_prefix = file_prefix
        self._file_bytes_max = file_bytes_max
        self._compress_after_s = compress_after_s
        self._keep_days = keep_days
        self._keep_bytes = keep_bytes
        self._lock = os.path.join(self.log_dir, f".{file_prefix}.lock")
        self._fd = -1
        self.after_fork()

    def after_fork(self) -> None:
        """Forget what belongs to the parent."""
        self._leave()
        self._path = ""
        self._closing = False
        self._tidied = float("-inf")
        self._tidying: threading.Thread | None = None

    def write(self, data: bytes, count: int) -> None:  # noqa: ARG002 - sinks that drop lines have to count them
        """Append whole lines. Raises OSError when nothing of them was written, Partly when only the first."""
        with self._alone():
            fd, size = self._current(len(data))
            size = self._whole(fd, size)
            written = 0
            try:
                while written < len(data):
                    written += os.write(fd, data[written:] if written else data)
            except OSError as error:
                whole = data.rfind(b"\n", 0, written) + 1
                if whole < written:
                    os.ftruncate(fd, size + whole)
                if whole:
                    raise Partly(whole, error) from error
                raise

    def tick(self) -> None:
        """Look after old files now and then."""
        now = time.monotonic()
        if now - self._tidied < TIDY_S or (self._tidying and self._tidying.is_alive()):
            return
        self._tidied = now
        self._tidying = threading.Thread(target=self.tidy, name="tailrace-sdk-tidy", daemon=True)
        self._tidying.start()

    def flush(self, timeout: float) -> bool:  # noqa: ARG002 - every write goes to the kernel
        """Return True: what was written is in the file."""
        return True

    def close(self, timeout: float) -> None:
        """Close the file; what is being compressed is left for the next time."""
        self._closing = True
        if self._tidying is not None:
            self._tidying.join(timeout)
        self._leave()

    def _leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def get_stats(self) -> dict[str, Any]:
        """Return where it writes."""
        return {"path": self._path}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        lock = locked(self._lock, LOCK_S_MAX)
        try:
            lock.__enter__()
        except FileNotFoundError:
            os.makedirs(self.log_dir, exist_ok=True)
            lock = locked(self._lock, LOCK_S_MAX)
            lock.__enter__()
        try:
            yield
        finally:
            lock.__exit__(None, None, None)

    def _current(self, more: int) -> tuple[int, int]:
        """Return the open file of the day with room for so many bytes, and its size."""
        path = os.path.join(self.log_dir, f"{self.file_prefix}-{time.strftime('%Y-%m-%d')}.jsonl")
        while True:
            if path != self._path or self._fd < 0 or not _leads_to(path, self._fd):
                self._leave()
                flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
                self._fd = os.open(path, flags, 0o644)
                self._path = path
            size = os.fstat(self._fd).st_size
            if size == 0 or size + more <= self._file_bytes_max:
                return self._fd, size
            os.rename(path, self._aside(path))
            self._tidied = float("-inf")

    def _aside(self, path: str) -> str:
        stem = path[: -len(".jsonl")]
        taken = [0]
        for name in files_of(self.log_dir, self.file_prefix):
            number = re.fullmatch(re.escape(stem) + r"\.(\d+)\.jsonl(?:\.gz)?", name)
            if number:
                taken.append(int(number[1]))
        return f"{stem}.{max(taken) + 1}.jsonl"

    @staticmethod
    def _whole(fd: int, size: int) -> int:
        """Cut off the torn line that a killed process left, and return the size."""
        end = size
        while end and os.pread(fd, 1, end - 1) != b"\n":
            start = max(end - 64 * KIB, 0)
            end = start + os.pread(fd, end - start, start).rfind(b"\n") + 1
        if end < size:
            os.ftruncate(fd, end)
        return end

    def tidy(self) -> None:
        """Compress and remove what is old; what cannot be now is tried again later."""
        with contextlib.suppress(OSError):
            fd = os.open(os.path.join(self.log_dir, f".{self.file_prefix}.tidy"), os.O_RDWR | os.O_CREAT, 0o644)
            try:
                if try_lock(fd):
                    self._remove_old()  # first: it may make the room to compress
                    self._compress_old()
            finally:
                os.close(fd)

    def _done(self) -> list[str]:
        """Return the files that nobody appends to any more, oldest first."""
        today = time.strftime("%Y-%m-%d")
        return [path for path in files_of(self.log_dir, self.file_prefix) if not path.endswith(f"-{today}.jsonl")]

    def _compress_old(self) -> None:
        if self._compress_after_s is None:
            return
        import gzip

        for path in self._done():
            status = os.stat(path)
            if path.endswith(".gz") or time.time() - status.st_mtime < self._compress_after_s:
                continue
            part = os.path.join(self.log_dir, f".{os.path.basename(path)}.part")
            try:
                with open(path, "rb") as source, gzip.open(part, "wb", compresslevel=6) as packed:
                    while not self._closing and (piece := source.read(256 * KIB)):
                        packed.write(piece)
                if self._closing:
                    return
                os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))
                os.rename(part, f"{path}.gz")
                os.unlink(path)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(part)

    def _remove_old(self) -> None:
        done = [(path, os.stat(path)) for path in self._done()]
        total = sum(status.st_size for _, status in done)
        for path, status in done:
            old = self._keep_days is not None and time.time() - status.st_mtime > self._keep_days * _DAY_S
            if old or (self._keep_bytes is not None and total > self._keep_bytes):
                os.unlink(path)
                total -= status.st_size


def _leads_to(path: str, fd: int) -> bool:
    """Return whether a path is still the name of the open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False
