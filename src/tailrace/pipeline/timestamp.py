"""Times in text, read for a whole block at once: digits are columns of a byte matrix, never a loop over lines.

A ``TimeFormat`` is a template of the bytes of a time. ``Y y m d H M S f`` are digits of the year (four or two),
month, day, hour, minute, second and its fraction; ``e`` is a digit of the day or a space; ``bbb`` is an English month;
``?`` is one of ``T t _ -`` or a space; ``*`` is any byte; everything else stands for itself. Behind the template a
fraction of one to nine digits (after ``. , :``) and a zone (``Z``, ``+08:00``, ``+0800``, ``+08``, `` UTC``, `` GMT``)
are taken when they are there. A ``LooseFormat`` is an RE2 pattern, for times whose parts have no fixed width.

Rules for what a text leaves out or leaves open:

- no zone: the zone that the caller gives;
- no year: the year that puts the time closest to the moment it was observed, but not more than a day behind that
  moment (a line of December that is read in January is of last year);
- no date: the day that puts it closest before the moment it was observed, or within an hour behind it;
- a clock that is put back shows an hour twice: the later of the two when it is not after the moment of observation,
  else the earlier; a time in the hour that is left out when it is put forward is read as if it had not been.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import DAY_NS, SECOND_NS

_SECONDS_MAX = 9_223_372_036  # what an int64 of nanoseconds holds: the year 2262
_MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
_MONTH_CODES = np.array([int.from_bytes(name.encode(), "big") for name in _MONTHS])
_FRACTION_DIGITS = 9
_WINDOW_BYTES_MAX = 256
_SPACE, _QUOTE, _BACKSLASH, _T, _COLON, _DOT, _Z = b' "\\T:.Z'
_UTC_NS = pa.timestamp("ns", tz="UTC")
_LOOSE_BYTES = 48
"""The longest time of a ``LooseFormat``."""
_BETWEEN = np.isin(np.arange(256), np.frombuffer(b"Tt _-", np.uint8))
_BEGINS_ZONE = np.isin(np.arange(256), np.frombuffer(b"Z+- UG", np.uint8))


@dataclass(frozen=True, slots=True)
class Text:
    """The bytes of a text array: ``data`` and where each line begins and ends in it (int64)."""

    data: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    _places: dict[bytes, np.ndarray] = field(default_factory=dict)

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

    def take(self, rows: np.ndarray) -> Text:
        """Return only these lines, over the same bytes."""
        return Text(self.data, self.begins[rows], self.ends[rows], self._places)

    def next_of(self, literal: bytes, starts: np.ndarray) -> np.ndarray:
        """Return where ``literal`` stands first at or behind each start; the line's end where it does not.

        A quotation mark that a backslash escapes is none.
        """
        places = self._places.get(literal)
        if places is None:
            places = np.append(self._find(literal), len(self.data))
            self._places[literal] = places
        found = places[np.searchsorted(places, starts)]
        return np.where(found + len(literal) <= self.ends, found, self.ends)

    def _single(self, byte: bytes) -> np.ndarray:
        places = self._places.get(byte)
        if places is None:
            places = self._places[byte] = np.append(self._find(byte), len(self.data))
        return places[:-1]

    def _find(self, literal: bytes) -> np.ndarray:
        anchor = next((at for at, byte in enumerate(literal) if byte != _SPACE), 0)  # spaces are many
        byte = literal[anchor : anchor + 1]
        if literal == byte:
            places = np.flatnonzero(self.data == byte[0])
        else:
            places = self._single(byte) - anchor
            places = places[(places >= 0) & (places + len(literal) <= len(self.data))]
            for at, other in enumerate(literal):
                if at != anchor:
                    places = places[self.data[places + at] == other]
        if literal[0] != _QUOTE:
            return places
        escaped = np.zeros(len(places), bool)
        before = np.where(places > 0, self.data[places - 1] == _BACKSLASH, False)
        step = 1
        while before.any():
            escaped ^= before
            step += 1
            before &= (places >= step) & (self.data[places - step] == _BACKSLASH)
        return places[~escaped]


@dataclass(frozen=True, slots=True)
class Times:
    """What was read per line: whether there was a time (``ok``), and where it ended in the data.

    ``ns`` is nanoseconds since 1970 as if UTC was meant; where ``zoned``, a zone was given and is taken off already.
    Without ``dated`` it is the time of an unknown day.
    """

    ok: np.ndarray
    ns: np.ndarray
    zoned: np.ndarray
    ends: np.ndarray
    dated: bool = True


class TimeFormat:
    """One template; see the head of this module."""

    def __init__(self, shown: str) -> None:
        self.shown = shown
        template = shown.encode().decode("latin-1")
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
        self._has_year = bool(self._columns["Y"] or self._columns["y"])
        self._has_day = bool(self._columns["d"])

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
        return Times(ok, ns, zoned & ok, starts + length + zone_length, self._has_day)

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
        if not self._has_day:
            return np.zeros(len(head), np.int64), np.ones(len(head), bool)
        if self._has_year and len(head) > 1 and (head[:, self._date] == head[0, self._date]).all():
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
        if self._has_year:
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
    if len(head) > 1 and column[0] + 8 <= width and (column == column[0]).all():
        tail = head[:, column[0] : column[0] + 8]
        if (tail == tail[0]).all():
            east, zoned, length = _zone(head[:1], column[:1])
            return np.repeat(east, len(head)), np.repeat(zoned, len(head)), np.repeat(length, len(head))
        if not (_BEGINS_ZONE[tail[:, 0]] & ((tail[:, 0] != 32) | _BEGINS_ZONE[tail[:, 1]])).any():
            return np.zeros(len(head), np.int64), np.zeros(len(head), bool), np.zeros(len(head), np.int64)
    else:
        places = column[:, None] + np.arange(8)
        tail = np.where(places < width, np.take_along_axis(head, np.minimum(places, width - 1), axis=1), 0)
    zulu = (tail[:, 0] == 90) & ~_letter(tail[:, 1])
    if not _signed(tail[:, 0]).any():
        blank = tail[:, 0] == 32
        if not blank.any():
            return np.zeros(len(head), np.int64), zulu, zulu.astype(np.int64)
        named = blank & _named(tail)
        if not (blank & _signed(tail[:, 1])).any():
            return np.zeros(len(head), np.int64), zulu | named, np.where(named, 4, zulu)
    named = (tail[:, 0] == 32) & _named(tail)
    spaced = tail[:, 0] == 32
    tail = np.where(spaced[:, None], np.roll(tail, -1, axis=1), tail)
    signed = _signed(tail[:, 0])
    colon = tail[:, 3] == 58
    digits = np.where(colon[:, None], tail[:, [1, 2, 4, 5]], tail[:, [1, 2, 3, 4]]).astype(np.int64) - 48
    digit = (digits >= 0) & (digits <= 9)
    full = signed & digit.all(1)
    hours = signed & digit[:, 0] & digit[:, 1] & ~digit[:, 2] & ~colon & ~spaced & ~_letter(tail[:, 3])
    minutes = np.where(full, digits[:, 2] * 10 + digits[:, 3], 0)
    east = (digits[:, 0] * 10 + digits[:, 1]) * 3600 + minutes * 60
    given = (full | hours) & (east <= 18 * 3600)
    length = np.where(given, np.where(full, 5 + colon + spaced, 3), np.where(zulu, 1, np.where(named, 4, 0)))
    return np.where(given, np.where(tail[:, 0] == 45, -east, east), 0), given | zulu | named, length


def _named(tail: np.ndarray) -> np.ndarray:
    first, second, third = tail[:, 1], tail[:, 2], tail[:, 3]
    utc = (first == 85) & (second == 84) & (third == 67)
    return utc | ((first == 71) & (second == 77) & (third == 84))


def _signed(column: np.ndarray) -> np.ndarray:
    return (column == 43) | (column == 45)


def _letter(column: np.ndarray) -> np.ndarray:
    return np.less((column | np.uint8(32)) - np.uint8(97), 26)


class EpochFormat:
    """Seconds since 1970 (ten digits, with a fraction or without), or milli-, micro- or nanoseconds (13, 16, 19)."""

    shown = "1795161600"

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


class LooseFormat:
    """An RE2 pattern whose groups ``Y m d H M S f`` are numbers, ``b`` an English month, ``half`` AM or PM.

    About ten times as slow as a template: for times that people read rather than programs.
    """

    def __init__(self, shown: str, pattern: str, literal: str) -> None:
        """Every time has ``literal`` in it: without one nearby, a line is not matched at all."""
        self.shown = shown
        self._literal = literal.encode()
        self._pattern = f"^(?P<all>{pattern})"

    def read(self, text: Text, starts: np.ndarray, observed_ns: int) -> Times:  # noqa: ARG002 - as TimeFormat
        """Read the time at ``starts`` of every line."""
        if not (text.next_of(self._literal, starts) < np.minimum(starts + _LOOSE_BYTES, text.ends)).any():
            none = np.zeros(len(starts), bool)
            return Times(none, np.zeros(len(starts), np.int64), none, starts)
        heads = np.ascontiguousarray(text.window(starts, _LOOSE_BYTES))
        places = np.arange(0, heads.size + 1, _LOOSE_BYTES, dtype=np.int32)
        buffers = [None, pa.py_buffer(places), pa.py_buffer(heads)]
        groups = pc.extract_regex(pa.Array.from_buffers(pa.binary(), len(starts), buffers), self._pattern)
        whole = groups.field("all")
        ok = groups.is_valid().to_numpy(zero_copy_only=False)
        year, day, hour, minute, second = (_numbers(groups, name) for name in "YdHMS")
        if groups.type.get_field_index("b") >= 0:
            names = [name.encode() for name in _MONTHS]
            month = pc.index_in(
                pc.binary_slice(pc.ascii_lower(groups.field("b").cast(pa.string())).cast(pa.binary()), 0, 3),
                pa.array(names),
            )
            month = month.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64) + 1
        else:
            month = _numbers(groups, "m")
        if groups.type.get_field_index("half") >= 0:
            half = groups.field("half")
            late = pc.fill_null(pc.is_in(half, _AFTERNOON), False).to_numpy(zero_copy_only=False)
            early = pc.fill_null(pc.is_in(half, _MORNING), False).to_numpy(zero_copy_only=False)
            hour = np.where(late & (hour < 12), hour + 12, np.where(early & (hour == 12), 0, hour))
        ok &= (month >= 1) & (month <= 12) & (hour < 24) & (minute < 60) & (second < 61)
        days, exists = _date(np.where(ok, year, 1970), np.where(ok, month, 1), day)
        ok &= exists
        length = pc.fill_null(pc.binary_length(whole), 0).to_numpy(zero_copy_only=False).astype(np.int64)
        window = text.window(starts + length, 20)
        nanos, more = _fraction(window, 0)
        ns = (np.where(ok, days, 0) * 86_400 + hour * 3600 + minute * 60 + second) * SECOND_NS + nanos
        return Times(ok, ns, np.zeros(len(ok), bool), starts + length + more)


def _numbers(groups: pa.StructArray, name: str) -> np.ndarray:
    texts = groups.field(name).cast(pa.string())
    texts = pc.if_else(pc.fill_null(pc.equal(texts, ""), True), "0", texts)
    return texts.cast(pa.int64()).to_numpy(zero_copy_only=False)


_AFTERNOON = pa.array([half.encode() for half in ("PM", "pm", "下午")])
_MORNING = pa.array([half.encode() for half in ("AM", "am", "上午")])


def to_utc(times: Times, zone: tzinfo, observed_ns: int) -> np.ndarray:
    """Return UTC nanoseconds: times without a zone of their own are in ``zone``."""
    if not times.dated:
        return _today(times, zone, observed_ns)
    if zone is UTC or times.zoned.all():
        return times.ns
    quarter_ns = 900 * SECOND_NS
    quarters, places = np.unique(times.ns // quarter_ns, return_inverse=True)
    earlier, later = (
        np.array([_offset_ns(quarter * 900, zone, fold) for quarter in quarters.tolist()], np.int64)[places]
        for fold in (0, 1)
    )
    first, second = times.ns - earlier, times.ns - later
    twice = (second > first) & (second <= observed_ns)
    return np.where(times.zoned, times.ns, np.where(twice, second, first))


def _today(times: Times, zone: tzinfo, observed_ns: int) -> np.ndarray:
    local_ns = (
        observed_ns
        + int((datetime.fromtimestamp(observed_ns // SECOND_NS, zone).utcoffset() or timedelta()).total_seconds())
        * SECOND_NS
    )
    days = (local_ns + 3600 * SECOND_NS - times.ns) // DAY_NS
    return to_utc(Times(times.ok, times.ns + days * DAY_NS, times.zoned, times.ends), zone, observed_ns)


def _offset_ns(local_s: int, zone: tzinfo, fold: int) -> int:
    local = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=local_s)
    offset = local.replace(tzinfo=zone, fold=fold).utcoffset()
    return int(offset.total_seconds()) * SECOND_NS if offset else 0


ISO = TimeFormat("YYYY-mm-dd?HH:MM:SS")
CHINESE = LooseFormat(
    "2026年11月20日 08:00:00",
    r"(?P<Y>\d{4})年(?P<m>\d{1,2})月(?P<d>\d{1,2})日\s*(?P<half>上午|下午)?\s*"
    r"(?P<H>\d{1,2})(?::|时|点)(?P<M>\d{2})(?::|分)(?P<S>\d{2})(?:秒)?",
    "年",
)
AMERICAN = LooseFormat(
    "11/20/2026 8:00:00 AM",
    r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<Y>\d{4}),? (?P<H>\d{1,2}):(?P<M>\d{2}):(?P<S>\d{2})(?: ?(?P<half>[AP]M))?",
    "/",
)
JAVA = LooseFormat(
    "Nov 20, 2026 8:00:00 AM",
    r"(?P<b>[A-Z][a-z]{2}) (?P<d>\d{1,2}), (?P<Y>\d{4}),? (?P<H>\d{1,2}):(?P<M>\d{2}):(?P<S>\d{2}) (?P<half>[AP]M)",
    ", ",
)


def read_any(texts: pa.Array, observed_ns: int, zone: tzinfo) -> tuple[np.ndarray, np.ndarray]:
    """Return (ok, UTC nanoseconds) of texts that are times and nothing else, as a JSON or logfmt value holds them."""
    text = Text.of(texts)
    exact = _read_rfc3339(texts, text)
    if exact is not None:
        return np.ones(len(texts), bool), exact
    ok = np.zeros(len(texts), bool)
    ns = np.zeros(len(texts), np.int64)
    for form in _VALUE_FORMATS:
        times = form.read(text, text.begins, observed_ns)
        ns = np.where(times.ok & ~ok, to_utc(times, zone, observed_ns), ns)
        ok |= times.ok
        if ok.all():
            break
    return ok, ns


def _read_rfc3339(texts: pa.Array, text: Text) -> np.ndarray | None:
    """Return the UTC nanoseconds of texts like 2026-11-20T08:00:00.678Z; None unless all are.

    Arrow reads these at a quarter of the price, but takes long to say that it cannot: first a look at the letters.
    """
    if not len(texts) or (text.ends - text.begins).min() < len("2026-11-20T08:00:00Z"):
        return None
    between, colon, behind = (text.data[text.begins + column] for column in (10, 16, 19))
    last = text.data[text.ends - 1]
    if not ((between == _T) & (colon == _COLON) & ((behind == _DOT) | (behind == _Z)) & (last == _Z)).all():
        return None
    try:
        return texts.cast(_UTC_NS).view(pa.int64()).to_numpy().copy()
    except pa.ArrowInvalid:
        return None


def read_utc(texts: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Return (ok, nanoseconds) of ISO 8601 texts that name their zone."""
    text = Text.of(texts)
    times = ISO.read(text, text.begins, 0)
    return times.ok & times.zoned, times.ns


_VALUE_FORMATS = (
    ISO,
    EpochFormat(),
    TimeFormat("YYYY/mm/dd?HH:MM:SS"),
    TimeFormat("dd/bbb/YYYY:HH:MM:SS"),
    TimeFormat("YYYYmmdd?HHMMSS"),
    TimeFormat("***, dd bbb YYYY HH:MM:SS"),
    TimeFormat("bbb ee HH:MM:SS"),
    CHINESE,
)
