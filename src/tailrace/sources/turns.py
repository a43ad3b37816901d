"""When to look at each file: each is due once, at the time that was said last."""

from __future__ import annotations

import heapq
import math

from tailrace.sources.followed import FollowedFile


class Turns:
    """A queue of files by the time (seconds, monotonic) when they are due; closed ones are left to whoever asks."""

    def __init__(self) -> None:
        self._queue: list[tuple[float, int, FollowedFile]] = []
        self._count = 0

    def put(self, file: FollowedFile, when: float) -> None:
        """Have a file looked at then, and not when it was said before."""
        file.due = when
        self._count += 1
        heapq.heappush(self._queue, (when, self._count, file))

    def next(self) -> float:
        """Return when the next one may be due."""
        return self._queue[0][0] if self._queue else math.inf

    def take(self, now: float, files_max: int) -> list[FollowedFile]:
        """Return those that are due, longest first, so many of them at most."""
        due: list[FollowedFile] = []
        while self._queue and self._queue[0][0] <= now and len(due) < files_max:
            when, _, file = heapq.heappop(self._queue)
            if when == file.due:
                file.due = math.inf
                due.append(file)
        return due
