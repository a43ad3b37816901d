"""What is on its way from files to the bus: gathered, appended, and not yet acknowledged.

A file has at most one batch that the bus has not acknowledged; the next one is read and understood meanwhile. Small
batches of several files are gathered, so that they become one frame of the bus; a large one does not keep them waiting.
What the bus has no room for is offered again, and meanwhile nothing more is taken: memory is bounded by what is in
flight. The position of a file is what the bus has taken; there is no other checkpoint. Used by one thread.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from concurrent.futures import wait as wait_for

from tailrace.bus import Bus
from tailrace.collect.report import Report
from tailrace.cursor import Position
from tailrace.errors import Busy, DataError, OriginTaken
from tailrace.limits import APPEND_BYTES_MAX, BATCH_BYTES_MIN, GATHER_BYTES
from tailrace.record import Batch
from tailrace.sources.file import FileSource
from tailrace.sources.followed import FollowedFile

RETRY_S = 0.25
_DRAIN_S = 10.0


class Flight:
    """See the head of this module. Once ``stopping`` is set nothing more is appended; it can be read again."""

    def __init__(self, bus: Bus, source: FileSource, report: Report, stopping: threading.Event) -> None:
        self._bus = bus
        self._source = source
        self._report = report
        self._stopping = stopping
        self._flying: dict[FollowedFile, tuple[Batch, Future[Position]]] = {}
        self._flying_bytes = 0
        self._gathered: dict[FollowedFile, Batch] = {}
        self._gathered_bytes = 0
        self._left_out: dict[FollowedFile, tuple[str, int]] = {}

    def __len__(self) -> int:
        return len(self._flying)

    def make_room(self, file: FollowedFile, size: int) -> None:
        """Hand over what was gathered when ``size`` bytes of a file cannot be gathered beside it."""
        if file in self._gathered or self._gathered_bytes + size > GATHER_BYTES:
            self.hand_over()

    def gather(self, file: FollowedFile, batch: Batch, size: int) -> None:
        """Take a batch that ``size`` bytes of a file have become; one without records is done with."""
        if len(batch):
            self._gathered[file] = batch
            self._gathered_bytes += max(size, BATCH_BYTES_MIN)
        elif file in self._flying:  # ... as soon as those before them are
            self._left_out[file] = file.name, batch.origins[-1].next
        else:
            self._acknowledge(file, batch)

    def hand_over(self) -> None:
        """Append what was gathered, all at once: the bus makes one frame of it."""
        self.land()
        while self._gathered and not self._stopping.is_set():
            file = next(iter(self._gathered))
            if file in self._flying or self._flying_bytes > APPEND_BYTES_MAX:
                waited = [self._flying[file][1]] if file in self._flying else [one for _, one in self._flying.values()]
                wait_for(waited, timeout=RETRY_S, return_when="FIRST_COMPLETED")
                self.land()
            else:
                self._append(file, self._gathered.pop(file))
        self._gathered.clear()
        self._gathered_bytes = 0

    def land(self) -> None:
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
                self._go_back(file, taken)
            except DataError as error:
                self._report.error = error.message
                refused.append((file, batch))
            else:
                self._report.error = ""
                self._acknowledge(file, batch)
        if refused:
            self._stopping.wait(RETRY_S)
            self._source.look()
        for file, batch in refused:
            self._append(file, batch)

    def drain(self) -> None:
        """Wait for what was appended, as long as that may take."""
        wait_for([future for _, future in self._flying.values()], timeout=_DRAIN_S)
        self.land()

    def _append(self, file: FollowedFile, batch: Batch) -> None:
        while not self._stopping.is_set():
            try:
                future = self._bus.append(batch)
            except Busy as error:
                self._stopping.wait(min(error.retry_s, RETRY_S))
                self._source.look()
                continue
            self._flying[file] = batch, future
            self._flying_bytes += max(batch.nbytes, BATCH_BYTES_MIN)
            return

    def _acknowledge(self, file: FollowedFile, batch: Batch) -> None:
        *before, origin = batch.origins
        if before and file.carries is not None:
            file.carries.acked = before[0].next
            file.carries = None
        if origin.source == file.name:
            file.acked = origin.next
        name, place = self._left_out.pop(file, ("", 0))
        if name == file.name:
            file.acked = place

    def _go_back(self, file: FollowedFile, taken: OriginTaken) -> None:
        """Read a file again from where the bus knows it; what was read behind that is read again, too."""
        self._left_out.pop(file, None)
        for one in (file, file.carries):
            if one is not None and taken.source == one.name:
                self._gathered.pop(file, None)
                file.seek(file.acked)
                one.seek(taken.next)
                one.acked = taken.next
        file.carries = None
