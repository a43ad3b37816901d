"""How far a partition is: the offset before which every message is settled.

Blocks are settled in any order, the offset passes them in the order of the log. What lies between two messages
(control records, what compaction took) needs no settling.
"""

from __future__ import annotations

from collections import deque
from typing import Protocol


class Settles(Protocol):
    """What a stretch of a partition waits for."""

    @property
    def settled(self) -> bool:
        """Whether nothing of it has to be done any more; once true it stays so."""
        ...


class Progress:
    """One partition, since it was assigned; used by one thread."""

    def __init__(self) -> None:
        self.position: int | None = None
        """Behind the last message of which everything before is settled; None: nothing is yet."""
        self.committed: int | None = None
        """What the group was last told."""
        self._waiting: deque[tuple[int, Settles]] = deque()

    def add(self, following: int, block: Settles) -> None:
        """Have the messages up to ``following`` (exclusive), which come behind all before, wait for ``block``."""
        self._waiting.append((following, block))

    def settle(self) -> bool:
        """Move the position as far as it goes; tell whether there is something to commit."""
        while self._waiting and self._waiting[0][1].settled:
            self.position = self._waiting.popleft()[0]
        return self.position != self.committed

    @property
    def waiting(self) -> bool:
        """Whether something of it is not settled."""
        return bool(self._waiting)
