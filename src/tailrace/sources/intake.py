"""The way to the bus of lines that cannot be asked for again: from the network, a pipe, another program.

Whoever gives a batch waits until it is on disk, so a sender that can be slowed down is slowed down, and at most one
batch of each source is in memory. When the bus is busy or its disk is full the batch is kept and offered again.
"""

from __future__ import annotations

import threading

import msgspec

from tailrace.bus import Bus
from tailrace.errors import Busy, Closed, DataError
from tailrace.limits import BATCH_ROWS_MAX
from tailrace.record import Batch

_RETRY_S = 0.25


class SourceStatus(msgspec.Struct):
    """How a source that is no file is doing. ``state`` is reading, ended or failing; ``lost`` counts lines."""

    name: str
    state: str
    lines: int
    lost: int
    error: str


class Intake:
    """Appends for one thread, until ``stop`` is called by another."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.stopping = threading.Event()
        self.lines = 0
        self.error = ""

    def stop(self) -> None:
        """Give up waiting: what is not on disk now never will be."""
        self.stopping.set()

    def append(self, batch: Batch) -> bool:
        """Return True when the batch is on disk, False when it was stopped before that."""
        for start in range(0, len(batch), BATCH_ROWS_MAX):
            whole = len(batch) <= BATCH_ROWS_MAX
            if not self._append(batch if whole else batch.slice(start, min(start + BATCH_ROWS_MAX, len(batch)))):
                return False
        self.lines += len(batch)
        return True

    def _append(self, batch: Batch) -> bool:
        while not self.stopping.is_set():
            try:
                self.bus.append(batch).result()
            except Busy as error:
                self.stopping.wait(min(error.retry_s, _RETRY_S))
            except DataError as error:
                self.error = error.message
                self.stopping.wait(_RETRY_S)
            except Closed:
                return False
            else:
                self.error = ""
                return True
        return False
