"""What a writer gives its batches to. Anything with these methods goes into ``sinks=[...]``."""

from __future__ import annotations

from typing import Any, Protocol


class Partly(OSError):
    """A sink took only the first lines of a batch, so many bytes; the rest may be tried again."""

    def __init__(self, taken_bytes: int, error: OSError) -> None:
        """Say why it took no more."""
        super().__init__(*error.args)
        self.taken_bytes = taken_bytes


class Sink(Protocol):
    """Where batches go. All calls come from the writer's thread but ``flush``, ``get_stats`` and ``after_fork``."""

    kind: str

    def write(self, data: bytes, count: int) -> None:
        """Take ``count`` whole lines. Raises OSError when it took none, Partly when it took only the first."""
        ...

    def tick(self) -> None:
        """Look after itself; called between batches and now and then. Must not wait."""
        ...

    def flush(self, timeout: float) -> bool:
        """Wait until what was taken survives the end of the process; False when that takes too long."""
        ...

    def close(self, timeout: float) -> None:
        """End."""
        ...

    def get_stats(self) -> dict[str, Any]:
        """Return what there is to know."""
        ...

    def after_fork(self) -> None:
        """Forget in a child what belongs to its parent."""
        ...
