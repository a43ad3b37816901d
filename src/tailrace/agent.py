"""The collector: one thread that joins files, pipeline and bus.

It reads and understands a block of every file that has one, hands the batches over (collect/flight.py), and rests
(collect/rest.py). When the bus takes nothing, nothing more is read.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from datetime import UTC, tzinfo
from pathlib import Path

from tailrace.bus import Bus
from tailrace.collect.flight import RETRY_S, Flight
from tailrace.collect.report import FileStatus, Report
from tailrace.collect.rest import Rest
from tailrace.errors import Closed
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline
from tailrace.record import Batch
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource
from tailrace.sources.followed import FollowedFile

_IDLE_S = 0.5


class Collector:
    """Follows ``entries`` into ``bus`` from ``start`` until ``stop``."""

    def __init__(
        self,
        bus: Bus,
        entries: Sequence[Entry],
        *,
        host: str = "",
        exclude: Sequence[Path] = (),
        allow: Sequence[str] = (),
        zone: tzinfo = UTC,
    ) -> None:
        """Nothing below the directories of ``exclude`` (our own data) is followed; see FileSource for ``allow``."""
        self._bus = bus
        own = [str(path) for path in exclude]
        self._source = FileSource(entries, bus.sources("file:"), host=host, exclude=own, allow=allow)
        self.pipeline = Pipeline(zone)
        self.report = Report(self._source, self.pipeline)
        self._rest = Rest()
        self._wished: Sequence[Entry] | None = None
        self._stopping = threading.Event()
        self.looked = threading.Event()
        """Set once the files were looked for."""
        self._flight = Flight(bus, self._source, self.report, self._stopping)
        self._thread = threading.Thread(target=self._run, name="collector", daemon=True)

    @property
    def error(self) -> str:
        """What keeps all files from being followed, or from being taken; empty: nothing."""
        return self.report.error

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def set(self, entries: Sequence[Entry]) -> None:
        """Follow these entries from now on; what both know goes on undisturbed. From any thread."""
        self._wished = entries
        with contextlib.suppress(OSError):
            self._source.wake()

    def stop(self) -> None:
        """Stop reading, wait for what the bus has been given, and give the files back."""
        self._stopping.set()
        with contextlib.suppress(OSError):  # a thread that a fault has ended gave its descriptors back
            self._source.wake()
        self._thread.join()

    def status(self) -> list[FileStatus]:
        """Return how each file is doing. From any thread."""
        return self.report.files()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if self._wished is not None:
                    wished, self._wished = self._wished, None
                    self._source.set(wished)
                before = time.thread_time()
                self._step()
                self.looked.set()
                if not self._source.behind:
                    self._stopping.wait(self._rest.after(time.thread_time() - before, time.monotonic()))
                    self._source.wait(RETRY_S if self._flight else _IDLE_S)
            self._flight.drain()
        except Closed:
            pass  # the bus was shut down: what it did not take is read again in the next life
        except Exception as fault:
            self.report.error = f"following has stopped, a restart goes on where it was: {fault!r}"
            raise
        finally:
            self._source.close()

    def _step(self) -> None:
        """Read and understand one block of every file that has one, and append it."""
        for file, lines in self._source.poll():
            size = lines.origin.next - lines.origin.first
            self._flight.make_room(file, size)
            if self._stopping.is_set():
                break
            if lines.origin.source == file.name and lines.origin.next != file.offset:
                continue  # the bus sent the file back to another place meanwhile
            self._flight.gather(file, self._understood(file, lines), size)
        self._flight.hand_over()
        self._flight.land()
        for name in self._source.forgotten:
            self._bus.forget(name)
        self._source.forgotten.clear()

    def _understood(self, file: FollowedFile, lines: Lines) -> Batch:
        """Return the batch of these lines; what has to wait for more goes back to the file."""
        batch = self.pipeline.process(lines)
        place = batch.origins[-1].next
        waiting = 0
        if place != lines.origin.next:
            own = lines.positions[-lines.origin.rows :]
            waiting = len(own) - int(own.searchsorted(place))
            batch = batch.noted(file.give_back(place, waiting, time.monotonic()))
        self.report.lines += len(lines.lines) - waiting
        return batch
