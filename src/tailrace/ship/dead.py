r"""What no server wants: records that one refused for good, kept where a person finds them.

Bytes: one file per output, ``{"why": "...", "record": {...}}\n`` per record, the record as the HTTP API shows it; so
``jq -c .record FILE`` is what ``POST /api/v1/push`` takes, once the fault is mended. A record is on disk before the
output goes on behind it. An output that was killed in between comes again with the same record, which the last line
of the file shows. A last line without its newline is what a crash left; the next one is written over it.

Full (DEAD_BYTES_MAX) or failing: the record is not taken, and the output waits for a person.
"""

from __future__ import annotations

import os
from pathlib import Path

import orjson

from tailrace.bus.segment import sync_directory, write_all
from tailrace.cursor import Cursor
from tailrace.errors import DataError, DiskFull
from tailrace.limits import DEAD_BYTES_MAX, DEAD_WHY_BYTES_MAX
from tailrace.record import Batch


class DeadLetters:
    """The file of one output; used by its thread."""

    def __init__(self, path: Path, *, bytes_max: int = DEAD_BYTES_MAX) -> None:
        """Count what is in the file, if there is one. Raises DataError."""
        self.path = path
        self._bytes_max = bytes_max
        self.records = 0
        self._size = 0
        self._last: Cursor | None = None
        newest = b""
        try:
            with path.open("rb") as file:
                for line in file:
                    if line.endswith(b"\n"):
                        self.records += 1
                        self._size += len(line)
                        newest = line
        except FileNotFoundError:
            return
        except OSError as error:
            raise DataError(f"cannot read {path}: {error.strerror}", cure="Check --data.") from error
        if newest:
            self._last = Cursor.parse(orjson.loads(newest)["record"]["cursor"])

    def add(self, batch: Batch, why: str) -> None:
        """Keep the only record of a batch. Raises DiskFull: it was not kept."""
        if self._last is not None and self._last.epoch == batch.epoch and batch.first <= self._last:
            return
        (record,) = batch.json_rows()
        line = b'{"why":%b,"record":%b}\n' % (orjson.dumps(why[:DEAD_WHY_BYTES_MAX]), record)
        if self._size and not self.path.exists():  # a person has moved it away
            self._size = self.records = 0
        if self._size and self._size + len(line) > self._bytes_max:
            raise DiskFull(f"{self.path} is full of records that were refused", cure="Look at it, and move it away.")
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                write_all(handle, line, self._size)
                os.ftruncate(handle, self._size + len(line))
                os.fsync(handle)
            finally:
                os.close(handle)
            sync_directory(self.path.parent)
        except OSError as error:
            raise DiskFull(f"cannot write {self.path}: {error.strerror}", cure="Free some space.") from error
        self._size += len(line)
        self.records += 1
        self._last = batch.first
