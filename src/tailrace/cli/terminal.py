"""Text for a terminal: colours only where they are wanted, and nothing in a log line ever commands the terminal.

Control characters (C0, C1, and the bidirectional overrides that reorder what is shown) are written as escapes, so that
a line cannot move the cursor, change the title or hide what it says. A tab stays a tab. Chinese, Japanese and Korean
characters take two columns, marks that combine take none: whatever is aligned counts columns, not characters.
"""

from __future__ import annotations

import os
import re
import unicodedata
from typing import IO

_DANGEROUS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def escape(text: str) -> str:
    """Return the text with everything that could command a terminal made visible."""
    return text if text.isprintable() else _DANGEROUS.sub(_visible, text)


def _visible(found: re.Match[str]) -> str:
    code = ord(found[0])
    return {10: "\\n", 13: "\\r", 27: "\\e"}.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")


def wants_colours(stream: IO[str]) -> bool:
    """Tell whether to write colours: to a terminal, unless NO_COLOR is set or the terminal is dumb."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def columns(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def padded(text: str, width: int) -> str:
    """Return the text with spaces behind it up to ``width`` columns."""
    return text + " " * (width - columns(text))


def table(rows: list[list[str]], *, right: frozenset[int] = frozenset()) -> str:
    """Return rows (the first is the heading) as aligned columns, escaped; those in ``right`` are set right."""
    cells = [[escape(cell) for cell in row] for row in rows]
    widths = [max(columns(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(_set(c, w, n in right) for n, (c, w) in enumerate(zip(row, widths, strict=True))) for row in cells
    ]
    return "\n".join(line.rstrip() for line in lines)


def _set(text: str, width: int, right: bool) -> str:
    return " " * (width - columns(text)) + text if right else padded(text, width)
