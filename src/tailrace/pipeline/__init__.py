"""The pipeline: raw lines of one stream become a batch with times, levels, fields and labels.

Pure: no I/O and no clock. Verbs are files: decode, unwrap, join (``assemble`` puts the two together), parse
(``format``, ``parse_json``, ``parse_logfmt``, ``parse_text``, ``pattern``, ``w3c``), level, label, speaker, drop,
sample, redact: what a person does not want to keep goes before anything is written.

How a stream is written is found out from its first lines and remembered; when none of a block's lines fits any more, or
while nothing is known and twice as many lines came, it is found out again. Times by rule: the line's own; else
that of the line before in the stream (a continuation belongs to its beginning); else when it was observed.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import DETECT_LINES, LINE_BYTES_MAX, STREAM_STATES_MAX
from tailrace.lines import Lines, Mask, Steps
from tailrace.pipeline import json_columns, layouts, parse_json, parse_logfmt, parse_text, unwrap, w3c
from tailrace.pipeline.assemble import Envelope, assemble
from tailrace.pipeline.decode import decode, looks_like
from tailrace.pipeline.drop import dropped
from tailrace.pipeline.fields import with_stream
from tailrace.pipeline.format import JSON, LOGFMT, Format, format_of, zone_of
from tailrace.pipeline.label import labelled
from tailrace.pipeline.level import level_of, levels_by
from tailrace.pipeline.pattern import Pattern
from tailrace.pipeline.pushed import process_json
from tailrace.pipeline.redact import redactor
from tailrace.pipeline.sample import sampled
from tailrace.pipeline.speaker import speakers
from tailrace.pipeline.timestamp import read_any
from tailrace.record import Batch, Stream

__all__ = ["Pipeline", "process_json"]

_UTF8_BYTES_MAX = 4


Layout = parse_text.Layout | Pattern | str
"""How lines are written: "plain", "json", "logfmt", "w3c" (its names not yet known), a text layout, a pattern."""


@dataclass(slots=True)
class _State:
    """What is remembered of one stream; without a layout it is plain text."""

    layout: Layout | None = None
    envelope: str = ""
    unknown_lines: int = 0
    detect_at: int = 0
    last_time_ns: int = 0
    hint: str = ""


@dataclass(slots=True)
class _Columns:
    """What a layout read of each line; ``fits`` says in which, ``zoned`` which times are sure of their zone."""

    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray
    fits: np.ndarray
    message: pa.Array | None = None
    trace_id: list[str | None] | pa.Array | None = None
    fields: list[str | None] | pa.Array | None = None
    streams: tuple[np.ndarray, list[Stream]] | None = None
    zoned: np.ndarray | None = None


class Pipeline:
    """Gives lines their meaning; keeps what it learned about each stream. Not for several threads at once."""

    def __init__(self, zone: tzinfo = UTC, redact: tuple[str | Mask, ...] = ()) -> None:
        """``zone`` is that of times which name none: the zone of the machine that wrote them.

        ``redact`` is what is masked of lines whose steps name nothing; it may be set from any thread. ``dropped`` and
        ``sampled`` count what was left out, by the text of the filter; ``redacted`` what was masked, by rule. They may
        be read from any thread.
        """
        self.dropped: Counter[str] = Counter()
        self.sampled: Counter[str] = Counter()
        self.redacted: Counter[str] = Counter()
        self.redact = redact
        self._zone = zone
        self._states: OrderedDict[str, _State] = OrderedDict()

    def layout_of(self, stream_json: str) -> str | None:
        """Return the name of the layout that a stream was found to be written in, behind that of its envelope."""
        state = self._states.get(stream_json)
        if state is None:
            return None
        layout = state.layout if isinstance(state.layout, str | None) else state.layout.name
        return " ".join(filter(None, (state.envelope, layout))) or None

    def hint_of(self, stream_json: str) -> str:
        """Return what a person should know about how a stream is read; empty when all is well."""
        state = self._states.get(stream_json)
        return state.hint if state else ""

    def process(self, lines: Lines) -> Batch:
        """Return the batch of these lines: a row for every event that is wanted, in the order of their first lines.

        Where lines wait, the last origin of the batch ends at the first of them. Raises ConfigError when the steps
        name an encoding, a format or a zone that there is not.
        """
        steps = lines.steps
        state = self._state(lines.stream.json)
        wished = format_of(steps.format)
        zone = zone_of(steps.zone) or self._zone
        text, raw = decode(lines.lines, steps.encoding)
        if 2 * len(raw) > len(text) and not steps.encoding and not state.hint:
            guess = looks_like([raw[row] for row in sorted(raw)[:DETECT_LINES]])
            state.hint = f'not UTF-8, and looks like Chinese: set encoding = "{guess}"' if guess else ""
        events = assemble(lines, text, raw, self._unwrapped(lines, text, state, wished))
        if lines.before is not None and events.rows < lines.before.rows:
            # The event of the file before is open still, and that file cannot be read again as a part of this one.
            lines = replace(lines, ended=True)
            events = assemble(lines, text, raw, self._unwrapped(lines, text, state, wished))
        text = events.text
        columns = self._columns(lines, text, state, wished, zone)
        if events.envelope is not None:
            _enveloped(columns, events.envelope, sure=bool(steps.zone))
        time = self._filled(columns, state, lines.observed_ns)
        fields = _marked(columns.fields, text, events.marks)
        codes, streams = columns.streams or self._speakers(lines, text)
        batch = Batch.of(
            time=time,
            observed=np.full(len(text), lines.observed_ns, np.int64),
            level=levels_by(steps, text, columns.level),
            stream=parse_json.stream_array(codes, [labelled(stream, steps.labels_from) for stream in streams]),
            message=text if columns.message is None else columns.message,
            position=events.positions,
            trace_id=columns.trace_id,
            fields=fields,
            origins=lines.origins(events.next, len(text)),
        )
        return self._wanted(batch, steps)

    def _wanted(self, batch: Batch, steps: Steps) -> Batch:
        """Leave out and mask what a person does not want to be kept."""
        if steps.drop:
            batch = dropped(batch, steps.drop, self.dropped)
        if steps.sample:
            batch = sampled(batch, steps.sample, self.sampled)
        return self.masked(batch, steps.redact)

    def masked(self, batch: Batch, redact: tuple[str | Mask, ...] = ()) -> Batch:
        """Return the batch with what ``redact`` means masked, or what the pipeline's own does where that is empty."""
        redact = redact or self.redact
        return redactor(redact).apply(batch, self.redacted) if redact else batch

    def _state(self, key: str) -> _State:
        state = self._states.pop(key, None) or _State()
        self._states[key] = state
        if len(self._states) > STREAM_STATES_MAX:
            self._states.popitem(last=False)
        return state

    def _unwrapped(self, lines: Lines, text: pa.StringArray, state: _State, wished: Format) -> unwrap.Unwrapped | None:
        """Return the lines inside the envelope; None without one."""
        if wished.envelope:
            state.envelope = wished.envelope
        elif len(text):
            # One line is looked at for each block; the others only when that one has an envelope.
            first = unwrap.looks(text[0].as_py(), wished.envelopes)
            if first and first != state.envelope:
                state.envelope = unwrap.detect(text.slice(0, DETECT_LINES), wished.envelopes) or state.envelope
            elif state.envelope and not first and len(text) >= DETECT_LINES:
                fits = unwrap.any_fits(state.envelope, text.slice(0, DETECT_LINES))
                state.envelope = state.envelope if fits else ""
        return unwrap.unwrap(state.envelope, text, ended=lines.ended) if state.envelope else None

    def _columns(self, lines: Lines, text: pa.StringArray, state: _State, wished: Format, zone: tzinfo) -> _Columns:
        if not len(text):
            return _plain(0)  # All lines wait for what follows: no lines fit every layout, and would teach any.
        if wished.layout is not None and wished.layout != w3c.NAME:
            state.layout = wished.layout
            return self._read(wished.layout, lines, text, zone)
        named = self._w3c(lines, text, state, wished)
        if named:
            state.layout = named
        columns = _plain(len(text))
        if state.layout is not None:
            columns = self._read(state.layout, lines, text, zone)
            if columns.fits.any() or wished.layout is not None:
                state.unknown_lines = state.detect_at = 0
                return columns
        # Lines that nobody understands are looked at ever more seldom, and do not make a layout that is known unknown.
        state.unknown_lines += len(text)
        if state.unknown_lines <= state.detect_at:
            return columns
        layout = self._detect(lines, text, zone)
        if layout is None or layout == state.layout:
            state.detect_at = 2 * state.unknown_lines
            return columns
        state.layout, state.unknown_lines, state.detect_at = layout, 0, 0
        return self._read(layout, lines, text, zone)

    def _w3c(self, lines: Lines, text: pa.StringArray, state: _State, wished: Format) -> parse_text.Layout | None:
        """Return the layout that a header names, when these lines are W3C's; the head of the file is read once."""
        known = isinstance(state.layout, parse_text.Layout) and state.layout.name == w3c.NAME
        if not known and wished.layout is None and state.layout is not None:
            return None
        line = w3c.header(text, b"" if known or state.unknown_lines else lines.head)
        return w3c.layout_of(line) if line else None

    def _detect(self, lines: Lines, text: pa.StringArray, zone: tzinfo) -> Layout | None:
        sample = text.slice(0, DETECT_LINES)
        if parse_json.fits(sample.cast(pa.binary())):
            return JSON
        if parse_logfmt.fits(sample):
            return LOGFMT
        return layouts.detect(sample, lines.observed_ns, zone)

    def _read(self, layout: Layout, lines: Lines, text: pa.StringArray, zone: tzinfo) -> _Columns:
        if layout == JSON:
            return self._json(lines, text, zone)
        if layout == LOGFMT:
            return self._logfmt(lines, text, zone)
        if isinstance(layout, Pattern):
            found = layout.read(text, lines.observed_ns, zone)
            message = None if found.message is None else pa.compute.coalesce(found.message, text)
            return _Columns(found.ok, found.time, found.level, found.fits, message, found.trace_id, found.fields)
        if isinstance(layout, str):
            return _plain(len(text))
        read = parse_text.read(layout, text, lines.observed_ns, zone)
        return _Columns(read.ok, read.time, read.level, read.fits, fields=read.fields, zoned=read.zoned)

    def _json(self, lines: Lines, text: pa.StringArray, zone: tzinfo) -> _Columns:
        read = json_columns.read_all(text, lines.stream, lines.observed_ns, zone)
        message = pc.coalesce(read.message, text) if read.message.null_count else read.message
        some = pc.or_(read.message.is_valid(), read.fields.is_valid()).to_numpy(zero_copy_only=False)
        fits = some | read.ok | (read.level > 0)
        streams = read.codes, read.streams
        return _Columns(read.ok, read.time, read.level, fits, message, read.trace_id, read.fields, streams)

    def _logfmt(self, lines: Lines, text: pa.StringArray, zone: tzinfo) -> _Columns:
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
        ok, time = read_any(pa.array(times, pa.string()), lines.observed_ns, zone)
        fits = np.array([one is not None for one in fields], bool)
        return _Columns(ok, time, np.array(levels, np.uint8), fits, trace_id=traces, fields=fields)

    def _speakers(self, lines: Lines, text: pa.Array) -> tuple[list[int] | np.ndarray, list[Stream]]:
        if lines.stream.labels.get("source") == "syslog":
            return speakers(text, lines.stream)
        return np.zeros(len(text), np.int32), [lines.stream]

    def _filled(self, columns: _Columns, state: _State, observed_ns: int) -> np.ndarray:
        """Give lines without a time the one of the line before."""
        ok = columns.ok
        if not ok.any():
            return np.full(len(ok), state.last_time_ns or observed_ns, np.int64)
        newest = np.maximum.accumulate(np.where(ok, np.arange(len(ok)), -1))
        before = state.last_time_ns or observed_ns
        time = np.where(newest >= 0, columns.time[np.maximum(newest, 0)], before)
        state.last_time_ns = int(time[-1])
        return time


def _plain(rows: int) -> _Columns:
    nothing = np.zeros(rows, bool)
    return _Columns(nothing, np.zeros(rows, np.int64), np.zeros(rows, np.uint8), nothing)


def _enveloped(columns: _Columns, envelope: Envelope, *, sure: bool) -> None:
    """Add what the envelope says: the time where the line's own is missing or not ``sure`` of its zone; the stream."""
    own = columns.ok if sure or columns.zoned is None else columns.ok & columns.zoned
    columns.time = np.where(own | ~envelope.timed, columns.time, envelope.time)
    columns.ok = columns.ok | envelope.timed
    columns.fields = with_stream(columns.fields, envelope.stream, unwrap.STREAMS)


def _marked(
    fields: list[str | None] | pa.Array | None, lines: pa.Array, marks: dict[int, dict[str, Any]]
) -> list[str | None] | pa.Array | None:
    """Add what was done to a line to its fields: ``marks``, and ``cut`` when it was too long."""
    data = lines.buffers()[2]
    if data is not None and data.size >= LINE_BYTES_MAX - _UTF8_BYTES_MAX:
        lengths = pc.binary_length(lines).to_numpy(zero_copy_only=False)
        for row in np.flatnonzero(lengths > LINE_BYTES_MAX - _UTF8_BYTES_MAX).tolist():
            marks.setdefault(row, {})["cut"] = True
    if not marks:
        return fields
    texts = fields if fields is None or isinstance(fields, list) else fields.to_pylist()
    marked: list[str | None] = texts or [None] * len(lines)
    for row, mark in marks.items():
        known = marked[row]
        marked[row] = orjson.dumps({**(orjson.loads(known) if known else {}), **mark}).decode()
    return marked
