"""Where a tail begins: with what comes next, behind what was seen, with the past since a moment or its newest lines."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tailrace.cursor import Checkpoint, Position

if TYPE_CHECKING:
    from tailrace.tail.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Now:
    """Begin with what arrives next."""


@dataclass(frozen=True, slots=True)
class After:
    """Begin behind what a client has seen; ``past`` is what is still left of a start by time (``Viewer.past``)."""

    checkpoint: Checkpoint
    past: tuple[int, Position] | None = None


@dataclass(frozen=True, slots=True)
class Since:
    """Begin with everything held that happened at ``time_ns`` or later; what arrives from now on comes regardless."""

    time_ns: int


@dataclass(frozen=True, slots=True)
class Last:
    """Begin with the newest ``count`` matches."""

    count: int


Play = Callable[["Viewer"], Awaitable[Position]]
"""Begin where it says when it is done: it may show the past in its own way before."""
Start = Now | After | Since | Last | Play


def is_known(start: Start, end: Position) -> bool:
    """Tell whether it is known where a tail begins, without asking store or bus; ``end`` is the end of the bus here.

    A client may know more than this server: then it has been at another one.
    """
    if isinstance(start, Now):
        return bool(end.cursors)
    if isinstance(start, After):
        return all((last := end.get(seen.epoch)) and seen <= last for seen in start.checkpoint.cursors)
    return False
