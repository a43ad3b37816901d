"""How values are written in a query, so that they are read back as the same values."""

from __future__ import annotations

import re

_BARE = re.compile(r"\w[\w.@-]*")
_KEYWORDS = frozenset({"or", "and", "not", "in", "to", "by", "as", "from", "desc", "asc"})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def quoted(text: str) -> str:
    """Return the text in double quotes, with escapes."""
    escaped = (_ESCAPES.get(char) or (char if char >= " " else f"\\u{ord(char):04x}") for char in text)
    return '"' + "".join(escaped) + '"'


def written(text: str) -> str:
    """Return the text as a bare word where that reads back as the same, else quoted."""
    return text if _BARE.fullmatch(text) and text.lower() not in _KEYWORDS else quoted(text)


def number_text(number: float) -> str:
    """Return the shortest text of a number; whole ones without a fraction."""
    return str(int(number)) if number.is_integer() and abs(number) < 2**53 else repr(number)
