"""The order in which a tail shows lines: as they arrived, or as they happened; and which of them came late.

Arrival  Everything is shown at once. Late is what happened TAIL_LATE_S before the newest line that was shown.
Event    Lines wait until one of them has waited TAIL_ORDER_S; it and all that happened before it are shown in the order
         of their time (of equal times: of arrival). Late is what happened before a line that was shown already. When
         more than TAIL_ORDER_ROWS_MAX wait, the oldest are shown sooner.

Lines that are only the context of others are never late: they stand around a line that came now, and may be old.
Times are RFC 3339 in UTC with nine digits, so that their text sorts as they do.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from tailrace.limits import TAIL_LATE_S, TAIL_ORDER_ROWS_MAX, TAIL_ORDER_S

Record = Mapping[str, Any]


def late_text(seconds: float) -> str:
    """Return a lateness for a person: ``0.4s``, ``12s``, ``3m``, ``2h``, ``5d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f}{unit}"
    return f"{seconds:.0f}s" if seconds >= 1 else f"{seconds:.1f}s"


class Arrival:
    """The order of arrival."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._newest = ""

    def add(self, records: Iterable[Record], _now_s: float) -> Iterator[tuple[Record, str]]:
        """Yield what is to be shown, each with how late it is, or nothing."""
        newest = self._newest
        for record in records:
            time = record.get("time", "")
            late = ""
            if time >= newest:
                newest = time if "context" not in record else newest
            elif time and time[:19] != newest[:19] and "context" not in record:
                seconds = _seconds_between(time, newest)
                late = late_text(seconds) if seconds > TAIL_LATE_S else ""
            yield record, late
        self._newest = newest

    def due(self, _now_s: float) -> Iterator[tuple[Record, str]]:
        """Yield what has waited long enough: here nothing ever waits."""
        return iter(())

    def rest(self) -> Iterator[tuple[Record, str]]:
        """Yield everything that waits, at the end."""
        return iter(())


class Event:
    """The order of events."""

    def __init__(self) -> None:
        """Begin before the first line."""
        self._heap: list[tuple[str, int, Record]] = []
        self._arrived: deque[tuple[float, tuple[str, int]]] = deque()
        self._shown = ("", 0)
        self._mark = ("", 0)
        self._number = 0

    def add(self, records: Iterable[Record], now_s: float) -> Iterator[tuple[Record, str]]:
        """Take lines; yield what is to be shown now. ``now_s`` is of a clock that never goes back."""
        for record in records:
            self._number += 1
            key = (record.get("time", ""), self._number)
            heapq.heappush(self._heap, (*key, record))
            self._arrived.append((now_s, key))
        yield from self.due(now_s)

    def due(self, now_s: float) -> Iterator[tuple[Record, str]]:
        """Yield what has waited long enough, or is too much."""
        while self._arrived and self._arrived[0][0] <= now_s - TAIL_ORDER_S:
            self._mark = max(self._mark, self._arrived.popleft()[1])
        while self._heap and (self._heap[0][:2] <= self._mark or len(self._heap) > TAIL_ORDER_ROWS_MAX):
            yield self._pop()

    def rest(self) -> Iterator[tuple[Record, str]]:
        """Yield everything that waits, at the end."""
        while self._heap:
            yield self._pop()

    def _pop(self) -> tuple[Record, str]:
        time, number, record = heapq.heappop(self._heap)
        late = ""
        if time < self._shown[0] and time and "context" not in record:
            late = late_text(_seconds_between(time, self._shown[0]))
        self._shown = max(self._shown, (time, number))
        return record, late


def _seconds_between(earlier: str, later: str) -> float:
    """Return the seconds between two times; years that datetime does not know are taken as the same."""
    try:
        return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()
    except ValueError:
        return 0.0
