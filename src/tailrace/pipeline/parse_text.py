"""Text layouts: where the time stands in a line, how it is written, where the level is, and which fields there are.

The message of a text line is always the whole line, unchanged; time, level and fields are read beside it. A layout is
a row of a table (layouts.py); a new one needs no code. Whole blocks are read at once: times as columns of bytes
(timestamp.py), fields by templates (dissect.py), levels from a field or by one RE2 pattern over the bytes behind the
time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.pipeline import fields
from tailrace.pipeline.dissect import Template, dissect
from tailrace.pipeline.level import SYSLOG, level_of
from tailrace.pipeline.timestamp import EpochFormat, LooseFormat, Text, TimeFormat, Times, to_utc

Locate = Callable[[Text], np.ndarray]
"""Tells where the time of each line begins; the line's end where there is none."""

_WORD_BYTES = 32
"""How far behind the time the first word is looked for."""
_HEAD_BYTES = 128
"""How far behind the time a level is looked for."""
_LEAD_BYTES = 160
"""How far into a line a time is looked for."""
_FEW_LINES = 64
"""So few lines are matched one by one: Arrow makes a pattern ready for each array, which takes up to 1 ms."""

UPPER = (
    "TRACE|TRC|VERBOSE|FINEST|FINER|FINE|DEBUG|DBG|INFO|INFORMATION|NOTICE|LOG|WARN|WARNING|WRN|ERROR|ERR|SEVERE|FATAL|"
    "INF|VRB|FTL|CRITICAL|CRIT|ALERT|EMERG|EMERGENCY|PANIC|DPANIC|FAILURE|Trace|Verbose|Debug|Info|Information|Notice|Note|System|"
    "Warn|Warning|Error|Severe|Fatal|Critical|"
    "错误|警告|信息|调试|严重|致命|提示"
)
WORD = f"(?:{UPPER}|{UPPER.lower()})"
USUAL = (
    r"^\]?[\s,|\-]*(?:[A-Z]{3,5}\s+)?(?:\d+\s+)?(?:\[[^\]]*[^\]a-zA-Z][^\]]*\]\s*)*"
    rf"(?:[\[(<](?P<level>{WORD})[\])>]"
    rf"|(?P<bare>{UPPER})(?:\W|$)"
    rf"|(?P<marked>{WORD})\s*[:\]|\t]"
    rf"|(?:\[[^\]]*\]\s*)+[\[(<]?(?P<thread>{UPPER})(?:\W|$)"
    rf"|[\w.$/:\-]+\s+(?:-\s+|\|\s+)?\[?(?P<named>{UPPER})(?:[^\w.]|$))"
)
"""What stands behind a time in most layouts: the level, maybe after a number, a thread in brackets or a name."""
_NEXT_WORD = r"^\]?[\s,|\-\d]*(?P<word>[\[(<]?[A-Za-z]{1,12}[^\w.])"
"""The first word, with the bytes around it: decides most lines at a tenth of the price."""
_PROPER = frozenset(UPPER.split("|"))
_LOWER = frozenset(UPPER.lower().split("|"))


@lru_cache
def at(column: int) -> Locate:
    """Point at a column of the line."""
    return lambda text: text.begins + column


@lru_cache
def after(byte: bytes, times: int = 1, first: bytes = b"") -> Locate:
    """Point behind the n-th such byte.

    Without so many, or in a line that does not begin with ``first``, that is the line's end.
    """

    def locate(text: Text) -> np.ndarray:
        place = text.begins
        for _ in range(times):
            place = np.minimum(text.next_of(byte, place) + 1, text.ends)
        place = np.where(place - text.begins > _LEAD_BYTES, text.ends, place)
        return np.where(text.data[text.begins] == first[0], place, text.ends) if first else place

    return locate


def behind_capitals(text: Text) -> np.ndarray:
    """Point at the first digit, when no small letter stands before it."""
    head = text.window(text.begins, 24)
    stops = (head - np.uint8(48) <= 9) | (head - np.uint8(97) <= 25)
    first = stops.argmax(axis=1)
    digit = np.take_along_axis(head, first[:, None], axis=1)[:, 0] - np.uint8(48) <= 9
    return np.where(digit & (first > 1), text.begins + first, text.ends)


@dataclass(frozen=True, slots=True)
class Layout:
    """One row of the table.

    ``level`` is a pattern whose first group that matches is the level. It is looked for behind the time, or, with
    ``before``, from the line's beginning; ``priority`` takes it as the number of syslog. ``templates`` read the fields
    (the first that fits a line), behind the time or, with ``whole``, from the line's beginning; their ``level`` is the
    level. A ``strict`` layout is recognised by its templates, not by its time alone; one without ``form`` has no time.
    ``sample`` is a line of it, for people and for the tests. ``utc``: the standard says that times are UTC.
    """

    name: str
    about: str
    sample: str
    locate: Locate
    form: TimeFormat | EpochFormat | LooseFormat | None
    level: str = ""
    templates: tuple[Template, ...] = ()
    before: bool = False
    priority: bool = False
    whole: bool = False
    strict: bool = False
    utc: bool = False


@dataclass(frozen=True, slots=True)
class Understood:
    """Per line: whether it fits, whether a time was read, UTC nanoseconds (anything where not), level, fields.

    ``zoned`` tells which times named their own zone. ``fields`` is None when the layout has none.
    """

    fits: np.ndarray
    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray
    zoned: np.ndarray
    fields: pa.StringArray | None = None


Seen = dict[tuple[Locate, TimeFormat | EpochFormat | LooseFormat], Times]
"""Times that were read already, by where and how: many layouts have theirs in common."""


def fits(layout: Layout, text: Text, observed_ns: int, zone: tzinfo, seen: Seen) -> np.ndarray:
    """Tell which lines fit, as ``read`` does; reads no more than that takes. ``seen`` is for one text."""
    if layout.form is None:
        return _read(layout, text, observed_ns, zone).fits
    key = layout.locate, layout.form
    if key not in seen:
        seen[key] = layout.form.read(text, layout.locate(text), observed_ns)
    times = seen[key]
    if not layout.strict or not times.ok.any():
        return times.ok
    matched = np.zeros(len(times.ok), bool)
    starts = text.begins if layout.whole else np.minimum(times.ends, text.ends)
    for rows, _ in dissect(layout.templates, text, starts, times.ok):
        matched[rows] = True
    return matched


def read(layout: Layout, lines: pa.Array, observed_ns: int, zone: tzinfo) -> Understood:
    """Read time, level and fields of every line; a line that does not fit has none of them."""
    return _read(layout, Text.of(lines), observed_ns, zone)


def _read(layout: Layout, text: Text, observed_ns: int, zone: tzinfo) -> Understood:
    rows = len(text.begins)
    none = np.zeros(rows, bool)
    if layout.form is None:
        times = Times(none, np.zeros(rows, np.int64), none, text.begins)
        fits = np.ones(rows, bool)
    else:
        times = layout.form.read(text, layout.locate(text), observed_ns)
        fits = times.ok
    levels = np.zeros(rows, np.uint8)
    ends = np.minimum(times.ends, text.ends)
    if layout.level and fits.any():
        starts = text.begins if layout.before else ends
        levels = np.where(fits, _levels(layout, text, starts), 0).astype(np.uint8)
    texts = None
    if layout.templates and fits.any():
        matched, texts = _fields(layout, text, text.begins if layout.whole else ends, fits, levels)
        fits = matched if layout.strict else fits
    if layout.form is None:
        fits &= levels > 0  # without a time, a known level is what makes a line one of the layout's
        texts = texts if texts is None else pc.if_else(pa.array(fits), texts, pa.scalar(None, pa.string()))
    zoned = times.zoned | times.ok if layout.utc else times.zoned
    return Understood(fits, times.ok, to_utc(times, UTC if layout.utc else zone, observed_ns), levels, zoned, texts)


def _fields(
    layout: Layout, text: Text, starts: np.ndarray, fits: np.ndarray, levels: np.ndarray
) -> tuple[np.ndarray, pa.StringArray]:
    """Return which lines the templates read and their fields; fill in ``levels`` where a template names them."""
    matched = np.zeros(len(fits), bool)
    texts: pa.StringArray | None = None
    for rows, columns in dissect(layout.templates, text, starts, fits):
        matched[rows] = True
        kept = [column for column in columns if column.name != "level"]
        for column in columns:
            if column.name == "level":
                levels[rows] = _coded(column.values.cast(pa.binary()), level_of)
        found = fields.placed(fields.objects(kept, len(rows)), rows, len(fits))
        texts = found if texts is None else pc.coalesce(texts, found)
    return matched, pa.nulls(len(fits), pa.string()) if texts is None else texts


def _levels(layout: Layout, text: Text, starts: np.ndarray) -> np.ndarray:
    if layout.priority:
        return _coded(_extracted(_heads(text, starts, _WORD_BYTES), layout.level), lambda word: SYSLOG[int(word) % 8])
    if layout.level != USUAL:
        return _coded(_extracted(_heads(text, starts, _HEAD_BYTES), layout.level), level_of)
    levels = _coded(_extracted(_heads(text, starts, _WORD_BYTES), _NEXT_WORD), _level_of_word)
    rest = np.flatnonzero(levels == 0)
    if len(rest):
        array = _heads(text.take(rest), starts[rest], _HEAD_BYTES)
        if len(rest) > _FEW_LINES:
            found = np.flatnonzero(pc.match_substring_regex(array, USUAL).to_numpy(zero_copy_only=False))
            rest, array = rest[found], array.take(pa.array(found))
        levels[rest] = _coded(_extracted(array, USUAL), level_of)
    return levels


def _heads(text: Text, starts: np.ndarray, width: int) -> pa.Array:
    """Return so many bytes of each line, with zeros behind its end."""
    heads = text.window(starts, width)
    places = np.arange(0, heads.size + 1, width, dtype=np.int32)
    buffers = [None, pa.py_buffer(places), pa.py_buffer(np.ascontiguousarray(heads))]
    return pa.Array.from_buffers(pa.binary(), len(starts), buffers)


def _extracted(array: pa.Array, pattern: str) -> pa.Array:
    """Return the first group of each line that matched something; null without."""
    if len(array) <= _FEW_LINES:
        # A Python loop over a few lines: about 3 us each.
        matches = map(_ready(pattern).search, array.to_pylist())
        return pa.array([match and next(filter(None, match.groups()), None) for match in matches], pa.binary())
    found = pc.extract_regex(array, pattern)
    groups = [pc.struct_field(found, [place]) for place in range(found.type.num_fields)]
    return pc.coalesce(*[pc.if_else(pc.equal(pc.binary_length(group), 0), None, group) for group in groups])


@lru_cache(maxsize=64)
def _ready(pattern: str) -> Any:
    """Return the pattern over bytes, each a character, as Arrow takes it for binary arrays."""
    return re2.compile(pattern.encode())


def _coded(words: pa.Array, level: Callable[[str], int]) -> np.ndarray:
    """Return the level of each word; each distinct one is looked at once."""
    coded = words.dictionary_encode()
    known = [level(word.decode("utf-8", "replace")) for word in coded.dictionary.to_pylist()]
    table = np.array([*known, 0], np.uint8)
    return table[coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]


def _level_of_word(token: str) -> int:
    word = token[:-1].lstrip("[(<")
    closed = len(word) + 1 < len(token) or token[-1] in ":]|\t)>"
    if word in _PROPER or (closed and word.lower() in _LOWER):
        return level_of(word)
    return 0
