"""Text layouts: where the time stands in a line, how it is written, and where the level is.

The message of a text line is always the whole line, unchanged; time and level are read beside it. A layout is a row of
``LAYOUTS``; a new one needs no code. Whole blocks are read at once: times as columns of bytes (timestamp.py), levels
by one RE2 pattern over the bytes behind the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.pipeline.level import SYSLOG, level_of
from tailrace.pipeline.timestamp import EpochFormat, Text, TimeFormat, to_utc

_WORD_BYTES = 32
"""How far behind the time the first word is looked for."""
_HEAD_BYTES = 128
"""How far behind the time a level is looked for."""
_LEAD_BYTES = 160
"""How far into a line a time is looked for."""
_FEW_LINES = 64
"""So few lines are matched one by one: Arrow makes a pattern ready for each array, which takes up to 1 ms."""

_UPPER = (
    "TRACE|TRC|VERBOSE|FINEST|FINER|FINE|DEBUG|DBG|INFO|INFORMATION|NOTICE|LOG|WARN|WARNING|WRN|ERROR|ERR|SEVERE|FATAL|"
    "CRITICAL|CRIT|ALERT|EMERG|EMERGENCY|PANIC|DPANIC|FAILURE|Trace|Verbose|Debug|Info|Information|Notice|Note|System|"
    "Warn|Warning|Error|Severe|Fatal|Critical"
)
_WORD = f"(?:{_UPPER}|{_UPPER.lower()})"
_USUAL = (
    r"^\]?[\s,|\-]*(?:[A-Z]{3,5}\s+)?(?:\d+\s+)?(?:\[[^\]]*[^\]a-zA-Z][^\]]*\]\s*)*"
    rf"(?:[\[(<](?P<level>{_WORD})[\])>]"
    rf"|(?P<bare>{_UPPER})(?:\W|$)"
    rf"|(?P<marked>{_WORD})\s*[:\]|\t]"
    rf"|(?:\[[^\]]*\]\s*)+[\[(<]?(?P<thread>{_UPPER})(?:\W|$)"
    rf"|[\w.$/:\-]+\s+(?:-\s+|\|\s+)?\[?(?P<named>{_UPPER})(?:[^\w.]|$))"
)
"""What stands behind a time in most layouts: the level, maybe after a number, a thread in brackets or a name."""
_NEXT_WORD = r"^\]?[\s,|\-\d]*(?P<word>[\[(<]?[A-Za-z]{1,12}[^\w.])"
"""The first word, with the bytes around it: decides most lines at a tenth of the price."""
_PROPER = frozenset(_UPPER.split("|"))
_LOWER = frozenset(_UPPER.lower().split("|"))


def _at(column: int) -> Callable[[Text], np.ndarray]:
    return lambda text: text.begins + column


def _after(byte: bytes, times: int = 1, first: bytes = b"") -> Callable[[Text], np.ndarray]:
    """Point behind the n-th such byte.

    Without so many, or in a line that does not begin with ``first``, that is the line's end.
    """
    char = byte[0]

    def locate(text: Text) -> np.ndarray:
        head = text.window(text.begins, _LEAD_BYTES)
        seen = np.cumsum(head == char, axis=1, dtype=np.int16) == times
        if first:
            seen &= (head[:, 0] == first[0])[:, None]
        return np.where(seen.any(axis=1), text.begins + seen.argmax(axis=1) + 1, text.ends)

    return locate


def _behind_capitals(text: Text) -> np.ndarray:
    """Point at the first digit, when no small letter stands before it."""
    head = text.window(text.begins, 24)
    stops = (head - np.uint8(48) <= 9) | (head - np.uint8(97) <= 25)
    first = stops.argmax(axis=1)
    digit = np.take_along_axis(head, first[:, None], axis=1)[:, 0] - np.uint8(48) <= 9
    return np.where(digit & (first > 1), text.begins + first, text.ends)


@dataclass(frozen=True, slots=True)
class Layout:
    """One row: ``level`` is a pattern whose first group that matches is the level.

    It is looked for behind the time, or, with ``before``, from the line's beginning; ``priority`` takes it as the
    number of syslog.
    """

    name: str
    locate: Callable[[Text], np.ndarray]
    form: TimeFormat | EpochFormat
    level: str = ""
    before: bool = False
    priority: bool = False


_ISO = TimeFormat("YYYY-mm-dd?HH:MM:SS")
_SLASHED = TimeFormat("YYYY/mm/dd?HH:MM:SS")
_BSD = TimeFormat("bbb ee HH:MM:SS")
_PRI = r"^<(?P<level>\d{1,3})>"
_FIRST = rf"^\W*(?P<level>{_WORD})\b"

LAYOUTS: Sequence[Layout] = (
    Layout("iso", _at(0), _ISO, _USUAL),
    Layout("iso-bracketed", _at(1), _ISO, _USUAL),
    Layout("rfc3164", _at(0), _BSD),
    Layout("rfc5424-pri", _after(b" ", 1, b"<"), _ISO, _PRI, before=True, priority=True),
    Layout("rfc3164-pri", _after(b">", 1, b"<"), _BSD, _PRI, before=True, priority=True),
    Layout("apache-error", _at(1), TimeFormat("*** bbb ee HH:MM:SS YYYY"), r"^\] \[(?:\w*:)?(?P<level>\w+)[\]:]"),
    Layout(
        "apache-error-micro",
        _at(1),
        TimeFormat("*** bbb ee HH:MM:SS.ffffff YYYY"),
        r"^\] \[(?:\w*:)?(?P<level>[a-z]+)\d?\]",
    ),
    Layout("access", _after(b"["), TimeFormat("dd/bbb/YYYY:HH:MM:SS")),
    Layout("slashed", _at(0), _SLASHED, _USUAL),
    Layout("klog", _at(1), TimeFormat("mmdd HH:MM:SS"), r"^(?P<level>[IWEF])\d{4} ", before=True),
    Layout("android", _at(0), TimeFormat("mm-dd HH:MM:SS"), r"^\s+\d+\s+\d+\s+(?P<level>[VDIWEF])\s"),
    Layout("hdfs", _at(0), TimeFormat("yymmdd HHMMSS"), rf"^ \d+ (?P<level>{_UPPER})\b"),
    Layout("short-slashed", _at(0), TimeFormat("yy/mm/dd HH:MM:SS"), _USUAL),
    Layout("health", _at(0), TimeFormat("YYYYmmdd-HH:MM:SS")),
    Layout("proxifier", _at(1), TimeFormat("mm.dd HH:MM:SS")),
    Layout(
        "supercomputer",
        _after(b" "),
        EpochFormat(),
        r"^ (?:\S+ ){6}(?P<level>INFO|WARNING|ERROR|SEVERE|FATAL|FAILURE)\b",
    ),
    Layout("cluster", _after(b" ", 4), EpochFormat()),
    Layout("redis", _after(b" "), TimeFormat("dd bbb YYYY HH:MM:SS")),
    Layout("level-first", _behind_capitals, _ISO, _FIRST, before=True),
    Layout("level-first-slashed", _behind_capitals, _SLASHED, _FIRST, before=True),
    Layout("iso-after-name", _after(b" "), _ISO, _USUAL),
    Layout("dotted", _at(0), TimeFormat("dd.mm.YYYY HH:MM:SS"), _USUAL),
    Layout("day-first", _at(0), TimeFormat("dd-bbb-YYYY HH:MM:SS"), _USUAL),
    Layout("epoch", _at(0), EpochFormat(), _USUAL),
)


@dataclass(frozen=True, slots=True)
class Understood:
    """Per line: whether a time was read, UTC nanoseconds (anything where not), level."""

    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray


def read(layout: Layout, lines: pa.Array, observed_ns: int, zone: tzinfo) -> Understood:
    """Read time and level of every line; a line that does not fit has neither."""
    text = Text.of(lines)
    times = layout.form.read(text, layout.locate(text), observed_ns)
    levels = np.zeros(len(lines), np.uint8)
    if layout.level and times.ok.any():
        starts = text.begins if layout.before else np.minimum(times.ends, text.ends)
        levels = np.where(times.ok, _levels(layout, text, starts), 0).astype(np.uint8)
    return Understood(times.ok, to_utc(times, zone), levels)


def _levels(layout: Layout, text: Text, starts: np.ndarray) -> np.ndarray:
    if layout.priority:
        return _coded(_extracted(_heads(text, starts, _HEAD_BYTES), layout.level), lambda word: SYSLOG[int(word) % 8])
    if layout.level != _USUAL:
        return _coded(_extracted(_heads(text, starts, _HEAD_BYTES), layout.level), level_of)
    levels = _coded(_extracted(_heads(text, starts, _WORD_BYTES), _NEXT_WORD), _level_of_word)
    rest = np.flatnonzero(levels == 0)
    if not len(rest):
        return levels
    array = _heads(text, starts, _HEAD_BYTES)
    if len(rest) > _FEW_LINES:
        rest = rest[pc.match_substring_regex(array, _USUAL).to_numpy(zero_copy_only=False)[rest]]
    if len(rest):
        levels[rest] = _coded(_extracted(array.take(pa.array(rest)), _USUAL), level_of)
    return levels


def _heads(text: Text, starts: np.ndarray, width: int) -> pa.Array:
    """Return ``width`` bytes of each line from ``starts``."""
    heads = np.ascontiguousarray(text.window(starts, width))
    places = np.arange(0, heads.size + 1, width, dtype=np.int32)
    return pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(places), pa.py_buffer(heads)])


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
    known = [level(word.decode("latin-1")) for word in coded.dictionary.to_pylist()]
    table = np.array([*known, 0], np.uint8)
    return table[coded.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]


def _level_of_word(token: str) -> int:
    word = token[:-1].lstrip("[(<")
    closed = len(word) + 1 < len(token) or token[-1] in ":]|\t)>"
    if word in _PROPER or (closed and word.lower() in _LOWER):
        return level_of(word)
    return 0


def detect(lines: pa.Array, observed_ns: int, zone: tzinfo) -> Layout | None:
    """Return the layout that reads the times of most of these lines; the first of equals; None when none reads any."""
    best, most = None, 0
    for layout in LAYOUTS:
        count = int(read(layout, lines, observed_ns, zone).ok.sum())
        if count > most:
            best, most = layout, count
        if most * 10 >= len(lines) * 9:
            break
    return best
