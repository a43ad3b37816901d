"""join: lines become events. A stack trace, with the line of the log that announces it, is one record.

How, by ``Steps.multiline``.
  auto      Stack traces are recognised (traces.py). Every other line is an event of its own.
  start     A line in which the pattern is found begins an event; the others belong to the one before.
  continue  A line in which the pattern is found belongs to the one before.
  off       Every line is an event.

What waits. Lines at the end may be held back when more can follow (``ended`` is False): they come again together with
what follows, or as ``ended``. Only these are:
  - with ``start`` and ``continue`` the last event, for its end is known by the beginning of the next one;
  - with ``auto`` a trace that reaches the end, and lines at the end that look like the beginning of one: an exception's
    name without a time or a level before it (``java.lang.Error: x``), ``Traceback``, ``panic:`` and the like. Any other
    line never waits, and neither does ``2026-01-02 03:04:05 ERROR failed``: programs write a message and its trace at
    once, so a reader sees both or neither. Should it see the first alone, the trace becomes an event of its own.
  - When the source says that it has ``more``, it costs nothing to wait: whatever a trace may follow is held back, so
    that where a block ends makes no difference.

Lines of several writers in one block (``codes``) are joined each with its own; a line that waits makes every later line
wait too, for there is one place to go on from.

Bounds. An event ends at EVENT_LINES_MAX lines or EVENT_BYTES_MAX bytes, is marked as cut, and the rest begins the next
one. What stands further than EVENT_BYTES_MAX before the end does not wait.

Cost. The usual block holds no trace; that is found out from the first two bytes of every line, in columns. Python runs
over the lines around those that may be part of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.errors import ConfigError
from tailrace.limits import EVENT_BYTES_MAX, EVENT_LINES_MAX
from tailrace.lines import Steps
from tailrace.pipeline.traces import (
    AFTER,
    AFTER_MORE,
    AFTER_ROWS,
    BEFORE_ROWS,
    HEAD,
    HEAD_MORE,
    SEED_KINDS,
    SEEDS,
    TRACE,
    kind_of,
)

MODES = ("auto", "off", "start", "continue")


@dataclass(frozen=True, slots=True)
class Events:
    """Which lines are which event.

    ``order`` (int64) is the rows that are given out, event by event; the first row of an event stands at
    ``order[begins[event]]``, and those rows ascend. ``cut`` are the events that were ended by a bound. Every row from
    ``rows`` on waits.
    """

    order: np.ndarray
    begins: np.ndarray
    cut: np.ndarray
    rows: int

    @property
    def firsts(self) -> np.ndarray:
        """Return the first row of each event."""
        return self.order[self.begins]

    def texts(self, text: pa.StringArray) -> pa.StringArray:
        """Return the text of each event: its lines, with a newline between."""
        if len(self.begins) == len(self.order):
            return text.slice(0, self.rows)
        ordered = text.slice(0, self.rows)
        if not np.array_equal(self.order, np.arange(self.rows)):
            ordered = text.take(pa.array(self.order))
        places = np.append(self.begins, len(self.order)).astype(np.int32)
        return pc.binary_join(pa.ListArray.from_arrays(pa.array(places), ordered), "\n")

    def event_of(self, rows: int) -> np.ndarray:
        """Return the event of each of so many rows, -1 for those that wait."""
        event = np.full(rows, -1, np.int64)
        event[self.order] = np.repeat(np.arange(len(self.begins)), np.diff(np.append(self.begins, len(self.order))))
        return event


def check(steps: Steps) -> None:
    """Raise ConfigError when lines cannot be joined as these steps say."""
    if steps.multiline not in MODES:
        raise ConfigError(f"{steps.multiline!r} is no way to join lines", cure=f"Use one of {', '.join(MODES)}.")
    if steps.multiline in ("start", "continue"):
        if not steps.pattern:
            raise ConfigError(f"multiline {steps.multiline!r} needs a pattern", cure="Give a regular expression (RE2).")
        _compiled(steps.pattern)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> Any:
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        raise ConfigError(f"{pattern!r} is no pattern: {error}", cure="Write it as RE2 takes it.") from error


def join(
    text: pa.StringArray, steps: Steps, *, ended: bool = True, more: bool = False, codes: np.ndarray | None = None
) -> Events | None:
    """Return the events of these lines, or None when every line is one and none waits (the usual case).

    ``codes`` (integers, as many as lines) tells lines of different writers apart.
    """
    if steps.multiline == "off" or not len(text):
        return None
    if codes is None or (codes == codes[0]).all():
        found = _one(text, steps, ended=ended, more=more)
        if found is None:
            return None
        starts, waits = found
        return _events(text, np.arange(len(text)), starts, waits, one_writer=True)
    return _several(text, steps, codes, ended=ended, more=more)


def _several(text: pa.StringArray, steps: Steps, codes: np.ndarray, *, ended: bool, more: bool) -> Events | None:
    order = np.argsort(codes, kind="stable")
    bounds = np.flatnonzero(np.diff(codes[order], prepend=codes[order[0]] - 1))
    starts = np.ones(len(order), bool)
    waits = len(text)
    seen = False
    for low, high in zip(bounds.tolist(), [*bounds[1:].tolist(), len(order)], strict=True):
        rows = order[low:high]
        found = _one(text.take(pa.array(rows)), steps, ended=ended, more=more)
        if found is not None:
            seen = True
            starts[low:high] = found[0]
            if found[1] < len(rows):
                waits = min(waits, int(rows[found[1]]))
    return _events(text, order, starts, waits, one_writer=False) if seen else None


def _events(text: pa.StringArray, order: np.ndarray, starts: np.ndarray, waits: int, *, one_writer: bool) -> Events:
    """Apply the bounds, and let wait what stands behind a line that waits."""
    sizes = pc.binary_length(text).to_numpy(zero_copy_only=False).astype(np.int64)
    behind = np.cumsum(sizes[::-1])[::-1]
    begins, cut = _bounded(np.flatnonzero(starts), np.concatenate([[0], np.cumsum(sizes[order] + 1)]))
    if one_writer and waits < len(text):
        # Of an open event that was cut only the last piece waits.
        place = int(begins.searchsorted(waits))
        while place in cut:
            place += 1
        waits = int(begins[place])
    if waits < len(text) and behind[waits] > EVENT_BYTES_MAX:
        waits = len(text)
    if one_writer:
        begins = begins[begins < waits]
        return Events(order[:waits], begins, cut[cut < len(begins)], waits)
    event_of = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(order))))
    firsts = order[begins]
    while waits < len(text):
        # An event that has begun before the line that waits and has lines behind it waits as well.
        reaching = event_of[order >= waits]
        first = int(firsts[reaching].min())
        if first >= waits:
            break
        waits = first
    kept = firsts < waits
    sequence = np.argsort(firsts[kept], kind="stable")
    kept_rows = kept[event_of]
    rank = np.empty(len(begins), np.int64)
    rank[np.flatnonzero(kept)[sequence]] = np.arange(len(sequence))
    sorted_rows = np.argsort(rank[event_of[kept_rows]], kind="stable")
    ordered = order[kept_rows][sorted_rows]
    lengths = np.diff(np.append(begins, len(order)))[kept][sequence]
    marks = np.zeros(len(begins), bool)
    marks[cut] = True
    return Events(
        ordered,
        np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64) if len(lengths) else lengths,
        np.flatnonzero(marks[kept][sequence]),
        waits,
    )


def _bounded(begins: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where events begin when none is longer than the bounds, and the places of those that were cut.

    ``ends`` is the bytes before each row (int64, one more than rows).
    """
    rows = len(ends) - 1
    nexts = np.append(begins[1:], rows)
    long = ((nexts - begins) > EVENT_LINES_MAX) | (
        (ends[nexts] - ends[begins] > EVENT_BYTES_MAX) & (nexts - begins > 1)
    )
    if not long.any():
        return begins, np.zeros(0, np.int64)
    bounded: list[int] = []
    cut: list[int] = []
    # A Python loop over events; it runs when one of them is too long.
    for begin, following, is_long in zip(begins.tolist(), nexts.tolist(), long.tolist(), strict=True):
        place = begin
        while is_long:
            by_bytes = int(ends.searchsorted(ends[place] + EVENT_BYTES_MAX, "right")) - 1
            end = min(max(by_bytes, place + 1), place + EVENT_LINES_MAX)
            if end >= following:
                break
            cut.append(len(bounded))
            bounded.append(place)
            place = end
        bounded.append(place)
    return np.array(bounded, np.int64), np.array(cut, np.int64)


def _one(text: pa.StringArray, steps: Steps, *, ended: bool, more: bool) -> tuple[np.ndarray, int] | None:
    """Return which rows begin an event and from which row on they wait, or None when all begin one and none waits."""
    if steps.multiline == "auto":
        return _traces(text, ended=ended, more=more)
    _compiled(steps.pattern)
    found = pc.match_substring_regex(text, steps.pattern).to_numpy(zero_copy_only=False)
    starts = found.copy() if steps.multiline == "start" else ~found
    starts[0] = True
    return starts, len(text) if ended else int(np.flatnonzero(starts)[-1])


def _traces(text: pa.StringArray, *, ended: bool, more: bool) -> tuple[np.ndarray, int] | None:
    rows = len(text)
    if rows <= AFTER_ROWS and not ended:
        # Lines that come one by one are all looked at, so no column has to tell which of them need it.
        kinds, places = "".join(map(kind_of, text.to_pylist())).encode(), np.arange(rows)
    else:
        seeds = _seeds(text)
        tail = 0 if ended else min(rows, BEFORE_ROWS if more else AFTER_ROWS)
        if not len(seeds) and not tail:
            return None
        kinds, places = _kinds(text, seeds, tail)
    spans = [match.span() for match in TRACE.finditer(kinds)]
    joined = [(begin, end) for begin, end in spans if end - begin > 1]
    begin, end = spans[-1] if spans else (0, 0)
    before = spans[-2][1] if len(spans) > 1 else 0
    waits = rows if ended else _waiting(kinds, (before, begin, end), places, rows, more=more)
    if not joined and waits == rows:
        return None
    starts = np.ones(rows, bool)
    for begin, end in joined:
        starts[places[begin] + 1 : places[end - 1] + 1] = False
    return starts, waits


def _kinds(text: pa.StringArray, seeds: np.ndarray, tail: int) -> tuple[bytes, np.ndarray]:
    """Return the letters of the lines near the seeds and of the last ``tail``, and the row of each (-1: between)."""
    looked = np.arange(len(text) - tail, len(text))
    if len(seeds):
        looked = np.union1d(np.flatnonzero(_near(seeds, len(text))), looked)
    # A Python loop over what is near: about 0.4 us a line, up to 1 us where lines are not indented.
    letters = "".join(map(kind_of, text.take(pa.array(looked)).to_pylist())).encode()
    # Neighbours that are none are told apart by a letter that no trace has.
    breaks = np.flatnonzero(np.diff(looked) > 1) + 1
    return np.insert(np.frombuffer(letters, np.uint8), breaks, ord(".")).tobytes(), np.insert(looked, breaks, -1)


def _waiting(kinds: bytes, last: tuple[int, int, int], places: np.ndarray, rows: int, *, more: bool) -> int:
    """Return the row from which on lines wait; the last trace stands at [begin, end) of the kinds.

    A trace that reaches the end may be the rest of one that began earlier, but behind the one ``before`` it.
    """
    before, begin, end = last
    reaches = bool(end) and (AFTER_MORE if more else AFTER).fullmatch(kinds, end) is not None
    open_ = (HEAD_MORE if more else HEAD).search(kinds, max(before if reaches else end, len(kinds) - BEFORE_ROWS))
    first = open_.start() if open_ else len(kinds)
    first = min(first, begin) if reaches else first
    return int(places[first]) if first < len(kinds) else rows


def _seeds(text: pa.StringArray) -> np.ndarray:
    """Return the rows by which a trace is known."""
    _, offsets, data = text.buffers()
    begins = np.frombuffer(offsets, np.int32)[text.offset : text.offset + len(text)]
    raw = np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)
    if len(raw) < 2:
        return np.zeros(0, np.int64)
    # A line of one byte or none is taken together with its neighbour; looking at it closely puts that right.
    pairs = np.ndarray(len(raw) - 1, "<u2", raw, 0, (1,))
    able = np.flatnonzero(SEEDS[pairs[np.minimum(begins, len(pairs) - 1)]])
    if not len(able):
        return able
    # A Python loop over the lines that begin like one: about 0.4 us each.
    lines = text.take(pa.array(able)).to_pylist()
    return able[np.fromiter((kind_of(line) in SEED_KINDS for line in lines), bool, len(lines))]


def _near(seeds: np.ndarray, rows: int) -> np.ndarray:
    """Return which rows are near a seed."""
    edges = np.zeros(rows + 1, np.int32)
    np.add.at(edges, np.maximum(seeds - BEFORE_ROWS, 0), 1)
    np.add.at(edges, np.minimum(seeds + AFTER_ROWS + 1, rows), -1)
    return np.cumsum(edges[:-1]) > 0
