"""Text for a terminal: colours only where they are wanted, and nothing in a log line ever commands the terminal.

Control characters (C0, C1, and the bidirectional overrides that reorder what is shown) are written as escapes, so that
a line cannot move the cursor, change the title or hide what it says. A tab stays a tab.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import IO, Any

_DANGEROUS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_LEVEL_COLOUR = {
    "trace": "2",
    "debug": "2",
    "info": "32",
    "warn": "33",
    "error": "31",
    "fatal": "1;31",
}


def escape(text: str) -> str:
    """Return the text with everything that could command a terminal made visible."""
    return _DANGEROUS.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {10: "\\n", 13: "\\r", 27: "\\e"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def wants_colours(stream: IO[str]) -> bool:
    """Tell whether to write colours: to a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def record_line(record: Mapping[str, Any], *, colours: bool) -> str:
    """Return a record as one line: time, level, who speaks, message, and fields behind it."""
    time = str(record.get("time", "")).replace("T", " ")[:23]
    level = str(record.get("level") or "")
    path = str(record.get("path") or "")
    speaker = str(record.get("service") or path.rpartition("/")[2] or record.get("host") or "")
    message = escape(str(record.get("message", "")))
    if not colours:
        return " ".join(part for part in (escape(time), f"{escape(level):5}", escape(speaker), message) if part)
    shown = f"\x1b[{_LEVEL_COLOUR.get(level, '0')}m{escape(level):5}\x1b[0m"
    parts = (f"\x1b[2m{escape(time)}\x1b[0m", shown, f"\x1b[36m{escape(speaker)}\x1b[0m" if speaker else "", message)
    return " ".join(part for part in parts if part)


def table(rows: list[list[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Return rows (the first is the heading) as aligned columns, escaped; those in ``right`` are set right."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(c.rjust(w) if n in right else c.ljust(w) for n, (c, w) in enumerate(zip(row, widths, strict=True)))
        for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)
