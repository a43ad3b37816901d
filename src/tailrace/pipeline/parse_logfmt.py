"""logfmt: ``ts=... level=info msg="it works" user=7``. The message stays the whole line; the pairs become fields."""

from __future__ import annotations

import re
from typing import Any

import pyarrow as pa

_PAIR = re.compile(r'([A-Za-z_][\w.\-/@]*)=("(?:[^"\\]|\\.)*"|[^\s"]*)(?=\s|$)')
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r"}
_PAIRS_MIN = 2


def pairs_of(line: str) -> dict[str, Any] | None:
    """Return the pairs of a line, or None when it is not logfmt: it must begin with a pair and have two or more."""
    first = _PAIR.match(line)
    if first is None:
        return None
    found = {name: _value(value) for name, value in _PAIR.findall(line)}
    return found if len(found) >= _PAIRS_MIN else None


def _value(text: str) -> str:
    if not text.startswith('"'):
        return text
    inner = text[1:-1]
    return _ESCAPE.sub(lambda found: _ESCAPED.get(found[1], found[1]), inner) if "\\" in inner else inner


def fits(lines: pa.Array) -> bool:
    """Tell whether at least half of these lines are logfmt and name a time, a level or a message."""
    found = [pairs_of(line) for line in lines.to_pylist()]
    known = {"level", "lvl", "severity", "msg", "message", "ts", "time"}
    return sum(pairs is not None and not known.isdisjoint(pairs) for pairs in found) * 2 >= len(found)
