"""How long bytes of a file have waited to be acknowledged: pairs of a size and when the file was first seen so large.

Bytes that are seen within LAG_STEP_S of each other share a pair. When there are too many pairs, two neighbours become
one with the earlier time: what is told is never shorter than what is true, and memory is bounded however long it lasts.
"""

from __future__ import annotations

from tailrace.limits import LAG_MARKS_MAX, LAG_STEP_S


class Waiting:
    """Written by the thread that reads, read by any."""

    __slots__ = ("_marks",)

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def saw(self, size: int, acked: int, now_s: float) -> None:
        """Note that the file has ``size`` bytes, of which the first ``acked`` need not wait any more."""
        marks = [mark for mark in self._marks if mark[0] > acked]
        if size > (marks[-1][0] if marks else acked):
            if marks and now_s - marks[-1][1] < LAG_STEP_S:
                marks[-1] = size, marks[-1][1]
            else:
                marks.append((size, now_s))
        if len(marks) > LAG_MARKS_MAX:
            later = [*marks[1::2], *marks[-1:][: len(marks) % 2]]
            marks = [(after[0], before[1]) for before, after in zip(marks[::2], later, strict=True)]
        self._marks = marks

    def since(self, acked: int) -> float | None:
        """Return when the oldest byte behind ``acked`` was first seen (seconds, monotonic); None: none was."""
        return next((when for size, when in self._marks if size > acked), None)
