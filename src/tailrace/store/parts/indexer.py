"""The indexer: the reader of the bus that fills the store.

It reads from the store's checkpoint, so a crash costs nothing but the work since then. A part is written when
PART_ROWS_FLUSH rows or PART_BYTES_FLUSH bytes wait, or the oldest has waited PART_AGE_FLUSH_S; then the bus may forget
what the checkpoint has passed. When the disk is full or read-only it tries again every INDEX_RETRY_S, and ``error``
says why; the bus keeps everything meanwhile. When the bus no longer has what comes next, ``lost`` counts it, and the
indexer goes on where the bus begins.
"""

from __future__ import annotations

import threading
import time

import pyarrow as pa

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Cursor
from tailrace.errors import DataError, Gone
from tailrace.limits import INDEX_READ_BYTES, INDEX_RETRY_S, PART_AGE_FLUSH_S, PART_BYTES_FLUSH, PART_ROWS_FLUSH
from tailrace.store.parts.store import PartStore

_WAIT_S = 0.5


class Indexer:
    """Copies the bus into the store, in a thread of its own."""

    def __init__(
        self, bus: DiskBus, store: PartStore, *, age_s: float = PART_AGE_FLUSH_S, retry_s: float = INDEX_RETRY_S
    ) -> None:
        self._bus, self._store = bus, store
        self._age_s, self._retry_s = age_s, retry_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="indexer", daemon=True)
        self._rows = self._bytes = 0
        self._oldest_s: float | None = None
        self.error: DataError | None = None
        self.lost = 0
        self._position = self._begin()

    def start(self) -> None:
        """Begin to index."""
        self._thread.start()

    def stop(self) -> None:
        """Flush what was read and end the thread; what could not be flushed is on the bus."""
        self._stop.set()
        self._thread.join()

    def _begin(self) -> Cursor:
        checkpoint = self._store.checkpoint
        return checkpoint if checkpoint is not None and checkpoint.epoch == self._bus.epoch else self._bus.first

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self.step(_WAIT_S)
                self.error = None
            except DataError as error:
                self.error = error
                self._stop.wait(self._retry_s)
        try:
            self.flush()
        except DataError as error:
            self.error = error

    def step(self, timeout_s: float) -> None:
        """Read once, waiting for ``timeout_s`` at most, and write a part when it is time. Raises DataError."""
        if self._due():
            self.flush()
        if not self._bus.wait(self._position, timeout_s):
            return
        try:
            batches = self._bus.read(self._position, INDEX_READ_BYTES)
        except Gone as gone:
            self._skip(gone)
            return
        for batch in batches:
            self._store.add(batch)
            self._position = batch.next
            self._rows += len(batch)
            self._bytes += batch.nbytes
            if self._oldest_s is None:
                self._oldest_s = time.monotonic()
            if self._rows >= PART_ROWS_FLUSH or self._bytes >= PART_BYTES_FLUSH:
                self.flush()

    def flush(self) -> None:
        """Write what waits as a part and tell the bus. Raises DataError; then it is still waiting."""
        if self._oldest_s is None:
            return
        self._store.flush()
        self._rows = self._bytes = 0
        self._oldest_s = None
        pa.default_memory_pool().release_unused()
        if self._store.checkpoint is not None:
            self._bus.release(self._store.checkpoint)

    def _due(self) -> bool:
        full = self._rows >= PART_ROWS_FLUSH or self._bytes >= PART_BYTES_FLUSH
        return full or (self._oldest_s is not None and time.monotonic() - self._oldest_s >= self._age_s)

    def _skip(self, gone: Gone) -> None:
        if gone.next.epoch == self._position.epoch:
            self.lost += max(gone.next - self._position, 0)
        self._position = gone.next
