"""The store of who has none: everything there is, is on the bus, and is looked for there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext

from tailrace.cursor import Cursor
from tailrace.record import Batch
from tailrace.store import TIME_MIN_NS, Progress, Search


class EmptyStore:
    """A ``Store`` that is read and never written; its own snapshot."""

    checkpoint: None = None

    def held(self, since_ns: int = TIME_MIN_NS) -> list[tuple[Cursor, Cursor]]:  # noqa: ARG002
        """Return nothing."""
        return []

    def add(self, batch: Batch) -> None:
        """Take nothing: whoever has this store has no indexer."""
        raise NotImplementedError

    def flush(self) -> None:
        """Do nothing."""

    def snapshot(self) -> AbstractContextManager[EmptyStore]:
        """Return itself."""
        return nullcontext(self)

    def scan(self, search: Search, progress: Progress) -> Iterator[Batch]:  # noqa: ARG002
        """Yield nothing."""
        return iter(())

    def close(self) -> None:
        """Do nothing."""
