"""The store: a reader of the bus that keeps records for search, and the contract that every implementation keeps.

A store holds exactly the records before its ``checkpoint``; what is newer is still on the bus. ``search.py`` joins the
two by the rule: take a snapshot of the store, note its checkpoint S, search it, and read the bus from S. So what was
acknowledged is found at once, and nothing is found twice.

Order. ``newest`` and ``oldest`` are by (time, cursor); ``arrival`` and ``arrival_newest`` by cursor alone, and cursors
by (epoch, offset): one log after the other. Both are total orders, the same in search, tail, context, export and on
page two.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from tailrace.cursor import Cursor, Position
from tailrace.query.filters import Filter
from tailrace.query.pipes.stats import Counted, Key
from tailrace.record import Batch

Order = Literal["newest", "oldest", "arrival", "arrival_newest"]

TIME_MIN_NS = -(2**63)
TIME_MAX_NS = 2**63 - 1
OFFSET_MAX = 10**18
"""No log is so long."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Who only counts records by these keys says so: a store that can count them itself puts the groups into ``found``.

    Then it leaves those records out of the scan. What ``found`` holds is complete when the scan has ended.
    """

    keys: tuple[Key, ...]
    found: list[Counted] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Search:
    """Which records, in which order, how many.

    ``first_ns`` and ``last_ns`` bound the time, both included; ``start`` and ``stop`` the cursors, as [start, stop). A
    cursor there means its log only; a checkpoint bounds each log, and ``stop`` leaves out those that it does not name.
    ``after`` is the (time, cursor) of the last record of the page before: only records behind it in the order count.
    ``grouping`` is for searches in any order and without a limit.
    """

    filter: Filter
    first_ns: int = TIME_MIN_NS
    last_ns: int = TIME_MAX_NS
    start: Position | None = None
    stop: Position | None = None
    order: Order | None = None
    limit: int | None = None
    after: tuple[int, Cursor] | None = None
    grouping: Grouping | None = None

    def within(self, epoch: int) -> tuple[int, int] | None:
        """Return the offsets [first, next) of one log that are asked for; None when nothing of it is."""
        first, behind = 0, OFFSET_MAX
        if self.start is not None:
            here = self.start.get(epoch)
            if here is None and isinstance(self.start, Cursor):
                return None
            first = here.offset if here else 0
        if self.stop is not None:
            here = self.stop.get(epoch)
            if here is None:
                return None
            behind = here.offset
        return first, behind


class Cancelled(Exception):
    """The work was told to stop, or ran out of time."""


@dataclass(slots=True)
class Progress:
    """What one request has done so far, and the way to stop it from another thread."""

    seconds_max: float
    matched: int = 0
    scanned_records: int = 0
    scanned_bytes: int = 0
    started: float = field(default_factory=time.monotonic)
    timed_out: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        """Have the next ``check`` raise Cancelled."""
        self._stop.set()

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Leave out of the counts what is done meanwhile: a look ahead at records that are scanned again."""
        counts = self.matched, self.scanned_records, self.scanned_bytes
        yield
        self.matched, self.scanned_records, self.scanned_bytes = counts

    @property
    def cancelled(self) -> bool:
        """Whether it was told to stop."""
        return self._stop.is_set()

    def check(self) -> None:
        """Raise Cancelled when told to, or when the time is up; called once per block."""
        if time.monotonic() - self.started > self.seconds_max:
            self.timed_out = True
        if self.timed_out or self._stop.is_set():
            raise Cancelled


class Snapshot(Protocol):
    """The store at one moment; what it holds stays readable until it is closed."""

    @property
    def checkpoint(self) -> Position | None:
        """Every record before this position is in the snapshot and is found; None for an empty store.

        A store that others fill meanwhile may have some behind it: whoever asks says where to ``stop``.
        """
        ...

    def scan(self, search: Search, progress: Progress) -> Iterator[Batch]:
        """Yield batches of exactly the records that ``search`` asks for, in its order (``None``: any order).

        With an order, the concatenation of the batches is in that order and ends at ``limit``. A generator: closing it
        stops the work. Raises Cancelled.
        """
        ...


class Store(Protocol):
    """Records by time and text. ``add`` is called by one thread; everything else by any."""

    @property
    def checkpoint(self) -> Position | None:
        """Every record before it is stored, and durable."""
        ...

    def held(self, since_ns: int = TIME_MIN_NS) -> list[tuple[Cursor, Cursor]]:
        """Return the ranges [first, next) whose records are stored, in the order of the log; retention makes gaps.

        Ranges of which everything happened before ``since_ns`` may be left out.
        """
        ...

    def add(self, batch: Batch) -> None:
        """Take the next batch of the log (it begins where the last ended); durable once ``checkpoint`` passed."""
        ...

    def flush(self) -> None:
        """Make everything that was added durable and move the checkpoint behind it."""
        ...

    def snapshot(self) -> AbstractContextManager[Snapshot]:
        """Return the store as it is now; merging and retention go on beside it."""
        ...
