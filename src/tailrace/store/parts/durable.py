"""File operations that survive a power cut, and what the operating system's refusals mean.

Nothing here is done until it is synced: a file's bytes with the file, a name with its directory.
"""

from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tailrace.errors import DataError, DiskFull


def write_file(path: Path, data: bytes) -> None:
    """Write a file and sync it; its name is durable after ``sync_directory``."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Make the bytes of a file that somebody else wrote durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    sync_file(path)


def replace_file(path: Path, data: bytes, previous: Path) -> None:
    """Change a file from one content to another in one step, and keep the old one as ``previous``."""
    fresh = path.with_name(path.name + ".new")
    write_file(fresh, data)
    if path.exists():
        old = path.with_name(path.name + ".old")
        old.unlink(missing_ok=True)
        os.link(path, old)
        os.replace(old, previous)
    os.replace(fresh, path)
    sync_directory(path.parent)


def rename(path: Path, to: Path) -> None:
    """Rename within one directory, durably."""
    os.replace(path, to)
    sync_directory(to.parent)


def remove_tree(path: Path) -> None:
    """Remove a directory and what is in it; durability does not matter, because what comes back is removed again."""
    shutil.rmtree(path, ignore_errors=False)


@contextmanager
def disk_errors(directory: Path) -> Iterator[None]:
    """Turn what the operating system says about ``directory`` into DiskFull or DataError, with a cure."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"there is no room for the store in {directory}",
                cure="Nothing is lost: records wait on the bus. Free some space, or lower the retention.",
            ) from error
        raise DataError(
            f"the store cannot write in {directory}: {error.strerror or error}",
            cure="Make the directory writable for this user, or choose another with --data.",
        ) from error


def yield_to_others() -> None:
    """Let every other thread of the machine go first; Linux keeps a priority for each thread."""
    os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), 10)
