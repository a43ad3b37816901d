"""Replay: the past, in the order of its time and at any speed, then on into live. What is shown when is in pace.py.

    route -> Replays.open -> hub, whose tail begins where ``_Replay.play`` ends
                             play: pages from threads -> Pace -> frames -> the queue of the tail

A replay is a tail that begins later: until then its frames are put into the queue that the tail has anyway, so every
transport, quota and figure of tails is also that of replays. When the clock has come to now, the tail goes on behind
the last record that was looked at.

Rules.
  read     In pages of bounded rows and bytes, in threads, REPLAY_READS_MAX at a time; the snapshot of the store is
           let go of behind each page, so that a replay that waits for hours holds nothing on the disk.
  lost     What retention or damage removes while somebody replays is a gap, ``expired``. ``_Reader`` notes which ranges
           of the log may hold something that is still to be shown, and compares behind each page. It knows parts, not
           records, so the count of a gap is of all that was removed, also of what was shown before.
  slow     Nothing is added to a queue that is full; the clock goes on, and what is overdue is sent when there is room.
  gone     A client that has left, or an end of the server, is noticed within REPLAY_PING_S.
  crash    Nothing is kept here that a client could need: the place is with the client, as the token of each frame.
  several  Of several logs (partitions) a page is in the order of time over all of them. What was needed of one that is
           there no more is a gap up to where it is known to have been.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

import numpy as np

from tailrace.access.quota import Account
from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import BadInput, Busy, Damaged, Gone, TailraceError
from tailrace.frame import Frame, Gap, Ping, Rows
from tailrace.limits import (
    REPLAY_COALESCE_S,
    REPLAY_PAGE_BYTES,
    REPLAY_PAGE_ROWS_FIRST,
    REPLAY_PAGE_ROWS_MAX,
    REPLAY_PING_S,
    REPLAY_READS_MAX,
    REPLAY_TRIES_MAX,
    REPLAYS_MAX,
    SECOND_NS,
    TAIL_QUEUE_BYTES_MAX,
)
from tailrace.query import Query
from tailrace.record import Batch, rfc3339
from tailrace.store import TIME_MIN_NS, Cancelled, Progress, Search
from tailrace.tail.catchup import History
from tailrace.tail.evaluate import Encode
from tailrace.tail.hub import Hub
from tailrace.tail.pace import OFFSET_MAX, Pace, Page, Place, Span, State, resume
from tailrace.tail.start import After
from tailrace.tail.subscription import State as Tail
from tailrace.tail.view import View
from tailrace.tail.viewer import Viewer

Ranges = list[tuple[int, int]]


class Replays:
    """All replays of one hub. All but ``begin`` is called on its event loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._reads = asyncio.Semaphore(REPLAY_READS_MAX)
        self._count = 0

    def begin(self, first_ns: int, last_ns: int | None) -> Place:
        """Return where a replay of this window begins; an end that is still to come is now. In any thread.

        Raises BadInput, and Away when it is not known how far the log goes.
        """
        if last_ns is not None:
            last_ns = min(last_ns, time.time_ns())
            if last_ns < first_ns:
                raise BadInput("`to` is before `from`", cure="Leave out `to` to go on into live.")
        log_next = Checkpoint(self._hub.bus.newest().cursors)
        return Place.begin(first_ns, last_ns, log_next, _oldest(_by_log(self._hub.history.stretches(first_ns))))

    def open(
        self, view: View, start: Place | After, speed: int | None, encode: Encode, account: Account | None = None
    ) -> Viewer:
        """Add a replay that goes on at a place (``speed`` None: as fast as it is taken), or, past it, the tail.

        Raises Busy or OverQuota when there are too many, QueryError when the query cannot be live.
        """
        if isinstance(start, After):
            return self._hub.open(view, start, encode, account=account)
        if self._count >= REPLAYS_MAX:
            raise Busy(
                f"{self._count} replays are running, which is the limit",
                retry_s=5.0,
                cure="Close one, or search the time instead.",
            )

        async def play(viewer: Viewer) -> Position:
            try:
                place, gaps = resume(start, await self._newest(start))
                return await _Replay(self._hub, viewer, place, speed, self._reads).play(gaps)
            except TailraceError as error:
                viewer.subscription.end(str(error))
                viewer.on_news()
                raise Cancelled from error
            finally:
                self._count -= 1

        viewer = self._hub.open(view, play, encode, account=account)
        self._count += 1
        return viewer

    async def _newest(self, place: Place) -> Checkpoint:
        """Return the end of the log; who knows more of it than this server has been at another one."""
        known = _end(self._hub)
        if not all((last := known.get(seen.epoch)) and seen <= last for seen in place.stop.cursors):
            known = Checkpoint((await asyncio.to_thread(self._hub.bus.newest, place.stop)).cursors)
        return known


class _Replay:
    """One replay: the event loop's side of a ``Pace``; see the head of this module."""

    def __init__(self, hub: Hub, viewer: Viewer, place: Place, speed: int | None, reads: asyncio.Semaphore) -> None:
        # The clock of the machine may be set while a replay runs: only its beginning is taken from it.
        self._ahead_ns = time.time_ns() - time.monotonic_ns()
        self._hub = hub
        self._viewer = viewer
        self._progress = viewer.reader.progress
        self._pace = Pace(place, speed, self._now())
        self._reader = _Reader(hub.history, viewer.view.query, place, self._progress)
        self._reads = reads
        self._reading: asyncio.Task[Page] | None = None
        self._ping_ns = 0

    async def play(self, gaps: list[Gap]) -> Position:
        """Show everything that is to be shown, and return where the tail goes on. Raises Cancelled when it does not."""
        subscription, pace = self._viewer.subscription, self._pace
        for gap in gaps:
            subscription.replayed(gap)
        try:
            while subscription.state is not Tail.ENDED:
                self._progress.check()
                self._take_page()
                now_ns = self._now()
                frames = pace.step(now_ns, _end(self._hub), TAIL_QUEUE_BYTES_MAX - subscription.queued_bytes)
                for frame in frames:
                    self._queue(frame)
                self._have_read()
                self._ping(now_ns)
                self._viewer.on_news()
                if pace.state is State.LIVE:
                    return self._live(pace.place.stop)
                if pace.state is State.OVER:
                    subscription.end("The replay is over.", done=True)
                    self._viewer.on_news()
                    break
                await self._rest(now_ns, shown=bool(frames))
        finally:
            if self._reading is not None:
                self._reading.cancel()
        raise Cancelled

    def _queue(self, frame: Frame) -> None:
        """Queue a frame, unless the account of the client does not pay for it: then the tail has ended."""
        viewer = self._viewer
        if viewer.charged and isinstance(frame, Rows):
            size = sum(map(len, frame.records))
            if not viewer.charge(len(frame.records), size, time.monotonic()):
                viewer.on_news()
                raise Cancelled
        viewer.subscription.replayed(frame)

    def _live(self, stop: Checkpoint) -> Position:
        """Return where the tail goes on: of each log that is there behind what was looked at."""
        position = self._hub.bus.next.beginning
        for cursor in stop.cursors:
            position = position.with_cursor(cursor) if position.get(cursor.epoch) else position
        return position

    def _now(self) -> int:
        return time.monotonic_ns() + self._ahead_ns

    def _take_page(self) -> None:
        """Hand over the page that was read."""
        if self._reading is not None and self._reading.done():
            self._pace.read(self._reading.result())
            self._reading = None

    def _have_read(self) -> None:
        """Have the next page read, when there is one."""
        span = self._pace.wanted()
        if self._reading is None and span is not None:
            self._reading = asyncio.get_running_loop().create_task(self._read(span))
            # A client may leave while a page is read: then nobody asks for it, nor for what went wrong.
            self._reading.add_done_callback(lambda task: task.cancelled() or task.exception())

    async def _read(self, span: Span) -> Page:
        async with self._reads:
            return await asyncio.to_thread(self._reader.read, span)

    async def _rest(self, now_ns: int, *, shown: bool) -> None:
        """Wait until something is due or a page is read; a full queue is looked at again soon."""
        full = self._viewer.subscription.queued_bytes >= TAIL_QUEUE_BYTES_MAX
        if shown or full:
            await asyncio.sleep(REPLAY_COALESCE_S if full or self._pace.paced else 0)
            return
        wake_ns = self._ping_ns
        due_ns = self._pace.wake_ns(now_ns)
        if due_ns is not None:
            wake_ns = min(wake_ns, due_ns)
        rest_s = max(0, wake_ns - self._now()) / SECOND_NS
        if self._reading is None:
            await asyncio.sleep(rest_s)
        else:
            await asyncio.wait([self._reading], timeout=rest_s)

    def _ping(self, now_ns: int) -> None:
        """Say where the clock stands, now and then."""
        if now_ns < self._ping_ns or self._viewer.subscription.queued_bytes >= TAIL_QUEUE_BYTES_MAX:
            return
        self._ping_ns = now_ns + int(REPLAY_PING_S * SECOND_NS)
        place = self._pace.place
        clock = rfc3339(np.array([place.clock_ns], np.int64))[0]
        lag_ms = max(0.0, round((now_ns - place.clock_ns) / 1e6, 1))
        subscription = self._viewer.subscription
        subscription.replayed(
            Ping(place.token(), lag_ms, self._pace.shown, place.stop, subscription.sent, subscription.matched, clock)
        )


class _Reader:
    """Reads the pages of one replay, one after the other, in any thread; see the head of this module."""

    def __init__(self, history: History, query: Query, place: Place, progress: Progress) -> None:
        self._history = history
        self._query = query
        self._progress = progress
        self._rows = REPLAY_PAGE_ROWS_FIRST
        self._place = place
        self._needed: dict[int, Ranges] | None = None

    def read(self, span: Span) -> Page:
        """Return the next page of a span. Raises Cancelled, and what the store raises when asking again is no use."""
        if self._needed is None:
            self._needed = self._at_first(span)
        needed = self._needed
        batches = self._scan(span)
        last = _last(batches[-1]) if batches else None
        lost = self._compare(span, last[0] if last else span.last_ns)
        oldest = _oldest({epoch: without(ranges, lost.get(epoch, [])) for epoch, ranges in needed.items()})
        gone = [(Cursor(epoch, a), Cursor(epoch, b)) for epoch, ranges in lost.items() for a, b in ranges]
        looked_at = sum(map(len, batches))
        ends = looked_at < self._rows
        if last is None:
            nothing = np.zeros(0, np.int64)
            return Page(nothing, nothing, nothing, [], None, ends, gone, oldest)
        times, epochs, offsets, rows = self._shown(batches)
        size = sum(map(len, rows)) or 1
        self._rows = max(1, min(REPLAY_PAGE_ROWS_MAX, 4 * self._rows, looked_at * REPLAY_PAGE_BYTES // size))
        return Page(times, epochs, offsets, rows, last, ends, gone, oldest)

    def _scan(self, span: Span) -> list[Batch]:
        # What happened before the last record was looked at: where Kafka alone has it, it need not be read again.
        first_ns = span.first_ns if span.after is None else max(span.first_ns, span.after[0])
        start = span.start if span.start.cursors else None
        search = Search(self._query.filter, first_ns, span.last_ns, start, span.stop, "oldest", self._rows, span.after)
        for tries in range(1, REPLAY_TRIES_MAX + 1):
            try:
                with closing(self._history.scan(search, self._progress)) as scan:
                    return [batch for batch in scan if len(batch)]
            except (Gone, Damaged):
                # Retention or a damaged part came between; asked again, the store knows what is left.
                if tries == REPLAY_TRIES_MAX:
                    raise
        raise AssertionError("the last try returns or raises")

    def _shown(self, batches: list[Batch]) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[bytes]]:
        """Return times, epochs, offsets and JSON of what the pipes leave of records that the filter has let through."""
        columns: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        rows: list[bytes] = []
        for epoch in sorted({batch.epoch for batch in batches}):
            batch = Batch.concat([batch for batch in batches if batch.epoch == epoch])
            times, offsets, found = self._left(batch)
            columns.append((times, np.full(len(times), epoch, np.uint64), offsets))
            rows += found
        times, epochs, offsets = map(np.concatenate, zip(*columns, strict=True))
        if len(columns) > 1:
            order = np.lexsort((offsets, epochs, times))
            times, epochs, offsets, rows = times[order], epochs[order], offsets[order], [rows[at] for at in order]
        return times, epochs, offsets, rows

    def _left(self, batch: Batch) -> tuple[np.ndarray, np.ndarray, list[bytes]]:
        """Return times, offsets and JSON of what the pipes leave of the records of one log."""
        times, offsets = batch.numpy("time"), batch.offsets
        for rows in self._query.run(iter([batch])):
            if offsets is not None and rows.offsets is not None and len(rows) < len(batch):
                kept = np.isin(offsets, rows.offsets)
                times, offsets = times[kept], offsets[kept]
            return times, np.asarray(offsets), rows.json_rows()
        raise AssertionError("pipes that can be live give something for each batch")

    def _at_first(self, span: Span) -> dict[int, Ranges]:
        """Return the ranges that this replay needs; who comes back needs them from where the token says."""
        needed, held = self._behind(span.first_ns, span.stop), self._held(TIME_MIN_NS)
        for log in self._place.oldest.cursors:
            first = held[log.epoch][0][0] if log.epoch in held else OFFSET_MAX
            if log.offset < first:
                needed[log.epoch] = [(log.offset, first), *needed.get(log.epoch, [])]
        return needed

    def _compare(self, span: Span, last_ns: int) -> dict[int, Ranges]:
        """Return what was needed and is no longer held, and note what is needed behind ``last_ns``."""
        # What goes between these two is in the first only, so it is missed now or the next time, but never overlooked.
        needed = self._behind(last_ns, span.stop)
        held = self._held(TIME_MIN_NS)
        lost: dict[int, Ranges] = {}
        for epoch, ranges in (self._needed or {}).items():
            # Of a log that is there no more, as much as was known of it.
            known = [] if epoch in held else [((span.stop.get(epoch) or Cursor(epoch, 0)).offset, OFFSET_MAX)]
            if gone := without(ranges, held.get(epoch, known)):
                lost[epoch] = gone
        self._needed = {epoch: without(ranges, lost.get(epoch, [])) for epoch, ranges in needed.items()}
        return lost

    def _behind(self, since_ns: int, stop: Checkpoint) -> dict[int, Ranges]:
        """Return the ranges with what is still to be shown: since then, and whatever has come since ``stop``."""
        ahead, needed = self._held(since_ns), dict[int, Ranges]()
        for epoch, ranges in self._held(self._place.first_ns).items():
            end, soon = (stop.get(epoch) or Cursor(epoch, 0)).offset, ahead.get(epoch, [])
            late = [(max(first, end), behind) for first, behind in ranges if end < behind]
            needed[epoch] = sorted([*soon, *without(late, soon)])
        return needed

    def _held(self, since_ns: int) -> dict[int, Ranges]:
        """Return the ranges that are held; the last goes on: what is appended may be removed before we look again."""
        held = _by_log(self._history.stretches(since_ns))
        return {epoch: [*ranges[:-1], (ranges[-1][0], OFFSET_MAX)] for epoch, ranges in held.items()}


def _end(hub: Hub) -> Checkpoint:
    return Checkpoint(hub.bus.next.cursors)


def _last(batch: Batch) -> tuple[int, Cursor]:
    """Return the (time, cursor) of the last row."""
    assert batch.offsets is not None
    return int(batch.numpy("time")[-1]), Cursor(batch.epoch, int(batch.offsets[-1]))


def _by_log(stretches: list[tuple[Cursor, Cursor]]) -> dict[int, Ranges]:
    """Return stretches as ranges of offsets of each log, in its order."""
    found: dict[int, Ranges] = {}
    for first, behind in stretches:
        found.setdefault(first.epoch, []).append((first.offset, behind.offset))
    return found


def _oldest(needed: dict[int, Ranges]) -> Checkpoint:
    """Return where what is needed of each log begins."""
    return Checkpoint.of(Cursor(epoch, min(a for a, _ in ranges)) for epoch, ranges in needed.items() if ranges)


def without(ranges: Ranges, others: Ranges) -> Ranges:
    """Return what ``ranges`` [first, behind) cover and ``others`` do not; both are ascending."""
    left: Ranges = []
    for first, behind in ranges:
        at = first
        for begin, end in others:
            if begin < behind and at < end:
                if at < begin:
                    left.append((at, begin))
                at = max(at, end)
        if at < behind:
            left.append((at, behind))
    return left
