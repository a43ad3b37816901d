"""The bus on this machine's disk: a folder of segments and the ledger of places taken.

Purpose. Make records durable in milliseconds, give every record its cursor, and let any number of readers follow.

Files. ``<first offset>.seg`` (see segment.py), ``ledger.json`` (see ledger.py). One process at a time, which the lock
of the data directory guarantees.

Write. ``append`` queues; one thread takes whatever is queued (up to one frame), drops what was taken before, joins the
rest, writes one frame, waits for fdatasync, then answers all of them at once: group commit, so that the cost of the
disk is shared by everybody who waits, and a lone line still goes out at once. Who asked to be called (it shows lines to
people) comes before who blocks in ``wait`` (it indexes), because they take turns at one interpreter.

Read. The newest batches are kept decoded in a ring; what is older is read from the segments. When nobody has read while
a whole ring went by, nobody is up to date, and little is kept.

Full or failing disk. The frame is taken back, everybody in it gets DiskFull, nothing was acknowledged, and the next
append tries again. Nothing behind the last good frame can be trusted then, so the segment is cut there; when even that
fails it is given up, and the log goes on in a new one that begins at the same offset.

Crash. The last segment is checked when the log is opened, from where the ledger was saved: a torn end is cut off (it
was not acknowledged), the origins behind the saved ledger are taken again. If the folder is lost but the store is
not, the log goes on behind the store's checkpoint, so that no cursor is ever given twice. A segment whose head cannot
be read is set aside as ``.damaged``; the records that damage has cost are counted in ``damaged_records``.

Delete. When the log is larger than ``bytes_max``, whole segments that lie behind ``release`` go, oldest first, and none
before a saved ledger knows the origins in it: after a crash they could be taken a second time.

Spool. With ``spool_bytes`` the log is what waits for readers that may be away for long: when it has so many bytes and
not all of it was released, appends are refused with DiskFull until there is room. One frame may go beyond it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from itertools import islice
from pathlib import Path

from tailrace.bus.ledger import Ledger
from tailrace.bus.segment import Segment, encode
from tailrace.cursor import Cursor, Position
from tailrace.errors import Busy, Closed, Damaged, DiskFull, Gone, OriginTaken
from tailrace.limits import (
    APPEND_BYTES_MAX,
    BATCH_BYTES_MIN,
    BATCH_ROWS_MAX,
    BUS_BYTES_MAX,
    DISK_FREE_BYTES_MIN,
    FRAME_BYTES_MAX,
    LEDGER_EVERY_BYTES,
    RING_BYTES_MAX,
    RING_UNREAD_BYTES_MAX,
    SEGMENT_BYTES,
)
from tailrace.record import Batch, Origin


class DiskBus:
    """A ``Bus`` in a folder; see the head of this module and the contract in ``tailrace.bus``."""

    def __init__(
        self,
        directory: Path,
        *,
        resume: Cursor | None = None,
        bytes_max: int = BUS_BYTES_MAX,
        segment_bytes: int = SEGMENT_BYTES,
        ring_bytes_max: int = RING_BYTES_MAX,
        spool_bytes: int | None = None,
        threaded: bool = True,
    ) -> None:
        """Open the log in ``directory``, or make it there.

        ``resume`` is the store's checkpoint: the log never goes on before it. Without ``threaded``, nothing is written
        until someone calls ``commit`` (which is how a crash can be simulated at any step). Raises OSError, DataError.
        """
        self._directory = directory
        self._bytes_max = bytes_max
        self._segment_bytes = segment_bytes
        self._ring_bytes_max = ring_bytes_max
        self._spool_bytes = spool_bytes
        lock = threading.RLock()
        self._changed = threading.Condition(lock)  # there is more to read, or it ends
        self._work = threading.Condition(lock)  # of the thread that writes
        self._queue: deque[tuple[Batch, Future[Position]]] = deque()
        self._queue_bytes = 0
        self._closing = False
        self._calls: list[Callable[[], None]] = []
        self._ring: deque[Batch] = deque()
        self._ring_bytes = 0
        self._unread_bytes = RING_BYTES_MAX
        self._ledger = Ledger()
        self._unsaved_bytes = 0
        self._saved = 0  # the ledger on disk knows the origins of what lies before this offset
        self._released = 0
        self._untidy = False
        self.damaged_records = 0
        self.error = ""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._open(resume)
        self._thread = threading.Thread(target=self._run, name="bus", daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    # -- opening -------------------------------------------------------------------------------------------------

    def _open(self, resume: Cursor | None) -> None:
        self._segments: list[Segment] = []
        for path in sorted(self._directory.glob("*.seg")):
            try:
                self._segments.append(Segment.open(path))
            except Damaged:
                # A file without more than its head is what a crash leaves; nothing was in it.
                path.rename(
                    path.with_suffix(".damaged")
                ) if path.stat().st_size >= Segment.HEAD_BYTES else path.unlink()
        position = self._ledger.load(self._directory / "ledger.json") or {}
        self._saved = position.get("next", 0)
        for segment, follower in zip(self._segments, self._segments[1:], strict=False):
            segment.next = follower.first
        # Only segments from the saved position on can hold origins that the ledger does not know.
        known = position.get("segment", -1)
        for segment in self._segments:
            if segment.first < known:
                continue
            last = segment is self._segments[-1]
            start = position["position"] if segment.first == known else 0
            self._replay(segment, start, position.get("next", segment.first) if start else segment.first, last=last)
        epoch = resume.epoch if resume else secrets.randbits(32) | 1
        if self._segments:
            epoch = self._segments[-1].epoch
        self._epoch = epoch
        self._next = self._segments[-1].next if self._segments else 0
        if resume and resume.epoch == epoch and resume.offset > self._next:
            self._next = resume.offset
            self._roll()
        elif not self._segments:
            self._roll()
        self._first = self._segments[0].first

    def _replay(self, segment: Segment, start: int, first: int, *, last: bool) -> None:
        segment_next = segment.next
        good = segment.mend(start or Segment.HEAD_BYTES) if last else segment.good(start or Segment.HEAD_BYTES)
        expected = first
        for frame in good:
            if not last and frame.first >= segment_next:
                break
            self.damaged_records += max(frame.first - expected, 0)
            expected = frame.next
            self._ledger.take(segment.origins(frame))
        if last:
            segment.next = max(expected, segment.first)

    # -- the contract ----------------------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Which log this is."""
        return self._epoch

    @property
    def first(self) -> Cursor:
        """The oldest position that can still be read."""
        return Cursor(self._epoch, self._first)

    @property
    def next(self) -> Cursor:
        """The position behind the newest record that is on disk."""
        return Cursor(self._epoch, self._next)

    @property
    def bytes(self) -> int:
        """What the segments take on disk."""
        return sum(segment.size for segment in list(self._segments))

    def append(self, batch: Batch) -> Future[Position]:
        """Queue a batch; see the contract."""
        if not 0 < len(batch) <= BATCH_ROWS_MAX:
            raise ValueError(f"a batch has 1 to {BATCH_ROWS_MAX} rows, not {len(batch)}")
        done: Future[Position] = Future()
        with self._changed:
            if self._closing:
                raise Closed("the bus is closed")
            if self._queue and self._queue_bytes + batch.nbytes > APPEND_BYTES_MAX:
                raise Busy("too much is waiting for the disk", retry_s=0.1, cure="Send it again in a moment.")
            self._queue.append((batch, done))
            self._queue_bytes += batch.nbytes
            self._work.notify()
        return done

    def read(self, start: Cursor, bytes_max: int) -> list[Batch]:
        """Return batches from ``start`` on; see the contract."""
        if start.epoch != self._epoch:
            raise Gone(f"{start} is a position in another log than {self.next}", next=self.first)
        offset = start.offset
        with self._changed:
            if offset >= self._next:
                return []
            if offset < self._first:
                raise Gone(f"{start} is no longer on the bus, which begins at {self.first}", next=self.first)
            if self._ring and offset >= self._ring[0].first.offset:
                self._unread_bytes = 0
                return self._read_ring(offset, bytes_max)
            self._unread_bytes = 0
            segments = list(self._segments)
            end = self._next
        at = bisect_right(segments, offset, key=lambda segment: segment.first) - 1
        found: list[Batch] = []
        for segment in segments[at:]:
            room = bytes_max - sum(batch.nbytes for batch in found)
            if room <= 0:
                break
            found += segment.read(max(offset, segment.first), min(segment.next, end), room)
        if not found:
            raise Gone(f"what follows {start} is damaged", next=Cursor(self._epoch, end))
        return found

    def newest(self, seen: Position | None = None) -> Cursor:  # noqa: ARG002 - there is one log
        """Return ``next``: nobody else writes this log."""
        return self.next

    def since(self, time_ns: int) -> Cursor:  # noqa: ARG002 - the bus knows no times
        """Return ``first``."""
        return self.first

    def recent(self, start: Position, bytes_max: int) -> list[Batch]:
        """Return batches from ``start`` on; see the contract."""
        return self.read(start.cursors[0], bytes_max)

    def wait(self, start: Position, timeout_s: float) -> bool:
        """Block until there is something to read at ``start``; see the contract."""
        offset = start.cursors[0].offset
        with self._changed:
            return self._changed.wait_for(lambda: self._next > offset or self._closing, timeout_s) and (
                self._next > offset
            )

    def on_commit(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have ``call`` called after each commit; see the contract."""
        self._calls = [*self._calls, call]

        def take_back() -> None:
            self._calls = [known for known in self._calls if known is not call]

        return take_back

    def taken(self, source: str) -> Origin | None:
        """Return how far a source's places are taken."""
        return self._ledger.origins.get(source)

    def sources(self, prefix: str) -> list[Origin]:
        """Return the newest origin of every source whose name begins with ``prefix``."""
        with self._changed:
            return [origin for source, origin in self._ledger.origins.items() if source.startswith(prefix)]

    def forget(self, source: str) -> None:
        """Drop a source from the ledger."""
        with self._changed:
            self._ledger.origins.pop(source, None)

    def release(self, below: Position) -> None:
        """Let retention remove what lies before ``below``."""
        stored = below.get(self._epoch)
        if stored is not None:
            self._released = max(self._released, stored.offset)
            if self._thread is None:
                self._keep_house()
                return
            with self._changed:
                self._untidy = True
                self._work.notify()

    def close(self) -> None:
        """Commit what was queued, save the ledger, then refuse everything."""
        with self._changed:
            self._closing = True
            self._work.notify()
            self._changed.notify_all()
        if self._thread:
            self._thread.join()
        while self._queue:
            self.commit()
        # A ledger that could not be saved costs a slower start, nothing else.
        with contextlib.suppress(OSError):
            self._save_ledger()
        for segment in self._segments:
            segment.close()

    # -- writing: one thread ---------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            with self._work:
                self._work.wait_for(lambda: self._queue or self._closing or self._untidy)
                if self._closing and not self._queue:
                    return
                untidy, self._untidy = self._untidy, False
            try:
                if untidy:
                    self._keep_house()
                self.commit()
            except BaseException as fault:
                # A fault of the program: whoever waits must not wait for ever, and nobody may append any more.
                with self._changed:
                    self._closing = True
                    for _, done in self._queue:
                        done.set_exception(fault)
                    self._queue.clear()
                raise

    def commit(self) -> None:
        """Write what is queued, up to one frame, and answer for it."""
        waiting = self._take_queued()
        fresh: list[tuple[Batch, Future[Position]]] = []
        staged: dict[str, Origin] = {}
        again: list[Future[Position]] = []
        for batch, done in waiting:
            try:
                if self._ledger.is_taken(batch.origins, staged):
                    again.append(done)
                    continue
            except OriginTaken as error:
                done.set_exception(error)
                continue
            staged.update((origin.source, origin) for origin in batch.origins)
            fresh.append((batch, done))
        if fresh:
            if self._is_full():
                self._refuse([done for _, done in fresh] + again)
                return
            joined = Batch.concat([batch for batch, _ in fresh]).placed(self._epoch, self._next)
            try:
                self._write(joined)
            except OSError as error:
                self._give_up(error, [done for _, done in fresh] + again)
                return
            self._publish(joined)
            end = Cursor(self._epoch, joined.first.offset)
            for batch, done in fresh:
                end += len(batch)
                done.set_result(end)
        for done in again:
            done.set_result(self.next)
        if fresh:
            for call in self._calls:
                call()
            with self._changed:
                self._changed.notify_all()
            self._keep_house()

    def _take_queued(self) -> list[tuple[Batch, Future[Position]]]:
        waiting: list[tuple[Batch, Future[Position]]] = []
        rows = size = 0
        with self._changed:
            while self._queue:
                batch, done = self._queue[0]
                if waiting and (rows + len(batch) > BATCH_ROWS_MAX or size + batch.nbytes > FRAME_BYTES_MAX):
                    break
                self._queue.popleft()
                self._queue_bytes -= batch.nbytes
                # Whoever no longer waits for the answer has not been promised anything.
                if done.set_running_or_notify_cancel():
                    waiting.append((batch, done))
                    rows += len(batch)
                    size += batch.nbytes
        return waiting

    def _write(self, batch: Batch) -> None:
        room = os.statvfs(self._directory)
        frame = encode(batch)
        if room.f_bavail * room.f_frsize < DISK_FREE_BYTES_MIN + len(frame):
            raise OSError(28, "no space left on device")
        if self._segments[-1].size >= self._segment_bytes or self._segments[-1].abandoned:
            self._roll()
        self._segments[-1].append(frame, batch)
        self._unsaved_bytes += len(frame)

    def _is_full(self) -> bool:
        return self._spool_bytes is not None and self.bytes >= self._spool_bytes and self._released < self._next

    def _refuse(self, waiting: list[Future[Position]]) -> None:
        full = DiskFull(
            f"the spool in {self._directory} is full: nothing more is read until a server takes what waits",
            cure="Bring the server back, or give agent.spool more room; nothing is dropped.",
        )
        self.error = full.message
        for done in waiting:
            done.set_exception(full)

    def _give_up(self, error: OSError, waiting: list[Future[Position]]) -> None:
        segment = self._segments[-1]
        segment.abandoned = True
        with contextlib.suppress(OSError):
            segment.cut()
            segment.abandoned = False
        full = DiskFull(
            f"the bus in {self._directory} cannot be written: {error.strerror or error}",
            cure="Free some space on this disk, or move --data to a larger one; sending again loses nothing.",
        )
        self.error = full.message
        for done in waiting:
            done.set_exception(full)

    def _publish(self, batch: Batch) -> None:
        self.error = ""
        with self._changed:
            self._ledger.take(batch.origins)
            self._next = batch.next.offset
            self._ring.append(batch)
            self._ring_bytes += max(batch.nbytes, BATCH_BYTES_MIN)
            self._unread_bytes += batch.nbytes
            read = self._unread_bytes < RING_BYTES_MAX
            bound = self._ring_bytes_max if read else min(RING_UNREAD_BYTES_MAX, self._ring_bytes_max)
            while self._ring_bytes > bound and len(self._ring) > 1:
                self._ring_bytes -= max(self._ring.popleft().nbytes, BATCH_BYTES_MIN)

    def _keep_house(self) -> None:
        """Save the ledger now and then, and before a segment goes that it does not know; remove what may go.

        While the disk is so full that it cannot be saved, segments behind the ledger of before stay.
        """
        going = self._going()
        if self._unsaved_bytes > LEDGER_EVERY_BYTES or (going and going[-1].next > self._saved):
            with contextlib.suppress(OSError):
                self._save_ledger()
        for gone in going:
            if gone.next > self._saved:
                break
            with self._changed:
                self._segments.remove(gone)
                self._first = self._segments[0].first
            # Readers that still hold the segment can finish; its file is closed with the last of them.
            gone.path.unlink(missing_ok=True)

    def _going(self) -> list[Segment]:
        """Return the oldest segments, as far as they are beyond ``bytes_max`` and nobody needs them."""
        going: list[Segment] = []
        total = self.bytes
        for segment in self._segments[:-1]:
            if total <= self._bytes_max or segment.next > self._released:
                break
            going.append(segment)
            total -= segment.size
        return going

    def _save_ledger(self) -> None:
        segment = self._segments[-1]
        position = {"segment": segment.first, "position": segment.size, "next": self._next}
        self._ledger.save(self._directory / "ledger.json", position)
        self._unsaved_bytes, self._saved = 0, self._next

    def _roll(self) -> None:
        """Go on in a new segment that begins at the end of the log."""
        segment = Segment.create(self._directory, epoch=self._epoch, first=self._next)
        with self._changed:
            if self._segments:
                self._segments[-1].next = self._next
            if self._segments and self._segments[-1].first == self._next:
                self._segments.pop().close()
            self._segments.append(segment)

    # -- reading the ring ------------------------------------------------------------------------------------------

    def _read_ring(self, offset: int, bytes_max: int) -> list[Batch]:
        at = bisect_right(self._ring, offset, key=lambda batch: batch.first.offset) - 1
        found: list[Batch] = []
        size = 0
        for batch in islice(self._ring, at, None):
            skip = max(offset - batch.first.offset, 0)
            found.append(batch.slice(skip, len(batch)) if skip else batch)
            size += batch.nbytes
            if size >= bytes_max:
                break
        return found
