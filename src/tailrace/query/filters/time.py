"""``time:5m``, ``time:[2026-11-20 TO now]``, ``observed:>=2026-11-20``: when it happened, or was seen."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailrace.query.plan import Always, InTime, Need
from tailrace.query.times import TIME_MAX_NS, TIME_MIN_NS
from tailrace.record import Batch, rfc3339


@dataclass(frozen=True)
class Times:
    """first_ns <= the record's ``name`` (``time`` or ``observed``) <= last_ns."""

    name: str
    first_ns: int = TIME_MIN_NS
    last_ns: int = TIME_MAX_NS

    def __str__(self) -> str:
        first, last = rfc3339(np.array([self.first_ns, self.last_ns], np.int64))
        first = "*" if self.first_ns == TIME_MIN_NS else first
        last = "*" if self.last_ns == TIME_MAX_NS else last
        return f"{self.name}:[{first} TO {last}]"

    def matches(self, batch: Batch) -> np.ndarray:
        """Return which rows are in that time."""
        times = batch.numpy(self.name)
        return (times >= self.first_ns) & (times <= self.last_ns)

    def need(self) -> Need:
        """Return the time."""
        return InTime(self.first_ns, self.last_ns) if self.name == "time" else Always()
