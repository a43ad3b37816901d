"""Times in text, read for a whole block at once: digits are columns of a byte matrix, never a loop over lines.

A ``TimeFormat`` is a template with one character per byte. ``Y y m d H M S f`` are digits of the year (four or two),
month, day, hour, minute, second and its fraction; ``e`` is a digit of the day or a space; ``bbb`` is an English month;
``?`` is one of ``T t _ -`` or a space; ``*`` is any byte; everything else stands for itself. Behind the template a
fraction of one to nine digits (after ``. , :``) and a zone (``Z``, ``+08:00``, ``+0800``, `` UTC``, `` GMT``) are taken
when they are there.

Rules for what a text leaves out. No zone: the zone that the caller gives. No year: the year that puts the time closest
before the moment it was observed, or within a day after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import pyarrow as pa

from tailrace.limits import DAY_NS, SECOND_NS

_SECONDS_MAX = 9_223_372_036  # what an int64 of nanoseconds holds: the year 2262
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH_CODES = np.array([int.from_bytes(name.encode(), "big") for name in _MONTHS])
_FRACTION_DIGITS = 9
_WINDOW_BYTES_MAX = 256
_BETWEEN = np.isin(np.arange(256), np.frombuffer(b"Tt _-", np.uint8))
_BEGINS_ZONE = np.isin(np.arange(256), np.frombuffer(b"Z+- UG", np.uint8))


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes of a text array: ``data`` and where each line begins and ends in it (int64)."""

    data: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    @staticmethod
    def of(lines: pa.Array) -> Text:
        """Take the bytes of a string or binary array (32-bit offsets)."""
        _, offsets, data = lines.buffers()
        places = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1].astype(np.int64)
        raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
        first, last = int(places[0]), int(places[-1])
        padded = np.concatenate([raw[first:last], np.zeros(_WINDOW_BYTES_MAX, np.uint8)])
        places -= first
        return Text(padded, places[:-1], places[1:])

    def window(self, starts: np.ndarray, width: int) -> np.ndarray:
        """Return ``width`` bytes of each line from ``starts`` (positions in ``data``); zero past the end of a line."""
        # Overlapping items of ``width`` bytes: numpy copies each in one piece.
        places = np.ndarray((len(self.data) - width + 1,), f"V{width}", self.data, strides=(1,))
        found = places[starts].view(np.uint8).reshape(len(starts), width)
        left = np.clip(self.ends - starts, 0, width)
        if len(left) and (shortest := int(left.min())) < width:
            found[:, shortest:] *= np.arange(shortest, width) < left[:, None]
        return found


@dataclass(frozen=True, slots=True)
class Times:
    """What was read per line: whether there was a time (``ok``), and where it ended in the data.

    ``ns`` is nanoseconds since 1970 as if UTC was meant; where ``zoned``, a zone was given and is taken off already.
    """

    ok: np.ndarray
    ns: np.ndarray
    zoned: np.ndarray
    ends: np.ndarray


class TimeFormat:
    """One template; see the head of this module."""

    def __init__(self, template: str) -> None:
        self._columns = {
            letter: [column for column, char in enumerate(template) if char == letter] for letter in "YymdeHMSfb?"
        }
        self._columns["d"] += self._columns.pop("e")
        padded = set(self._columns["d"][:1] if "e" in template else [])
        digits = [self._columns[letter] for letter in "YymdHMSf"]
        self._digits = sorted(column for columns in digits for column in columns if column not in padded)
        self._padded = sorted(padded)
        self._date = sorted(column for letter in "Yymdb" for column in self._columns[letter])
        self._literal = [(column, ord(char)) for column, char in enumerate(template) if char not in "YymdeHMSfb?*"]
        self._any = self._columns["?"]
        self.width = len(template)
        self.has_year = bool(self._columns["Y"] or self._columns["y"])

    def read(self, text: Text, starts: np.ndarray, observed_ns: int) -> Times:
        """Read the time at ``starts`` of every line."""
        head = text.window(starts, self.width + 18)
        ok = self._fits(head)
        if not ok.any():
            return Times(ok, np.zeros(len(ok), np.int64), ok, starts)
        clock, fits = self._clock(head)
        days, dated = self._days(head, clock, observed_ns)
        seconds = days * 86_400 + clock
        ok &= fits & dated & (np.abs(seconds) < _SECONDS_MAX)
        nanos, length = _fraction(head, self.width)
        if self._columns["f"]:
            nanos = self._number(head, "f") * 10 ** (_FRACTION_DIGITS - len(self._columns["f"]))
        zone, zoned, zone_length = _zone(head, length)
        ns = (np.where(ok, seconds, 0) - zone) * SECOND_NS + nanos
        return Times(ok, ns, zoned & ok, starts + length + zone_length)

    def _fits(self, head: np.ndarray) -> np.ndarray:
        ok: np.ndarray = np.all(head[:, self._digits] - np.uint8(48) <= 9, axis=1)
        for column, char in self._literal:
            ok &= head[:, column] == char
        for column in self._any:
            ok &= _BETWEEN[head[:, column]]
        for column in self._padded:
            ok &= (head[:, column] - np.uint8(48) <= 9) | (head[:, column] == 32)
        return ok

    def _number(self, head: np.ndarray, letter: str) -> np.ndarray:
        value = np.zeros(len(head), np.int64)
        for column in self._columns[letter]:
            digit = head[:, column].astype(np.int64) - 48
            value = value * 10 + (np.maximum(digit, 0) if column in self._padded else digit)
        return value

    def _clock(self, head: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hour, minute, second = (self._number(head, letter) for letter in "HMS")
        return hour * 3600 + minute * 60 + second, (hour < 24) & (minute < 60) & (second < 61)

    def _days(self, head: np.ndarray, clock: np.ndarray, observed_ns: int) -> tuple[np.ndarray, np.ndarray]:
        """Return days since 1970 and whether there is such a day."""
        if self.has_year and len(head) > 1 and (head[:, self._date] == head[0, self._date]).all():
            days, dated = self._days(head[:1], clock[:1], observed_ns)
            return np.repeat(days, len(head)), np.repeat(dated, len(head))
        if self._columns["b"]:
            lower = head[:, self._columns["b"]].astype(np.int64) | 0x20
            names = (lower[:, 0] << 16) | (lower[:, 1] << 8) | lower[:, 2]
            same = names[:, None] == _MONTH_CODES
            month, named = same.argmax(axis=1) + 1, same.any(axis=1)
        else:
            month, named = self._number(head, "m"), True
        day = self._number(head, "d")
        named &= (month >= 1) & (month <= 12)
        month = np.clip(month, 1, 12)
        if self.has_year:
            short = self._number(head, "y")
            year = self._number(head, "Y") if self._columns["Y"] else short + np.where(short < 70, 2000, 1900)
            days, exists = _date(year, month, day)
            return days, named & exists
        return _without_year(month, day, clock, named, observed_ns)


def _date(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    following = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    return first + day - 1, (day >= 1) & (day <= following - first)


def _without_year(
    month: np.ndarray, day: np.ndarray, clock: np.ndarray, named: np.ndarray, observed_ns: int
) -> tuple[np.ndarray, np.ndarray]:
    latest = (observed_ns + DAY_NS) // SECOND_NS
    newest = datetime.fromtimestamp(latest, UTC).year
    days = np.zeros(len(month), np.int64)
    found = np.zeros(len(month), bool)
    for year in range(newest, newest - 9, -1):  # nine years reach the leap year before, for 29 February
        dated, exists = _date(np.full(len(month), year), month, day)
        fits = named & exists & ~found & (dated * 86_400 + clock <= latest)
        days = np.where(fits, dated, days)
        found |= fits
        if (found | ~named).all():
            break
    return days, found


def _fraction(head: np.ndarray, column: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the nanoseconds behind ``column`` and the length read so far."""
    separator = head[:, column]
    behind = head[:, column + 1 : column + _FRACTION_DIGITS + 2] - np.uint8(48) <= 9
    count = int(behind[0].argmin()) if len(head) else 0
    if count and (separator == separator[0]).all() and separator[0] in b".,:" and (behind == behind[0]).all():
        weights = 10 ** np.arange(_FRACTION_DIGITS - 1, _FRACTION_DIGITS - 1 - count, -1)
        digits = head[:, column + 1 : column + 1 + count].astype(np.int64) - 48
        return digits @ weights, np.full(len(head), column + count + 1)
    alive = (separator == 46) | (separator == 44) | (separator == 58)
    value = np.zeros(len(head), np.int64)
    count = np.zeros(len(head), np.int64)
    for place in range(1, _FRACTION_DIGITS + 1):
        digit = head[:, column + place] - np.uint8(48)
        alive = alive & (digit <= 9)
        if not alive.any():
            value *= 10 ** (_FRACTION_DIGITS + 1 - place)
            break
        value = value * 10 + np.where(alive, digit, 0)
        count += alive
    return value, column + np.where(count > 0, count + 1, 0)


def _zone(head: np.ndarray, column: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return seconds east of UTC, whether a zone stands at ``column``, and its length."""
    width = head.shape[1]
    if len(head) > 1 and column[0] + 7 <= width and (column == column[0]).all():
        tail = head[:, column[0] : column[0] + 7]
        if (tail == tail[0]).all():
            east, zoned, length = _zone(head[:1], column[:1])
            return np.repeat(east, len(head)), np.repeat(zoned, len(head)), np.repeat(length, len(head))
        if not (_BEGINS_ZONE[tail[:, 0]] & ((tail[:, 0] != 32) | _BEGINS_ZONE[tail[:, 1]])).any():
            return np.zeros(len(head), np.int64), np.zeros(len(head), bool), np.zeros(len(head), np.int64)
    places = column[:, None] + np.arange(7)
    tail = np.where(places < width, np.take_along_axis(head, np.minimum(places, width - 1), axis=1), 0)
    zulu = (tail[:, 0] == 90) & ~_letter(tail[:, 1])
    named = (tail[:, 0] == 32) & ((tail[:, 1:4] == (85, 84, 67)).all(1) | (tail[:, 1:4] == (71, 77, 84)).all(1))
    if not ((tail[:, 0] == 43) | (tail[:, 0] == 45) | (tail[:, 0] == 32)).any():
        return np.zeros(len(head), np.int64), zulu, zulu.astype(np.int64)
    spaced = tail[:, 0] == 32
    tail = np.where(spaced[:, None], np.roll(tail, -1, axis=1), tail)
    sign = tail[:, 0]
    colon = tail[:, 3] == 58
    digits = np.where(colon[:, None], tail[:, [1, 2, 4, 5]], tail[:, [1, 2, 3, 4]]).astype(np.int64) - 48
    given = ((sign == 43) | (sign == 45)) & (digits >= 0).all(1) & (digits <= 9).all(1)
    east = (digits[:, 0] * 10 + digits[:, 1]) * 3600 + (digits[:, 2] * 10 + digits[:, 3]) * 60
    given &= east <= 18 * 3600
    length = np.where(given, 5 + colon + spaced, np.where(zulu, 1, np.where(named, 4, 0)))
    return np.where(given, np.where(sign == 45, -east, east), 0), given | zulu | named, length


def _letter(column: np.ndarray) -> np.ndarray:
    return np.less((column | np.uint8(32)) - np.uint8(97), 26)


class EpochFormat:
    """Seconds since 1970 (ten digits, with a fraction or without), or milli-, micro- or nanoseconds (13, 16, 19)."""

    has_year = True

    def read(self, text: Text, starts: np.ndarray, observed_ns: int) -> Times:  # noqa: ARG002 - as TimeFormat
        """Read the number at ``starts`` of every line."""
        head = text.window(starts, 30)
        alive = np.ones(len(head), bool)
        value = np.zeros(len(head), np.int64)
        count = np.zeros(len(head), np.int64)
        for place in range(19):
            digit = head[:, place] - np.uint8(48)
            alive = alive & (digit <= 9)
            value = np.where(alive, value * 10 + digit, value)
            count += alive
        after = np.take_along_axis(head, count[:, None], axis=1)[:, 0]
        ok = np.isin(count, (10, 13, 16, 19)) & (after - np.uint8(48) > 9) & ~_letter(after)
        value = np.where(ok, value * 10 ** np.where(ok, 19 - count, 0), 0)
        nanos, length = _fraction(head, 10)
        seconds = count == 10
        ends = starts + np.where(seconds, length, count)
        return Times(ok, value + np.where(seconds & ok, nanos, 0), ok, ends)


def to_utc(times: Times, zone: tzinfo) -> np.ndarray:
    """Return UTC nanoseconds: times without a zone of their own are in ``zone``."""
    if zone is UTC or times.zoned.all():
        return times.ns
    quarter_ns = 900 * SECOND_NS
    quarters, places = np.unique(times.ns // quarter_ns, return_inverse=True)
    offsets = np.array([_offset_ns(quarter * 900, zone) for quarter in quarters.tolist()], np.int64)[places]
    return np.where(times.zoned, times.ns, times.ns - offsets)


def _offset_ns(local_s: int, zone: tzinfo) -> int:
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=local_s)
    offset = local.replace(tzinfo=zone).utcoffset()
    return int(offset.total_seconds()) * SECOND_NS if offset else 0


ISO = TimeFormat("YYYY-mm-dd?HH:MM:SS")


def read_any(texts: pa.Array, observed_ns: int, zone: tzinfo) -> tuple[np.ndarray, np.ndarray]:
    """Return (ok, UTC nanoseconds) of texts that are times and nothing else, as a JSON or logfmt value holds them."""
    text = Text.of(texts)
    ok = np.zeros(len(texts), bool)
    ns = np.zeros(len(texts), np.int64)
    for form in _VALUE_FORMATS:
        times = form.read(text, text.begins, observed_ns)
        ns = np.where(times.ok & ~ok, to_utc(times, zone), ns)
        ok |= times.ok
        if ok.all():
            break
    return ok, ns


_VALUE_FORMATS = (
    ISO,
    EpochFormat(),
    TimeFormat("YYYY/mm/dd?HH:MM:SS"),
    TimeFormat("dd/bbb/YYYY:HH:MM:SS"),
    TimeFormat("YYYYmmdd?HHMMSS"),
    TimeFormat("***, dd bbb YYYY HH:MM:SS"),
    TimeFormat("bbb ee HH:MM:SS"),
)
