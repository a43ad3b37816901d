"""The data directory: one process has it at a time.

    lock          held with flock for as long as the process lives; holds its pid, for the message to the next one
    bus/ store/   the log, and the parts
    tokens.json   names and hashes of the tokens (access/tokens.py)

Servers over Kafka keep nothing there but tokens: they may share one, which need not be writable, and take no lock.

A process that dies, however it dies, gives the lock back with its file descriptors; the file itself stays.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import DataError, DiskFull, Locked


@contextmanager
def held(directory: Path) -> Iterator[Path]:
    """Make the directory (for its owner only) if there is none; hold its lock. Raises DataError, Locked or DiskFull."""
    handle = _open(directory)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(handle, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise Locked(
                f"{directory} is in use by another tailrace (process {pid})",
                cure=f"End that process, or choose another directory with --data. `kill {pid}` ends it in order.",
            ) from None
        try:
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        except OSError as error:
            raise _explained(directory, error) from error
        yield directory
    finally:
        os.close(handle)


@contextmanager
def shared(directory: Path) -> Iterator[Path]:
    """Make the directory (for its owner only) if there is none. Raises DataError or DiskFull."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _explained(directory, error) from error
    yield directory


def _open(directory: Path) -> int:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _explained(directory, error) from error


def _explained(directory: Path, error: OSError) -> DataError:
    if error.errno in (errno.EEXIST, errno.ENOTDIR):
        return DataError(f"{directory} is not a directory", cure="Choose a directory with --data.")
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DiskFull(
            f"there is no room on the disk of {directory}", cure="Free some space, or choose another --data."
        )
    if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        return DataError(
            f"cannot write to {directory}: {error.strerror}", cure="Choose a directory of your own with --data."
        )
    return DataError(f"cannot use {directory}: {error.strerror}", cure="Choose another directory with --data.")
