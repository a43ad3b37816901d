"""Blocks of JSON lines into columns: what ``parse_json`` makes of each line, for all lines of a shape at once.

``read`` gives the same result as parsing line by line would, value for value and byte for byte (a property test holds
it), at about a quarter of the price: times, messages and trace ids are cut out of the block, each distinct level and
label is looked at once, and the fields are what stays of the line when the others are taken out. Lines whose values
need a closer look (no shape, an unknown level, an empty label, a time that is none, ``1e5``) are parsed one by one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import LABEL_BYTES_MAX, LABELS_MAX
from tailrace.pipeline.json_shape import Pair, Rows, Shape, rows_by_shape
from tailrace.pipeline.parse_json import LABEL_KEYS, Parsed, label_allowed, level_in, parse, plan_of
from tailrace.pipeline.timestamp import read_any
from tailrace.record import Stream

_OPEN, _CLOSE = b"{}"


@dataclass(frozen=True, slots=True)
class Columns:
    """What was read of the lines ``rows``, in their order; null where a line has no such thing.

    ``codes`` are indices into ``streams``; ``time`` is anything where not ``ok``.
    """

    rows: np.ndarray
    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray
    message: pa.StringArray
    trace_id: pa.StringArray
    fields: pa.StringArray
    codes: np.ndarray
    streams: list[Stream]

    def only(self, mask: np.ndarray) -> Columns:
        """Return the lines where ``mask`` is true."""
        arrow = pa.array(mask)
        return Columns(
            rows=self.rows[mask],
            ok=self.ok[mask],
            time=self.time[mask],
            level=self.level[mask],
            message=self.message.filter(arrow),
            trace_id=self.trace_id.filter(arrow),
            fields=self.fields.filter(arrow),
            codes=self.codes[mask],
            streams=self.streams,
        )

    @staticmethod
    def join(parts: list[Columns]) -> Columns:
        """Return the lines of all parts, in the order of their rows."""
        if len(parts) == 1:
            return parts[0]
        rows = np.concatenate([part.rows for part in parts])
        order = np.argsort(rows, kind="stable")
        first = np.cumsum([0, *(len(part.streams) for part in parts)])
        codes = [part.codes + base for part, base in zip(parts, first.tolist(), strict=False)]

        def texts(column: Callable[[Columns], pa.StringArray]) -> pa.StringArray:
            return pa.concat_arrays([column(part) for part in parts]).take(pa.array(order))

        return Columns(
            rows[order],
            np.concatenate([part.ok for part in parts])[order],
            np.concatenate([part.time for part in parts])[order],
            np.concatenate([part.level for part in parts])[order],
            texts(lambda part: part.message),
            texts(lambda part: part.trace_id),
            texts(lambda part: part.fields),
            np.concatenate(codes)[order],
            [stream for part in parts for stream in part.streams],
        )


def read(lines: pa.StringArray, stream: Stream, observed_ns: int, zone: tzinfo, *, overrides: bool) -> list[Columns]:
    """Return columns of the lines that could be read together; the others are in none of them.

    ``overrides`` as ``Parsed``.
    """
    parts = (_read(rows, stream, observed_ns, zone, overrides=overrides) for rows in rows_by_shape(lines))
    return [part for part in parts if part is not None]


def read_parsed(parsed: Parsed, rows: np.ndarray, observed_ns: int, zone: tzinfo) -> Columns:
    """Return columns of the lines ``rows``, which were parsed one by one."""
    ok, time = parsed.read_times(observed_ns, zone)
    codes, streams = parsed.stream_column()
    return Columns(
        rows=rows,
        ok=ok,
        time=time,
        level=np.array(parsed.levels, np.uint8),
        message=pa.array(parsed.messages, pa.string()),
        trace_id=pa.array(parsed.traces, pa.string()),
        fields=pa.array(parsed.texts(), pa.string()),
        codes=np.array(codes, np.int64),
        streams=streams,
    )


def read_all(text: pa.StringArray, stream: Stream, observed_ns: int, zone: tzinfo) -> Columns:
    """Return columns of all lines; those that are no JSON objects have nothing in any of them."""
    parts = read(text, stream, observed_ns, zone, overrides=False)
    left = left_out(parts, len(text))
    if len(left) or not parts:
        parts.append(read_parsed(parse(text.take(pa.array(left)).cast(pa.binary()), stream), left, observed_ns, zone))
    return Columns.join(parts)


def left_out(parts: list[Columns], rows: int) -> np.ndarray:
    """Return which of the rows [0, rows) are in no part."""
    left = np.ones(rows, bool)
    for part in parts:
        left[part.rows] = False
    return np.flatnonzero(left)


@dataclass(frozen=True, slots=True)
class _Keys:
    """Which keys of a shape are what, and where in the line their values are; None where it has none."""

    time: int | None
    level: int | None
    message: int | None
    trace: int | None
    labels: dict[str, int]
    rest: list[Pair]


def _keys(shape: Shape, stream: Stream, *, overrides: bool) -> _Keys | None:
    """Tell what the keys of a shape are, as ``Parsed.add`` does; None when that depends on more than their kinds."""
    plan = plan_of(tuple(pair.key for pair in shape.pairs))
    value: dict[str | None, int | None] = {pair.key: pair.value for pair in shape.pairs}
    looked_at = [key for key in (plan.time, plan.level, plan.trace, *plan.labels, *plan.nested) if key is not None]
    if plan.ours or plan.fields or any(value[key] is None for key in looked_at):
        return None
    text = {key: place for key, place in value.items() if place is not None and shape.values[place].quoted}
    message = next((key for key in plan.messages if key in text), None)
    trace = plan.trace if plan.trace in text else None
    labels = {
        key: text[key]
        for key in plan.labels
        if key in text and label_allowed(LABEL_KEYS.get(key, key), stream, overrides=overrides)
    }
    if len(labels) > LABELS_MAX:
        return None
    taken = {plan.time, plan.level, message, trace, *labels}
    rest = [pair for pair in shape.pairs if pair.key not in taken]
    return _Keys(value.get(plan.time), value.get(plan.level), text.get(message), text.get(trace), labels, rest)


def _read(rows: Rows, stream: Stream, observed_ns: int, zone: tzinfo, *, overrides: bool) -> Columns | None:
    """Read rows of one shape; None when its keys need a closer look, and without the rows whose values do."""
    keys = _keys(rows.shape, stream, overrides=overrides)
    if keys is None:
        return None
    good = np.ones(len(rows), bool)
    for place, value in enumerate(rows.shape.values):
        if not value.quoted:
            good &= rows.canonical(place)
    ok, time, level = np.zeros(len(rows), bool), np.zeros(len(rows), np.int64), np.zeros(len(rows), np.uint8)
    if keys.time is not None:
        ok, time = read_any(rows.texts(keys.time), observed_ns, zone)
        good &= ok
    if keys.level is not None:
        level = _levels(rows, keys.level)
        good &= level > 0
    codes, streams = _streams({key: rows.texts(place) for key, place in keys.labels.items()}, stream, len(rows))
    good &= codes >= 0
    columns = Columns(
        rows=rows.rows,
        ok=ok,
        time=time,
        level=level,
        message=_texts(rows, keys.message),
        trace_id=_texts(rows, keys.trace),
        fields=_fields(rows, keys.rest),
        codes=codes,
        streams=streams,
    )
    return columns if good.all() else columns.only(good)


def _texts(rows: Rows, value: int | None) -> pa.StringArray:
    return pa.nulls(len(rows), pa.string()) if value is None else rows.texts(value)


def _levels(rows: Rows, value: int) -> np.ndarray:
    """Return the level of each row, 0 for a value that means none."""
    key = next(pair.key for pair in rows.shape.pairs if pair.value == value)
    quoted = rows.shape.values[value].quoted
    coded = rows.texts(value).dictionary_encode()
    known: list[int] = []
    for text in coded.dictionary.to_pylist():
        try:
            known.append(level_in(key, text if quoted else orjson.loads(text)))
        except orjson.JSONDecodeError:
            known.append(0)
    return np.array(known, np.uint8)[coded.indices.to_numpy()]


def _streams(labels: dict[str, pa.StringArray], stream: Stream, rows: int) -> tuple[np.ndarray, list[Stream]]:
    """Return the codes and streams that labels make; the code is -1 where a label cannot be one."""
    codes = np.zeros(rows, np.int64)
    good = np.ones(rows, bool)
    known: list[dict[str, str]] = [{}]
    for key, texts in labels.items():
        coded = texts.dictionary_encode()
        places, values = coded.indices.to_numpy(), coded.dictionary.to_pylist()
        good &= np.array([0 < len(value) <= LABEL_BYTES_MAX for value in values])[places]
        label, before = LABEL_KEYS.get(key, key), known
        if len(before) == 1:
            codes, known = places.astype(np.int64), [{**before[0], label: value} for value in values]
        else:
            pairs, codes = np.unique(codes * len(values) + places, return_inverse=True)
            both = [divmod(pair, len(values)) for pair in pairs.tolist()]
            known = [{**before[code], label: values[place]} for code, place in both]
    return np.where(good, codes, -1), [Stream.of({**stream.labels, **own}) for own in known]


def _fields(rows: Rows, pairs: list[Pair]) -> pa.StringArray:
    """Return what is left of the lines when only these pairs are kept, as JSON text without spaces."""
    if not pairs:
        return pa.nulls(len(rows), pa.string())
    if rows.shape.spaces:
        return _joined(rows, pairs)
    # Neighbours are one piece of the line. The comma before the first and the one behind the last become braces: both
    # are in the block's copy, and in nobody else's value.
    runs: list[tuple[int, int]] = []
    for pair in pairs:
        if runs and runs[-1][1] == pair.start - 1:
            runs[-1] = runs[-1][0], pair.end
        else:
            runs.append((pair.start - 1, pair.end))
    runs[-1] = runs[-1][0], runs[-1][1] + 1
    edges = [(rows.at(start), rows.at(end - 1) + 1) for start, end in runs]
    rows.block.data[edges[0][0]] = _OPEN
    rows.block.data[edges[-1][1] - 1] = _CLOSE
    pieces = [rows.block.cut(start, end) for start, end in edges]
    return pieces[0] if len(pieces) == 1 else pc.binary_join_element_wise(*pieces, "")


def _joined(rows: Rows, pairs: list[Pair]) -> pa.StringArray:
    pieces: list[pa.StringArray | str] = []
    text = b"{"
    for number, pair in enumerate(pairs):
        text += b"," if number else b""
        place = pair.start
        for which, value in enumerate(rows.shape.values):
            if pair.start < value.start < pair.end:
                pieces += [(text + rows.shape.literal(place, value.start)).decode(), rows.texts(which)]
                text, place = b"", value.end
        text += rows.shape.literal(place, pair.end)
    ending = (text + b"}").decode()
    return pc.binary_join_element_wise(*pieces, ending, "") if pieces else pa.repeat(ending, len(rows))
