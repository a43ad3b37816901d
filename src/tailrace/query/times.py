"""Times as people write them: RFC 3339 in whole or in part, epoch numbers, ``now``, durations.

A text stands for a span: ``2026-11-20`` is a day, ``2026-11-20T08:15`` a minute, a full time one nanosecond. A duration
alone, ``5m``, is the moment so long ago. A time without a zone is UTC. Epoch numbers are seconds, milliseconds,
microseconds or nanoseconds by their magnitude.
"""

from __future__ import annotations

import re

import numpy as np

from tailrace.errors import QueryError
from tailrace.limits import DAY_NS, SECOND_NS

TIME_MIN_NS = -(2**63)
TIME_MAX_NS = 2**63 - 1

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": DAY_NS,
    "w": 7 * DAY_NS,
}
_CURE = "write 2026-11-20T08:00:00Z, 2026-11-20, 1763625600 (epoch), now, now-1h or 5m (five minutes ago)"
_STEP = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(ns|us|ms|s|m|h|d|w)", re.ASCII)
_NUMBER = re.compile(r"(-?\d{1,19})(?:\.(\d{1,9}))?", re.ASCII)
_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:[Tt ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9}))?)?)?)?)?)?"
    r"\s*(Z|z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)


def parse_time(text: str, now_ns: int) -> int:
    """Return the moment that a text names, in nanoseconds since 1970 UTC: the beginning of a span.

    Raises QueryError (position 0 of ``text``) when it is not understood or not between the years 1678 and 2261.
    """
    return parse_span(text, now_ns)[0]


def parse_span(text: str, now_ns: int) -> tuple[int, int]:
    """Return the first and last nanosecond of what a text names; raises like ``parse_time``."""
    first, last = _span(text.strip(), now_ns) or (None, None)
    if first is None or last is None:
        raise QueryError(f"'{text}' is not a time", text=text, position=0, cure=_CURE)
    if not TIME_MIN_NS < first <= last < TIME_MAX_NS:
        raise QueryError(f"'{text}' is too far away: times are from 1678 to 2261", text=text, position=0, cure=_CURE)
    return first, last


def parse_duration(text: str) -> int | None:
    """Return a duration such as ``5m`` or ``1h30m`` in nanoseconds, or None when it is none."""
    total, at = 0, 0
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            return None
        whole, _, part = step[1].partition(".")
        unit_ns = _UNITS_NS[step[2]]
        total += int(whole) * unit_ns + int(part.ljust(9, "0") if part else 0) * unit_ns // SECOND_NS
        at = step.end()
    return total if text else None


def format_duration(duration_ns: int) -> str:
    """Return the text of a duration that ``parse_duration`` reads back, in its largest whole unit."""
    for name, unit_ns in sorted(_UNITS_NS.items(), key=lambda item: -item[1]):
        if duration_ns % unit_ns == 0:
            return f"{duration_ns // unit_ns}{name}"
    raise AssertionError("every duration is a whole number of nanoseconds")


def _span(text: str, now_ns: int) -> tuple[int, int] | None:
    if text.lower().startswith("now"):
        moment = _from_now(text[3:], now_ns)
        return None if moment is None else (moment, moment)
    ago_ns = parse_duration(text)
    if ago_ns is not None:
        return now_ns - ago_ns, now_ns - ago_ns
    date = _DATE.fullmatch(text)
    if date is not None:
        return _date_span(date)
    number = _NUMBER.fullmatch(text)
    return None if number is None else _epoch_span(int(number[1]), number[2] or "")


def _from_now(rest: str, now_ns: int) -> int | None:
    if not rest:
        return now_ns
    step_ns = parse_duration(rest[1:])
    if step_ns is None or rest[0] not in "+-":
        return None
    return now_ns + step_ns if rest[0] == "+" else now_ns - step_ns


def _epoch_span(number: int, part: str) -> tuple[int, int]:
    size = abs(number)
    unit_ns = next((unit for bound, unit in ((10**11, SECOND_NS), (10**14, 10**6), (10**17, 10**3)) if size < bound), 1)
    part_ns = int(part.ljust(9, "0")) * unit_ns // SECOND_NS if part else 0
    moment = number * unit_ns + (-part_ns if number < 0 else part_ns)
    return moment, moment


def _date_span(date: re.Match[str]) -> tuple[int, int] | None:
    year, month, day, hour, minute, second, part, zone = date.groups()
    if zone is not None and hour is None:
        return None
    text = f"{year}-{month or '01'}-{day or '01'}T{hour or '00'}:{minute or '00'}:{second or '00'}"
    try:
        begin = int(np.datetime64(text, "s").astype(np.int64)) * SECOND_NS
        if day is None:
            unit = "Y" if month is None else "M"
            end = int((np.datetime64(text, unit) + 1).astype("datetime64[s]").astype(np.int64)) * SECOND_NS
            return begin, end - 1
    except ValueError:
        return None
    begin += int(part.ljust(9, "0")) if part else 0
    span_ns = _span_ns(hour, minute, second, part)
    if zone is not None and zone not in "Zz":
        digits = zone[1:].replace(":", "").ljust(4, "0")
        offset_ns = (int(digits[:2]) * 60 + int(digits[2:])) * 60 * SECOND_NS
        begin += offset_ns if zone[0] == "-" else -offset_ns
    return begin, begin + span_ns - 1


def _span_ns(hour: str | None, minute: str | None, second: str | None, part: str | None) -> int:
    if hour is None:
        return DAY_NS
    if minute is None:
        return 3600 * SECOND_NS
    if second is None:
        return 60 * SECOND_NS
    return 10 ** (9 - len(part or ""))
