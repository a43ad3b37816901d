"""How long the collector rests between two rounds: lines that come all the time are taken together.

A round has a price, however few lines it takes. So each is followed by a rest of COLLECT_REST times the CPU that it
took, COLLECT_REST_S_MAX at most: files that are written to all the time cost a small share of a core, and their lines
wait for COLLECT_REST_S_MAX at most. Time in which nothing was to be done counts as a rest beforehand, up to
COLLECT_RESTED_S_MAX: lines that come one by one are not kept waiting.
"""

from __future__ import annotations

from tailrace.limits import COLLECT_REST, COLLECT_REST_S_MAX, COLLECT_RESTED_S_MAX


class Rest:
    """Used by one thread; times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._until = 0.0

    def after(self, used_s: float, now_s: float) -> float:
        """Return how long to rest after a round that took so much CPU, and that read all files to their ends."""
        earned = max(self._until, now_s - COLLECT_RESTED_S_MAX)
        self._until = min(earned + COLLECT_REST * used_s, now_s + COLLECT_REST_S_MAX)
        return max(0.0, self._until - now_s)
