"""The levels of a record: trace debug info warn error fatal, from the words and numbers people use."""

from __future__ import annotations

from typing import Any

LEVELS = ("trace", "debug", "info", "warn", "error", "fatal")
"""From the least to the most serious."""

_WORDS = {
    "trace": "trace verbose",
    "debug": "debug",
    "info": "info information notice success",
    "warn": "warn warning",
    "error": "error err exception",
    "fatal": "fatal critical emergency panic",
}
_KNOWN = {word: level for level, words in _WORDS.items() for word in words.split()}


def level_name(value: Any) -> str | None:
    """Return the level of a word in any case, or of a number of the standard library (10 to 50); None for none."""
    if isinstance(value, str):
        return _KNOWN.get(value) or _KNOWN.get(value.strip().lower())
    if isinstance(value, int) and not isinstance(value, bool):
        return LEVELS[min(max(value // 10, 0), len(LEVELS) - 1)]
    return None


def at_least(level: str) -> frozenset[str]:
    """Return this level and all that are more serious. Raises ValueError for a word that is no level."""
    name = level_name(level)
    if name is None:
        raise ValueError(f"{level!r} is no level; there are: {' '.join(LEVELS)}")
    return frozenset(LEVELS[LEVELS.index(name) :])
