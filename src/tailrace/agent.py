"""The collector: one thread that joins files, pipeline and bus.

A file has at most one batch that the bus has not acknowledged; the next one is read and parsed meanwhile. Small blocks
of several files are gathered, so that they become one frame of the bus; a large one does not keep them waiting. When
the bus is busy or its disk is full the batch is kept and offered again, and nothing more is read: nothing is lost, and
memory is bounded by what is in flight. The position of a file is what the bus has taken; there is no other checkpoint.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from concurrent.futures import wait as wait_for
from datetime import UTC, tzinfo
from pathlib import Path

from tailrace.bus import Bus
from tailrace.collect.report import FileStatus, Report
from tailrace.collect.rest import Rest
from tailrace.cursor import Cursor
from tailrace.errors import Busy, Closed, DataError, OriginTaken
from tailrace.limits import APPEND_BYTES_MAX, BATCH_BYTES_MIN, GATHER_BYTES
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline
from tailrace.record import Batch
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource
from tailrace.sources.followed import FollowedFile

_IDLE_S = 0.5
_RETRY_S = 0.25
_DRAIN_S = 10.0


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
        self._flying: dict[FollowedFile, tuple[Batch, Future[Cursor]]] = {}
        self._flying_bytes = 0
        self._gathered: dict[FollowedFile, Batch] = {}
        self._gathered_bytes = 0
        self._rest = Rest()
        self._left_out: dict[FollowedFile, tuple[str, int]] = {}
        self._wished: Sequence[Entry] | None = None
        self._stopping = threading.Event()
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
                if not self._source.behind:
                    self._stopping.wait(self._rest.after(time.thread_time() - before, time.monotonic()))
                    self._source.wait(_RETRY_S if self._flying else _IDLE_S)
            wait_for([future for _, future in self._flying.values()], timeout=_DRAIN_S)
            self._land()
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
            if file in self._gathered or self._gathered_bytes + size > GATHER_BYTES:
                self._hand_over()
            if self._stopping.is_set():
                break
            if lines.origin.source == file.name and lines.origin.next != file.offset:
                continue  # the bus sent the file back to another place meanwhile
            batch = self._understood(file, lines)
            if len(batch):
                self._gathered[file] = batch
                self._gathered_bytes += max(size, BATCH_BYTES_MIN)
            else:
                self._acknowledge_left_out(file, batch.origins[0].next)
        self._hand_over()
        self._land()
        for name in self._source.forgotten:
            self._bus.forget(name)
        self._source.forgotten.clear()

    def _understood(self, file: FollowedFile, lines: Lines) -> Batch:
        """Return the batch of these lines; what has to wait for more goes back to the file."""
        batch = self.pipeline.process(lines)
        place = batch.origins[0].next
        taken = len(lines.lines)
        if place != lines.origin.next:
            taken = int(lines.positions.searchsorted(place))
            batch = batch.noted(file.give_back(place, len(lines.lines) - taken, time.monotonic()))
        self.report.lines += taken
        return batch

    def _hand_over(self) -> None:
        """Append what was gathered, all at once: the bus makes one frame of it."""
        self._land()
        while self._gathered and not self._stopping.is_set():
            file = next(iter(self._gathered))
            if file in self._flying or self._flying_bytes > APPEND_BYTES_MAX:
                waited = [self._flying[file][1]] if file in self._flying else [one for _, one in self._flying.values()]
                wait_for(waited, timeout=_RETRY_S, return_when="FIRST_COMPLETED")
                self._land()
            else:
                self._append(file, self._gathered.pop(file))
        self._gathered.clear()
        self._gathered_bytes = 0

    def _acknowledge_left_out(self, file: FollowedFile, place: int) -> None:
        """Lines of which nothing is kept are done with as soon as those before them are."""
        if file in self._flying:
            self._left_out[file] = file.name, place
        else:
            file.acked = place

    def _append(self, file: FollowedFile, batch: Batch) -> None:
        while not self._stopping.is_set():
            try:
                future = self._bus.append(batch)
            except Busy as error:
                self._stopping.wait(min(error.retry_s, _RETRY_S))
                self._source.look()
                continue
            self._flying[file] = batch, future
            self._flying_bytes += max(batch.nbytes, BATCH_BYTES_MIN)
            return

    def _land(self) -> None:
        """Take the answers that came; what the disk had no room for is offered again."""
        refused: list[tuple[FollowedFile, Batch]] = []
        for file, (batch, future) in list(self._flying.items()):
            if not future.done():
                continue
            del self._flying[file]
            self._flying_bytes -= max(batch.nbytes, BATCH_BYTES_MIN)
            try:
                future.result()
            except OriginTaken as taken:
                self._left_out.pop(file, None)
                if taken.source == file.name:
                    self._gathered.pop(file, None)  # it was read behind what is read again now
                    file.seek(taken.next)
                    file.acked = taken.next
            except DataError as error:
                self.report.error = error.message
                refused.append((file, batch))
            else:
                self.report.error = ""
                origin = batch.origins[0]
                if origin.source == file.name:
                    file.acked = origin.next
                name, place = self._left_out.pop(file, ("", 0))
                if name == file.name:
                    file.acked = place
        if refused:
            self._stopping.wait(_RETRY_S)
            self._source.look()
        for file, batch in refused:
            self._append(file, batch)
