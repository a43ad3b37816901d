"""The pipeline: raw lines of one stream become a batch with times, levels, fields and labels.

Pure: no I/O and no clock. Verbs are files: decode, join, parse (``parse_json``, ``parse_logfmt``, ``parse_text``),
level, label, speaker, drop, sample, redact: what a person does not want to keep goes before anything is written.

How a stream is written is found out from its first lines and remembered; when none of a block's lines fits any more, or
while nothing is known and twice as many lines came, it is found out again. Times by rule: the line's own; else
that of the line before in the stream (a continuation belongs to its beginning); else when it was observed.
"""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tailrace.limits import DETECT_LINES, LINE_BYTES_MAX, STREAM_STATES_MAX
from tailrace.lines import Lines, Steps
from tailrace.pipeline import parse_json, parse_logfmt, parse_text
from tailrace.pipeline.decode import decode, encoding_of, looks_like, newline_of
from tailrace.pipeline.drop import dropped
from tailrace.pipeline.join import Events, join
from tailrace.pipeline.label import labelled
from tailrace.pipeline.level import level_of, levels_by
from tailrace.pipeline.parse_json import process_json
from tailrace.pipeline.redact import redactor
from tailrace.pipeline.sample import sampled
from tailrace.pipeline.speaker import speakers
from tailrace.pipeline.timestamp import read_any
from tailrace.record import Batch, Origin, Stream

__all__ = ["Pipeline", "process_json"]

_UTF8_BYTES_MAX = 4


@dataclass(slots=True)
class _State:
    """What is remembered of one stream; ``layout`` is "json", "logfmt", a row of LAYOUTS, or None (plain text)."""

    layout: parse_text.Layout | str | None = None
    unknown_lines: int = 0
    detect_at: int = 0
    last_time_ns: int = 0
    hint: str = ""


@dataclass(slots=True)
class _Columns:
    """What a layout read of each line."""

    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray
    message: pa.Array | None = None
    trace_id: list[str | None] | None = None
    fields: list[str | None] | None = None
    streams: tuple[list[int], list[Any]] | None = None


class Pipeline:
    """Gives lines their meaning; keeps what it learned about each stream. Not for several threads at once."""

    def __init__(self, zone: tzinfo = UTC) -> None:
        """``zone`` is that of times which name none: the zone of the machine that wrote them.

        ``dropped`` and ``sampled`` count what was left out, by the text of the filter; ``redacted`` what was masked, by
        rule. They may be read from any thread.
        """
        self.dropped: Counter[str] = Counter()
        self.sampled: Counter[str] = Counter()
        self.redacted: Counter[str] = Counter()
        self._zone = zone
        self._states: OrderedDict[str, _State] = OrderedDict()

    def layout_of(self, stream_json: str) -> str | None:
        """Return the name of the layout that a stream was found to be written in."""
        state = self._states.get(stream_json)
        layout = state.layout if state else None
        return layout.name if isinstance(layout, parse_text.Layout) else layout

    def hint_of(self, stream_json: str) -> str:
        """Return what a person should know about how a stream is read; empty when all is well."""
        state = self._states.get(stream_json)
        return state.hint if state else ""

    def process(self, lines: Lines) -> Batch:
        """Return the batch of these lines: a row for every event that is wanted, in the order of their first lines.

        Where lines wait, the origin of the batch ends at the first of them.
        """
        state = self._state(lines.stream.json)
        text, raw = decode(lines.lines, lines.steps.encoding)
        if 2 * len(raw) > len(text) and not lines.steps.encoding and not state.hint:
            guess = looks_like([raw[row] for row in sorted(raw)[:DETECT_LINES]])
            state.hint = f'not UTF-8, and looks like Chinese: set encoding = "{guess}"' if guess else ""
        events = join(text, lines.steps, ended=lines.ended, more=lines.more)
        if events is not None:
            text, raw = events.texts(text), _raw_of(events, lines, raw)
            lines = _taken(events, lines)
        columns = self._columns(lines, text, state)
        time = self._filled(columns, state, lines.observed_ns)
        fields = _marked(columns.fields, lines.lines, raw, () if events is None else events.cut.tolist())
        codes, streams = columns.streams or self._speakers(lines, text)
        origin, steps = lines.origin, lines.steps
        batch = Batch.of(
            time=time,
            observed=np.full(len(text), lines.observed_ns, np.int64),
            level=levels_by(steps, text, columns.level),
            stream=parse_json.stream_array(codes, [labelled(stream, steps.labels_from) for stream in streams]),
            message=text if columns.message is None else columns.message,
            position=lines.positions,
            trace_id=columns.trace_id,
            fields=fields,
            origins=[Origin(origin.source, origin.first, origin.next, len(text), origin.note)],
        )
        return self._wanted(batch, steps)

    def _wanted(self, batch: Batch, steps: Steps) -> Batch:
        """Leave out and mask what a person does not want to be kept."""
        if steps.drop:
            batch = dropped(batch, steps.drop, self.dropped)
        if steps.sample:
            batch = sampled(batch, steps.sample, self.sampled)
        if steps.redact:
            batch = redactor(steps.redact).apply(batch, self.redacted)
        return batch

    def _state(self, key: str) -> _State:
        state = self._states.pop(key, None) or _State()
        self._states[key] = state
        if len(self._states) > STREAM_STATES_MAX:
            self._states.popitem(last=False)
        return state

    def _columns(self, lines: Lines, text: pa.Array, state: _State) -> _Columns:
        if state.layout is not None:
            columns = self._read(state.layout, lines, text)
            if columns.ok.any() or state.layout in ("json", "logfmt"):
                return columns
        elif state.unknown_lines < state.detect_at:
            state.unknown_lines += len(text)
            return _plain(len(text))
        state.layout = self._detect(lines, text)
        if state.layout is not None:
            return self._read(state.layout, lines, text)
        state.unknown_lines += len(text)
        state.detect_at = 2 * state.unknown_lines
        return _plain(len(text))

    def _detect(self, lines: Lines, text: pa.Array) -> parse_text.Layout | str | None:
        sample = text.slice(0, DETECT_LINES)
        if parse_json.fits(sample.cast(pa.binary())):
            return "json"
        if parse_logfmt.fits(sample):
            return "logfmt"
        return parse_text.detect(sample, lines.observed_ns, self._zone)

    def _read(self, layout: parse_text.Layout | str, lines: Lines, text: pa.Array) -> _Columns:
        if layout == "json":
            return self._json(lines, text)
        if isinstance(layout, str):
            return self._logfmt(lines, text)
        read = parse_text.read(layout, text, lines.observed_ns, self._zone)
        return _Columns(read.ok, read.time, read.level)

    def _json(self, lines: Lines, text: pa.Array) -> _Columns:
        parsed = parse_json.parse(text.cast(pa.binary()), lines.stream)
        ok, time = parsed.read_times(lines.observed_ns, self._zone)
        messages = pa.array(parsed.messages, pa.string())
        if messages.null_count:
            messages = pa.compute.coalesce(messages, text)
        level = np.array(parsed.levels, np.uint8)
        return _Columns(ok, time, level, messages, parsed.traces, parsed.texts(), parsed.stream_column())

    def _logfmt(self, lines: Lines, text: pa.Array) -> _Columns:
        # A Python loop over lines: pairs have no fixed place and become JSON; about 4 us a line.
        times: list[str | None] = []
        levels: list[int] = []
        traces: list[str | None] = []
        fields: list[str | None] = []
        for line in text.to_pylist():
            pairs = parse_logfmt.pairs_of(line) or {}
            times.append(next((pairs[key] for key in parse_json.TIME_KEYS if key in pairs), None))
            levels.append(next((level_of(pairs[key]) for key in parse_json.LEVEL_KEYS if key in pairs), 0))
            traces.append(next((pairs[key] for key in parse_json.TRACE_KEYS if key in pairs), None))
            fields.append(orjson.dumps(pairs).decode() if pairs else None)
        ok, time = read_any(pa.array(times, pa.string()), lines.observed_ns, self._zone)
        return _Columns(ok, time, np.array(levels, np.uint8), trace_id=traces, fields=fields)

    def _speakers(self, lines: Lines, text: pa.Array) -> tuple[list[int], list[Stream]]:
        if lines.stream.labels.get("source") == "syslog":
            return speakers(text, lines.stream)
        return [0] * len(text), [lines.stream]

    def _filled(self, columns: _Columns, state: _State, observed_ns: int) -> np.ndarray:
        """Give lines without a time the one of the line before."""
        ok = columns.ok
        if not len(ok):
            return columns.time
        newest = np.maximum.accumulate(np.where(ok, np.arange(len(ok)), -1))
        before = state.last_time_ns or observed_ns
        time = np.where(newest >= 0, columns.time[np.maximum(newest, 0)], before)
        if ok.any():
            state.last_time_ns = int(time[-1])
        return time


def _plain(rows: int) -> _Columns:
    return _Columns(np.zeros(rows, bool), np.zeros(rows, np.int64), np.zeros(rows, np.uint8))


def _taken(events: Events, lines: Lines) -> Lines:
    """Return the first lines of the events, and an origin that ends where lines wait."""
    firsts = events.firsts
    origin = lines.origin
    if events.rows < len(lines.lines):
        origin = replace(origin, next=int(lines.positions[events.rows]))
    return replace(lines, lines=lines.lines.take(pa.array(firsts)), positions=lines.positions[firsts], origin=origin)


def _raw_of(events: Events, lines: Lines, raw: dict[int, bytes]) -> dict[int, bytes]:
    """Return the bytes of the events that hold a line of ``raw``: all of their lines."""
    if not raw:
        return raw
    newline = newline_of(encoding_of(lines.steps.encoding))
    of_row = np.full(len(lines.lines), -1, np.int64)
    of_row[events.order] = np.repeat(
        np.arange(len(events.begins)), np.diff(np.append(events.begins, len(events.order)))
    )
    broken = {event for event in of_row[list(raw)].tolist() if event >= 0}
    return {event: newline.join(lines.lines[row].as_py() for row in events.rows_of(event)) for event in broken}


def _marked(
    fields: list[str | None] | None, lines: pa.Array, raw: dict[int, bytes], cut: Sequence[int]
) -> list[str | None] | None:
    """Add what was done to an event to its fields.

    ``raw_base64`` is its bytes when they were not valid in their encoding; ``cut`` says that it was too long.
    """
    marks: dict[int, dict[str, Any]] = {
        row: {"raw_base64": base64.b64encode(data).decode()} for row, data in raw.items()
    }
    for event in cut:
        marks.setdefault(event, {})["cut"] = True
    if lines.nbytes >= LINE_BYTES_MAX - _UTF8_BYTES_MAX:
        lengths = pa.compute.binary_length(lines).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(lengths > LINE_BYTES_MAX - _UTF8_BYTES_MAX).tolist():
            marks.setdefault(row, {})["cut"] = True
    if not marks:
        return fields
    marked: list[str | None] = fields or [None] * len(lines)
    for row, mark in marks.items():
        known = marked[row]
        marked[row] = orjson.dumps({**(orjson.loads(known) if known else {}), **mark}).decode()
    return marked
