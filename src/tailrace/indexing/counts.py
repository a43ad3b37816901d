"""What an indexer counts since its start; threads add to it, anybody reads it."""

from __future__ import annotations

import threading
from bisect import bisect_left
from itertools import accumulate

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the histogram of how long requests take."""


class Counts:
    """Counters, and how long bulk requests took."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.written = 0
        self.there = 0
        self.written_bytes = 0
        self.requests = 0
        self.retries = 0
        self.rejected = 0
        self.dead = 0
        self.why = ""
        """Of the last dead letter."""
        self.lost = 0
        self.seconds = 0.0
        self.buckets = [0] * (len(SECONDS) + 1)

    def add(self, **more: int) -> None:
        """Add to the counters of these names."""
        with self._lock:
            for name, value in more.items():
                setattr(self, name, getattr(self, name) + value)

    def took(self, seconds: float) -> None:
        """Count a request, and how long it took to be answered, however."""
        with self._lock:
            self.requests += 1
            self.seconds += seconds
            self.buckets[bisect_left(SECONDS, seconds)] += 1

    def histogram(self) -> tuple[list[tuple[str, float]], int, float]:
        """Return (upper bound, requests up to it) for each of SECONDS, all requests, and the seconds of all."""
        with self._lock:
            sums = accumulate(self.buckets)
            return (
                [(str(bound), count) for bound, count in zip(SECONDS, sums, strict=False)],
                self.requests,
                self.seconds,
            )
