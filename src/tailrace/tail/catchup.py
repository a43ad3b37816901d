"""Reading what a tail has missed: [position, stop) of one view, in the order of arrival, step by step.

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
from typing import Protocol

from tailrace.bus import Log
from tailrace.cursor import Cursor
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
        """Return the first stretch [first, next) behind ``start`` (or around it) from which nothing was removed.

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


class CatchUp:
    """Reads for one tail; see the head of this module."""

    def __init__(self, bus: Log, history: History, view: View) -> None:
        """Prepare to read; nothing is opened yet."""
        self.first_ns = TIME_MIN_NS
        self.until: Cursor | None = None
        self._bus = bus
        self._history = history
        self._view = view
        self._evaluation = Evaluation(view)
        self._progress = Progress(seconds_max=float("inf"))
        self._scan: Generator[Batch] | None = None
        self._scan_next: Cursor | None = None
        self._scan_stop: Cursor | None = None
        self._failed_at: Cursor | None = None
        self._counting = False

    def since(self, first_ns: int, until: Cursor) -> None:
        """Leave out records that happened before ``first_ns`` and arrived before ``until``."""
        self.first_ns = first_ns
        self.until = until
        self._evaluation.since(first_ns, until)

    def step(self, start: Cursor, stop: Cursor) -> list[Chunk] | Gap:
        """Return the next chunks from ``start`` on (they end at ``stop`` or earlier, and get somewhere), or a gap.

        ``start`` is before ``stop``. Raises Cancelled after ``cancel``, and what bus and store raise when asking
        again does not help.
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

    def _step(self, start: Cursor, stop: Cursor) -> list[Chunk] | Gap:
        self._progress.check()
        bounded = self.until is not None and start < self.until
        if bounded and self.until is not None:
            stop = min(stop, self.until)
        if self._scan is not None and self._scan_next == start:
            return self._scan_step(start)
        self.close()
        if not bounded and stop - start <= TAIL_BUS_ROWS_MAX and self._bus.first <= start:
            try:
                return self._bus_step(start, stop)
            except Gone:
                pass  # Retention was faster; the store has what is needed.
        return self._open(start, stop)

    def skip(self, start: Cursor, stop: Cursor) -> list[Chunk | Gap]:
        """Return what stands for [start, stop) when it is not sent: gaps that count what matches, the digest with it.

        Chunks without records stand where nothing matches. Raises as ``step`` does.
        """
        self._counting = True
        self.close()
        try:
            return self._skipped(start, stop)
        finally:
            self._counting = False
            self.close()

    def _skipped(self, start: Cursor, stop: Cursor) -> list[Chunk | Gap]:
        skipped: list[Chunk | Gap] = []
        at, tally = start, NOTHING

        def declare() -> None:
            if start < at:
                skipped.append(Gap(start, at, count(tally), "slow", tally) if tally else Chunk(start, at))

        while at < stop:
            found = self.step(at, stop)
            if isinstance(found, Gap):
                declare()
                skipped.append(found)
                start = at = found.end
                tally = NOTHING
                continue
            for chunk in found:
                tally += chunk.tally
                at = chunk.end
        declare()
        return skipped

    def last(self, count: int, stop: Cursor) -> Cursor:
        """Return the position from which on there are ``count`` matches before ``stop``, or all that are held."""
        search = Search(self._view.query.filter, stop=stop, order="arrival_newest")
        with closing(self._history.scan(search, self._progress)) as scan:
            for batch in scan:
                rows = self._view.query.live(batch)
                offsets = [] if rows.offsets is None else sorted(rows.offsets.tolist())
                if len(offsets) >= count:
                    return Cursor(stop.epoch, offsets[-count])
                count -= len(offsets)
        return self.oldest(stop)

    def oldest(self, stop: Cursor) -> Cursor:
        """Return the oldest position that is held, ``stop`` at most."""
        return min(self._history.held(Cursor(stop.epoch, 0))[0], stop)

    def cancel(self) -> None:
        """Have a step that runs in another thread stop soon."""
        self._progress.cancel()

    def close(self) -> None:
        """Give up an open scan."""
        scan, self._scan = self._scan, None
        if scan is not None:
            scan.close()

    @property
    def progress(self) -> Progress:
        """What stops a step, and whatever else reads for the same tail."""
        return self._progress

    @property
    def is_open(self) -> bool:
        """Whether a scan holds a snapshot of the store."""
        return self._scan is not None

    def _bus_step(self, start: Cursor, stop: Cursor) -> list[Chunk] | Gap:
        stop = min(stop, start + TAIL_CATCH_UP_ROWS)
        batches = contiguous(clipped(self._bus.read(start, TAIL_CATCH_UP_BYTES), stop))
        if not batches:
            return Gap(start, stop, stop - start, "damaged")
        if start < batches[0].first:
            return Gap(start, batches[0].first, batches[0].first - start, "damaged")
        return self._evaluate(batches, start, batches[-1].next)

    def _open(self, start: Cursor, stop: Cursor) -> list[Chunk] | Gap:
        first, end = self._history.held(start)
        if start < first:
            return Gap(start, min(first, stop), min(first, stop) - start, "expired")
        self._scan_stop = min(end, stop)
        bounded = self.until is not None and start < self.until
        # The lines around a match need not match, nor have happened in time.
        whole = bool(self._view.context) and not self._counting
        search = Search(
            Everything() if whole else self._view.query.filter,
            first_ns=self.first_ns if bounded and not whole else TIME_MIN_NS,
            start=start,
            stop=self._scan_stop,
            order="arrival",
        )
        self._scan = self._history.scan(search, self._progress)
        chunks = self._scan_step(start)
        first, end = self._history.held(start)
        if start < first or end < self._scan_stop:
            # Retention was at work while the snapshot was taken: what it shows is not what was promised.
            self.close()
            return []
        return chunks

    def _scan_step(self, start: Cursor) -> list[Chunk]:
        if self._scan is None or self._scan_stop is None:
            raise ValueError("no scan is open")
        batch = next(self._scan, None)
        if batch is None:
            self.close()
            return self._evaluate([], start, self._scan_stop)
        chunks = self._evaluate([batch], start, batch.next)
        self._scan_next = batch.next
        return chunks

    def _evaluate(self, batches: list[Batch], start: Cursor, end: Cursor) -> list[Chunk]:
        if self._counting:
            total = self._view.query.tally(Batch.concat(batches)) if batches else NOTHING
            return [Chunk(start, end, tally=total)]
        if self._evaluation.position != start:
            self._evaluation = self.primed(start)
        return self._evaluation.evaluate(batches, start, end)

    def primed(self, start: Cursor) -> Evaluation:
        """Return an evaluation that goes on at ``start`` as if it had seen everything before. Raises Cancelled."""
        evaluation = Evaluation(self._view)
        if self.until is not None:
            evaluation.since(self.first_ns, self.until)
        first = Cursor(start.epoch, max(0, start.offset - PRIME_ROWS))
        if self._view.context and first < start:
            try:
                with closing(
                    self._history.scan(Search(Everything(), start=first, stop=start, order="arrival"), self._progress)
                ) as scan:
                    for batch in scan:
                        evaluation.prime(batch)
            except (Gone, Damaged):
                # Lines around matches are lost, which are not promised; what is promised, ``step`` will see to.
                pass
        return evaluation


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
            kept.append(batch.slice(0, stop - batch.first))
    return kept
