"""The bus as a second process of the same server reads it: the segments of a folder that another process writes.

The writer says how far the log goes (``told``); up to there everything is on disk and will not change. What stands
behind it in a file may be a frame that is being written, and is not looked at. Nothing is written here, and nothing is
kept decoded: whoever reads the newest gets it from the page cache.

A segment that retention has removed is let go as soon as that is said, so that its room on the disk becomes free.
Between the removal and the word of it a read of it finds its file still open, or raises Gone.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from tailrace.bus.segment import Segment
from tailrace.cursor import Cursor, Position
from tailrace.errors import Damaged, Gone
from tailrace.record import Batch


class BusView:
    """What a reader needs of a bus (``Reading`` in ``tail.catchup``); any number of threads."""

    def __init__(self, directory: Path, epoch: int) -> None:
        """Look at the log in ``directory``; nothing is known of it until the writer has told."""
        self._directory = directory
        self.epoch = epoch
        self._first = self._next = 0
        self._segments: list[Segment] = []
        self._calls: list[Callable[[], None]] = []
        self._reading = threading.Lock()

    @property
    def first(self) -> Cursor:
        """The oldest position that can still be read."""
        return Cursor(self.epoch, self._first)

    @property
    def next(self) -> Cursor:
        """The position behind the newest record that is known to be on disk."""
        return Cursor(self.epoch, self._next)

    def newest(self, seen: Position | None = None) -> Cursor:  # noqa: ARG002 - there is one log
        """Return ``next``: the writer tells when there is more."""
        return self.next

    def since(self, time_ns: int) -> Cursor:  # noqa: ARG002 - the bus knows no times
        """Return ``first``."""
        return self.first

    def recent(self, start: Position, bytes_max: int) -> list[Batch]:
        """Return the batches from ``start`` on, as ``read``."""
        return self.read(start.cursors[0], bytes_max)

    def told(self, first: int, end: int) -> None:
        """Take note that the log holds [first, end) now, and tell who waits."""
        self._first, self._next = max(first, self._first), max(end, self._next)
        if self._segments and self._segments[0].next <= self._first:
            with self._reading:
                self._segments = [one for one in self._segments if one is self._segments[-1] or one.next > self._first]
        for call in self._calls:
            call()

    def on_commit(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have ``call`` called whenever more is known; returns what takes that back."""
        self._calls = [*self._calls, call]

        def take_back() -> None:
            self._calls = [known for known in self._calls if known is not call]

        return take_back

    def read(self, start: Cursor, bytes_max: int) -> list[Batch]:
        """Return the batches from ``start`` on, about ``bytes_max`` bytes; as ``Bus.read``. Raises Gone."""
        end = self._next
        if start.epoch != self.epoch or start.offset < self._first:
            raise Gone(f"{start} is no longer on the bus, which begins at {self.first}", next=self.first)
        if start.offset >= end:
            return []
        found: list[Batch] = []
        segments = self._segments_from(start.offset, end)
        if not segments or start.offset < segments[0].first:
            raise Gone(f"{start} was removed from the bus just now", next=self.first)
        for segment in segments:
            room = bytes_max - sum(batch.nbytes for batch in found)
            if room <= 0:
                break
            found += segment.read(max(start.offset, segment.first), min(segment.next, end), room)
        if not found:
            raise Gone(f"what follows {start} is damaged", next=Cursor(self.epoch, end))
        return found

    def close(self) -> None:
        """Close the files."""
        for segment in self._segments:
            segment.close()

    def _segments_from(self, offset: int, end: int) -> list[Segment]:
        """Return the segments that hold [offset, end), with their ends as far as they are known."""
        with self._reading:
            if not self._segments or self._segments[-1].next < end:
                self._refresh(end)
            at = max(bisect_right(self._segments, offset, key=lambda segment: segment.first) - 1, 0)
            return self._segments[at:]

    def _refresh(self, end: int) -> None:
        """Look for new segments, and for how far the last one goes: to ``end``, unless there is one behind it."""
        known = {segment.path.name: segment for segment in self._segments}
        segments: list[Segment] = []
        for path in sorted(self._directory.glob("*.seg")):
            if int(path.stem) >= end:
                continue  # made for what is not committed yet
            try:
                segments.append(known.get(path.name) or Segment.open(path, writable=False))
            except FileNotFoundError:
                segments.clear()  # retention was faster: what lies before it is gone as well
            except Damaged:
                continue  # as the writer leaves it out
        for segment, follower in pairwise(segments):
            segment.next = follower.first
        if segments:
            segments[-1].next = end
        for segment in segments:
            segment.grown()
        self._segments = segments
