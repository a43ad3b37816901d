"""Standard input: ``CMD | tailrace up -``. What was read cannot be read again: nothing is read while there is no room.

Lines that the pipeline holds back (an event that may go on) are kept here, at most one read and one line, until more
comes, or nothing did for EVENT_QUIET_S. A last line without its newline is given out at the end.
"""

from __future__ import annotations

import os
import select
import threading
import time

import numpy as np
import pyarrow as pa

from tailrace.bus import Bus
from tailrace.limits import BATCH_ROWS_MAX, EVENT_QUIET_S, LINE_BYTES_MAX, READ_BYTES
from tailrace.lines import PLAIN, Lines, Steps
from tailrace.pipeline import Pipeline
from tailrace.record import Batch, Origin, Stream
from tailrace.sources.intake import Intake, SourceStatus
from tailrace.sources.split import split

_WAIT_MS = 200


class Stdin:
    """Reads a descriptor to its end, from ``start`` until ``stop``."""

    def __init__(self, bus: Bus, *, pipeline: Pipeline, host: str, fd: int = 0, steps: Steps = PLAIN) -> None:
        self._intake = Intake(bus)
        self._pipeline = pipeline
        self._steps = steps
        self._stream = Stream.of({"host": host, "service": "stdin", "source": "stdin"})
        self._fd = fd
        self._place = 0
        self._ended = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stdin", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; what was read is appended first, if there is room."""
        self._stopping.set()
        self._thread.join(EVENT_QUIET_S)
        self._intake.stop()
        self._thread.join()

    def status(self) -> SourceStatus:
        """Return how it is doing. From any thread."""
        error = self._intake.error
        state = "failing" if error else "ended" if self._ended else "reading"
        return SourceStatus("stdin", state, self._intake.lines, 0, error)

    def _run(self) -> None:
        waiting = select.poll()
        waiting.register(self._fd, select.POLLIN | select.POLLHUP)
        rest = b""
        since = time.monotonic()
        while not self._stopping.is_set():
            if not waiting.poll(_WAIT_MS):
                if rest and time.monotonic() - since > EVENT_QUIET_S:
                    rest = self._take(rest, ended=True)
                continue
            data = os.read(self._fd, READ_BYTES)
            since = time.monotonic()
            if not data:
                break
            rest = self._take(rest + data, ended=False)
            if len(rest) > LINE_BYTES_MAX:
                rest = self._take(rest[:LINE_BYTES_MAX] + b"\n", ended=True) + rest[LINE_BYTES_MAX:]
        rest = self._take(rest, ended=True)
        if rest:
            self._take(rest + b"\n", ended=True)
        self._ended = True

    def _take(self, block: bytes, *, ended: bool) -> bytes:
        """Append the complete lines of a block; return what is left of it."""
        while block:
            lines, begins, taken = split(block, BATCH_ROWS_MAX)
            if not taken:
                break
            whole = ended or taken < block.rfind(b"\n") + 1
            done = self._append(lines, begins, taken, ended=whole)
            block = block[done:]
            if done < taken:
                break
        return block

    def _append(self, lines: pa.BinaryArray, begins: np.ndarray, taken: int, *, ended: bool) -> int:
        first = self._place
        origin = Origin("stdin", first, first + taken, len(lines))
        given = Lines(lines, begins + first, self._stream, time.time_ns(), origin, self._steps, ended)
        batch = self._pipeline.process(given)
        done = batch.origins[0].next - first
        if len(batch):
            self._intake.append(Batch(batch.columns))
        self._place += done
        return done
