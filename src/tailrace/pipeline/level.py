"""level: how serious a record is, from the words and numbers that people write."""

from __future__ import annotations

from typing import Any

from tailrace.record import Level

_WORDS: dict[Level, str] = {
    Level.TRACE: "trace trc t v verbose finest finer silly",
    Level.DEBUG: "debug dbg d fine config",
    Level.INFO: "info inf i information informational notice note n log statement system success default",
    Level.WARN: "warn warning wrn w",
    Level.ERROR: "error err e severe failure failed eror",
    Level.FATAL: "fatal ftl f critical crit c alert emerg emergency panic dpanic",
}
LEVELS: dict[str, int] = {word: int(level) for level, words in _WORDS.items() for word in words.split()}

SYSLOG = (6, 6, 6, 5, 4, 3, 3, 2)
"""Our level for each severity of RFC 5424."""


def level_of(value: Any) -> int:
    """Return the level that a parsed value means, 0 when it means none.

    Words in any case; numbers of syslog (0-7) and of pino and bunyan (10-60), as numbers or as text.
    """
    if isinstance(value, str):
        known = LEVELS.get(value) or LEVELS.get(value.strip().lower())
        if known:
            return known
        return level_of(int(value)) if value.isascii() and value.isdigit() and len(value) < 4 else 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    if 0 <= value < len(SYSLOG):
        return SYSLOG[int(value)]
    return min(int(value) // 10, 6) if 10 <= value <= 100 else 0


def severity_number(value: Any) -> int:
    """Return the level of OpenTelemetry's severity number (1-24), 0 for anything else."""
    known = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 24
    return (value + 3) // 4 if known else 0
