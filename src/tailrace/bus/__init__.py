"""The bus: an append-only log of batches, and the contract that every implementation keeps.

Purpose. Sources and pipeline end here; everything after is a reader with a cursor. A slow reader hurts nobody.

Rules.
  append   A batch is on disk when its future is done, and can be read from then on, never earlier. Batches are kept
           in the order of their appends, rows in the order of the batch; offsets are dense from the log's beginning.
           An append whose origins were all taken before adds nothing and answers with the end of the log; one that
           was taken in part fails with OriginTaken, and the source reads again from there. So appending twice is
           the same as appending once, and a source needs no checkpoint of its own: what it has delivered is what
           ``taken`` says, because both are written in one frame.
  read     From any offset in [first, next]; the first batch begins exactly there.
  retain   Whole segments go when ``release`` has passed them and the log is larger than BUS_BYTES_MAX.

``disk.py`` keeps it on this machine (one process, any number of threads); Kafka keeps it on many.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from tailrace.cursor import Cursor, Position
from tailrace.record import Batch, Origin


class Log(Protocol):
    """What a reader needs: of a ``Bus``, or of a ``view.BusView`` in another process of the machine.

    It may be several logs read as one: then its positions are checkpoints, and each batch is of one of them.
    """

    @property
    def first(self) -> Position:
        """The oldest position that can still be read, as far as is known."""
        ...

    @property
    def next(self) -> Position:
        """The position behind the newest record that is on disk, as far as is known; it names every log there is."""
        ...

    def newest(self, seen: Position | None = None) -> Position:
        """Return ``next`` as it is now, from whoever keeps the log: may take a moment, and raise what went wrong.

        It names the logs of ``seen`` that are there, also those that were added a moment ago.
        """
        ...

    def since(self, time_ns: int) -> Position:
        """Return a position before which nothing happened at ``time_ns`` or later, if one can be had for little."""
        ...

    def read(self, start: Cursor, bytes_max: int) -> list[Batch]:
        """Return the batches of one log from ``start`` on, at least one when there is any, else about ``bytes_max``.

        What they cover begins at ``start`` and goes on from one to the next. Where it does not, the disk has damaged
        records: those are stepped over. Raises Gone when nothing can be read at ``start``: it is before ``first``, or
        in another log, or damaged. May take a moment when another machine keeps the log.
        """
        ...

    def recent(self, start: Position, bytes_max: int) -> list[Batch]:
        """Return the batches of all logs from ``start`` on, as ``read`` does, without ever waiting for a machine.

        It is for who is at the end of the log, and called after each commit. Raises Gone also when ``start`` is so far
        back that it would have to wait.
        """
        ...

    def on_commit(self, call: Callable[[], None]) -> Callable[[], None]:
        """Have ``call`` called, in the bus's own thread, after each commit; returns what takes that back.

        Where another machine keeps the log, it is followed while somebody wants to be called, from ``next`` on.
        """
        ...


class Bus(Log, Protocol):
    """An append-only log of records. Every method may be called from any thread; none but ``wait`` blocks for long."""

    def append(self, batch: Batch) -> Future[Position]:
        """Queue a batch; the future gives the position behind it once it is on disk.

        Raises Busy when too much is queued (come back soon). The future raises DiskFull (nothing was appended;
        try again later), OriginTaken or Closed.
        """
        ...

    def wait(self, start: Position, timeout_s: float) -> bool:
        """Block until there is something to read at ``start``, for ``timeout_s`` at most; tell whether there is."""
        ...

    def taken(self, source: str) -> Origin | None:
        """Return how far a source's places are taken (``next`` and its newest ``note``), or None."""
        ...

    def sources(self, prefix: str) -> list[Origin]:
        """Return the newest origin of every source whose name begins with ``prefix``."""
        ...

    def forget(self, source: str) -> None:
        """Drop a source from the ledger, because it can never come back."""
        ...

    def release(self, below: Position) -> None:
        """Tell that the store has everything before ``below``: retention may remove it."""
        ...

    def close(self) -> None:
        """Commit what was queued, then refuse everything."""
        ...
