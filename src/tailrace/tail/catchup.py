"""Reading what a tail has missed: [position, stop) of one view, in the order of arrival, step by step.

Of several logs each is read by itself, the one first that is furthest back in time: a step is about one log.

Two ways lead through the past. Far behind, the store is asked (its index skips what cannot match; it reads the bus for
what is newer): one scan is kept open from step to step. Near, or where the store holds nothing yet, the bus is read,
because a few thousand records of it cost less than a search. Both give the same records, so where the one ends
and the other begins makes no difference.

What neither has was removed by retention: a ``Gap`` says so, ``expired``, with its count. Whether a range was removed
is looked up before a scan is opened and again behind its first batch, when its snapshot is taken: a part that is
dropped in between is seen.

A view with context needs what lies between the matches, so all records are read, and first those before the position.

Used by one thread at a time. A crash loses nothing: the client has its checkpoint.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol

from tailrace.bus import Log
from tailrace.cursor import Cursor, Position
from tailrace.errors import Damaged, Gone, TailraceError
from tailrace.frame import Gap
from tailrace.limits import TAIL_BUS_ROWS_MAX, TAIL_CATCH_UP_BYTES, TAIL_CATCH_UP_ROWS
from tailrace.query.filters.logic import Everything
from tailrace.record import Batch
from tailrace.store import TIME_MIN_NS, Progress, Search
from tailrace.tail.evaluate import Chunk
from tailrace.tail.view import PRIME_ROWS, Evaluation, View
from tailrace.tally import NOTHING, count


class Elsewhere(TailraceError):
    """What a tail has missed cannot be read in this process, but in the one that has the store."""


class NoHistory:
    """The history of a process that has none: a tail that needs it goes back to the one that has."""

    def held(self, start: Cursor) -> tuple[Cursor, Cursor]:
        """Raise Elsewhere."""
        raise Elsewhere(f"what follows {start} is not read here")

    def stretches(self, since_ns: int) -> list[tuple[Cursor, Cursor]]:  # noqa: ARG002
        """Raise Elsewhere."""
        raise Elsewhere("the store is not read here")

    def scan(self, search: Search, progress: Progress) -> Generator[Batch]:  # noqa: ARG002
        """Raise Elsewhere."""
        raise Elsewhere("the store is not read here")


class History(Protocol):
    """Store and bus as one (``tailrace.store.search.History``): what a tail needs of it."""

    def held(self, start: Cursor) -> tuple[Cursor, Cursor]:
        """Return the first stretch [first, next) of a log behind ``start`` (or around it) with nothing removed from it.

        Its end is the end of the bus, or where the next thing that retention removed begins.
        """
        ...

    def stretches(self, since_ns: int) -> list[tuple[Cursor, Cursor]]:
        """Return the ranges [first, next) that are held, in the order of the log; the last ends with the bus.

        Ranges of which everything happened before ``since_ns`` may be left out.
        """
        ...

    def scan(self, search: Search, progress: Progress) -> Generator[Batch]:
        """Yield exactly the records that ``search`` asks for; the snapshot is taken when the first is asked for."""
        ...


@dataclass(slots=True)
class _Scan:
    """An open scan of one log: of what is behind ``next``, before ``stop``."""

    batches: Generator[Batch]
    next: Cursor
    stop: Cursor


class CatchUp:
    """Reads for one tail; see the head of this module."""

    def __init__(self, bus: Log, history: History, view: View) -> None:
        """Prepare to read; nothing is opened yet."""
        self.first_ns = TIME_MIN_NS
        self.until: Position | None = None
        self._bus = bus
        self._history = history
        self._view = view
        self._evaluation = Evaluation(view)
        self._progress = Progress(seconds_max=float("inf"))
        self._scans: dict[int, _Scan] = {}
        self._reached_ns: dict[int, int] = {}
        self._failed_at: Position | None = None
        self._counting = False

    def since(self, first_ns: int, until: Position) -> None:
        """Leave out records that happened before ``first_ns`` and arrived before ``until``."""
        self.first_ns = first_ns
        self.until = until
        self._evaluation.since(first_ns, until)

    def step(self, start: Position, stop: Position) -> list[Chunk] | Gap:
        """Return the next chunks from ``start`` on (they end at ``stop`` or earlier, and get somewhere), or a gap.

        ``start`` is before ``stop`` in some log; those in which it is not are left alone. Raises Cancelled after
        ``cancel``, and what bus and store raise when asking again does not help.
        """
        try:
            return self._step(start, stop)
        except (Gone, Damaged):
            # Retention or a damaged part came between; asked again, the store knows what is left.
            self.close()
            if self._failed_at == start:
                raise
            self._failed_at = start
            return []

    def _step(self, start: Position, stop: Position) -> list[Chunk] | Gap:
        self._progress.check()
        first, behind = self._furthest_back(start, stop)
        until = None if self.until is None else self.until.get(first.epoch)
        bounded = until is not None and first < until
        if bounded and until is not None:
            behind = min(behind, until)
        scan = self._scans.get(first.epoch)
        if scan is not None and scan.next == first:
            return self._scan_step(scan, start)
        self._close(first.epoch)
        if not bounded and behind - first <= TAIL_BUS_ROWS_MAX and self._on_bus(first):
            try:
                return self._bus_step(start, first, behind)
            except Gone:
                pass  # Retention was faster; the store has what is needed.
        return self._open(start, first, behind, bounded=bounded)

    def _furthest_back(self, start: Position, stop: Position) -> tuple[Cursor, Cursor]:
        """Return where to read next: of the logs in which something is missing, the one that is furthest back."""
        stretches = [(start.get(behind.epoch) or behind.beginning, behind) for behind in stop.cursors]
        missing = [stretch for stretch in stretches if stretch[0] < stretch[1]]
        return min(missing, key=lambda stretch: self._reached_ns.get(stretch[0].epoch, 0))

    def _on_bus(self, start: Cursor) -> bool:
        oldest = self._bus.first.get(start.epoch)
        return oldest is not None and oldest <= start

    def skip(self, start: Position, stop: Position) -> list[Chunk | Gap]:
        """Return what stands for [start, stop) when it is not sent: gaps that count what matches, the digest with it.

        Chunks without records stand where nothing matches. Raises as ``step`` does.
        """
        self._counting = True
        self.close()
        skipped: list[Chunk | Gap] = []
        try:
            for behind in stop.cursors:
                here = start.get(behind.epoch)
                if here is None or here < behind:
                    skipped += self._skipped(start, start.with_cursor(behind), behind.epoch)
                    start = start.with_cursor(behind)
        finally:
            self._counting = False
            self.close()
        return skipped

    def _skipped(self, start: Position, stop: Position, epoch: int) -> list[Chunk | Gap]:
        skipped: list[Chunk | Gap] = []
        at, tally = start, NOTHING

        def declare() -> None:
            first, behind = (position.get(epoch) for position in (start, at))
            if tally and behind is not None:
                skipped.append(Gap(first or behind.beginning, behind, count(tally), "slow", tally))
            elif start < at:
                skipped.append(Chunk(start, at))

        while at < stop:
            found = self.step(at, stop)
            if isinstance(found, Gap):
                declare()
                skipped.append(found)
                start = at = at.with_cursor(found.end)
                tally = NOTHING
                continue
            for chunk in found:
                tally += chunk.tally
                at = chunk.end
        declare()
        return skipped

    def last(self, count: int, stop: Position) -> Position:
        """Return the position from which on there are ``count`` matches before ``stop``, or all that are held.

        Of several logs they are the newest by time, and what lies between them comes with them.
        """
        order = "arrival_newest" if isinstance(stop, Cursor) else "newest"
        position = stop
        with closing(
            self._history.scan(Search(self._view.query.filter, stop=stop, order=order), self._progress)
        ) as scan:
            for batch in scan:
                rows = self._view.query.live(batch)
                offsets = [] if rows.offsets is None else rows.offsets.tolist()[:count]
                if offsets:
                    here = position.get(batch.epoch)
                    first = Cursor(batch.epoch, min(offsets))
                    position = position.with_cursor(min(here, first) if here else first)
                    count -= len(offsets)
                    if not count:
                        return position
        return self.oldest(stop)

    def oldest(self, stop: Position) -> Position:
        """Return the oldest position that is held, ``stop`` at most."""
        oldest = stop
        for behind in stop.cursors:
            oldest = oldest.with_cursor(min(self._history.held(behind.beginning)[0], behind))
        return oldest

    def cancel(self) -> None:
        """Have a step that runs in another thread stop soon."""
        self._progress.cancel()

    def close(self) -> None:
        """Give up all open scans."""
        for epoch in list(self._scans):
            self._close(epoch)

    def _close(self, epoch: int) -> None:
        scan = self._scans.pop(epoch, None)
        if scan is not None:
            scan.batches.close()

    @property
    def progress(self) -> Progress:
        """What stops a step, and whatever else reads for the same tail."""
        return self._progress

    @property
    def is_open(self) -> bool:
        """Whether a scan holds a snapshot of the store."""
        return bool(self._scans)

    def _bus_step(self, position: Position, start: Cursor, stop: Cursor) -> list[Chunk] | Gap:
        stop = min(stop, start + TAIL_CATCH_UP_ROWS)
        batches = contiguous(clipped(self._bus.read(start, TAIL_CATCH_UP_BYTES), stop))
        if not batches:
            return Gap(start, stop, stop - start, "damaged")
        if start < batches[0].first:
            return Gap(start, batches[0].first, batches[0].first - start, "damaged")
        return self._evaluate(batches, position, batches[-1].next)

    def _open(self, position: Position, start: Cursor, stop: Cursor, *, bounded: bool) -> list[Chunk] | Gap:
        first, end = self._history.held(start)
        if start < first:
            return Gap(start, min(first, stop), min(first, stop) - start, "expired")
        stop = min(end, stop)
        # The lines around a match need not match, nor have happened in time.
        whole = bool(self._view.context) and not self._counting
        search = Search(
            Everything() if whole else self._view.query.filter,
            first_ns=self.first_ns if bounded and not whole else TIME_MIN_NS,
            start=start,
            stop=stop,
            order="arrival",
        )
        scan = self._scans[start.epoch] = _Scan(self._history.scan(search, self._progress), start, stop)
        chunks = self._scan_step(scan, position)
        first, end = self._history.held(start)
        if start < first or end < stop:
            # Retention was at work while the snapshot was taken: what it shows is not what was promised.
            self._close(start.epoch)
            return []
        return chunks

    def _scan_step(self, scan: _Scan, position: Position) -> list[Chunk]:
        batch = next(scan.batches, None)
        if batch is None:
            self._close(scan.stop.epoch)
            return self._evaluate([], position, scan.stop)
        chunks = self._evaluate([batch], position, batch.next)
        scan.next = batch.next
        return chunks

    def _evaluate(self, batches: list[Batch], start: Position, behind: Cursor) -> list[Chunk]:
        """Return what is in batches of one log, from ``start`` to where that log is ``behind``."""
        end = start.with_cursor(behind)
        found = [batch for batch in batches if len(batch)]
        if found:
            self._reached_ns[behind.epoch] = int(found[-1].numpy("observed")[-1])
        if self._counting:
            total = self._view.query.tally(Batch.concat(found)) if found else NOTHING
            return [Chunk(start, end, tally=total)]
        if self._evaluation.position != start:
            self._evaluation = self.primed(start)
        return self._evaluation.evaluate(found, start, end)

    def primed(self, start: Position) -> Evaluation:
        """Return an evaluation that goes on at ``start`` as if it had seen everything before. Raises Cancelled."""
        evaluation = Evaluation(self._view)
        if self.until is not None:
            evaluation.since(self.first_ns, self.until)
        for behind in start.cursors if self._view.context else ():
            self._prime(evaluation, Cursor(behind.epoch, max(0, behind.offset - PRIME_ROWS)), behind)
        return evaluation

    def _prime(self, evaluation: Evaluation, first: Cursor, start: Cursor) -> None:
        """Have an evaluation see what lies in one log before ``start``."""
        if not first < start:
            return
        try:
            with closing(
                self._history.scan(Search(Everything(), start=first, stop=start, order="arrival"), self._progress)
            ) as scan:
                for batch in scan:
                    evaluation.prime(batch)
        except (Gone, Damaged):
            # Lines around matches are lost, which are not promised; what is promised, ``step`` will see to.
            pass


def contiguous(batches: list[Batch]) -> list[Batch]:
    """Return the batches up to the first hole (records that the disk has damaged)."""
    for at in range(1, len(batches)):
        if batches[at - 1].next < batches[at].first:
            return batches[:at]
    return batches


def clipped(batches: list[Batch], stop: Cursor) -> list[Batch]:
    """Return the batches without what is at or behind ``stop``."""
    kept: list[Batch] = []
    for batch in batches:
        if batch.next <= stop:
            kept.append(batch)
        elif batch.first < stop:
            kept.append(batch.before(stop))
    return kept
