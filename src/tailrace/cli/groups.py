"""Where lines that stand beside each other on the screen do not stand beside each other in their log: ``--``, as grep.

A group is a line that matched, and up to N lines before and behind it, of one stream. The lines behind it come as they
are written, so another stream may come between: each change of the stream begins a group. Within a stream a line is
next to the one before when its cursor is, when it is among the N behind a match, or when the one before began a group
that has not met its match yet.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_OF_THE_LINE = {"time", "observed", "message", "cursor", "level", "trace_id", "fields", "context"}


class Groups:
    """Tells where a separator belongs; asked once for each line, in the order in which they are shown."""

    def __init__(self, around: int) -> None:
        """``around``: how many lines of context there are on each side of a match."""
        self._around = around
        self._stream: tuple[tuple[str, Any], ...] | None = None
        self._offset = 0
        self._behind = 0
        self._before = False

    def begins(self, record: Mapping[str, Any]) -> bool:
        """Tell whether a separator stands before this line."""
        stream = tuple((name, value) for name, value in record.items() if name not in _OF_THE_LINE)
        offset = int(record.get("cursor", "").rpartition("-")[2] or 0)
        first, same, next_to = self._stream is None, stream == self._stream, offset == self._offset + 1
        if not same:
            self._behind, self._before = 0, False
        is_match = "context" not in record
        joined = same and (next_to or is_match or self._before or self._behind > 0)
        if is_match:
            self._behind, self._before = self._around, False
        elif self._behind:
            self._behind -= 1
        else:
            self._before = True
        self._stream, self._offset = stream, offset
        return not first and not joined
