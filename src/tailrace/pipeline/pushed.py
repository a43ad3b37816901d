"""Pushed JSON lines into a batch: strictly, because whoever pushes is there to be told what is wrong."""

from __future__ import annotations

from datetime import UTC, tzinfo
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import JSON_DEPTH_MAX
from tailrace.lines import Lines
from tailrace.pipeline import json_columns
from tailrace.pipeline.json_columns import Columns
from tailrace.pipeline.parse_json import Parsed, stream_array, time_texts, too_deep
from tailrace.pipeline.timestamp import read_any
from tailrace.record import Batch, Origin


def process_json(
    lines: Lines, *, labels_allowed: bool = True, zone: tzinfo = UTC
) -> tuple[Batch, list[tuple[int, str]]]:
    """Turn pushed lines into a batch, strictly: what is no JSON object is left out and told as (index, error).

    What ``Batch.json_rows`` printed gives equal records again. ``labels_allowed`` lets a record's own labels win over
    the stream of the lines; without it they fill in what the stream lacks. Blank lines are left out and not told.
    """
    try:
        texts = lines.lines.cast(pa.string())
        parts = json_columns.read(texts, lines.stream, lines.observed_ns, zone, overrides=labels_allowed)
    except pa.ArrowInvalid:  # a line is not UTF-8; which one is found out one by one
        parts = []
    left = json_columns.left_out(parts, len(lines.lines))
    errors: list[tuple[int, str]] = []
    seen: dict[int, Any] = {}
    if len(left) or not parts:
        parsed = Parsed(lines.stream, overrides=labels_allowed)
        rows, errors = _parse(parsed, left, lines.lines)
        parts.append(json_columns.read_parsed(parsed, rows, lines.observed_ns, zone))
        seen = {int(rows[place]): value for place, value in parsed.observed.items()}
    columns = Columns.join(parts)
    return _batch(columns, lines, seen), errors


def _batch(columns: Columns, lines: Lines, seen: dict[int, Any]) -> Batch:
    """Make the batch; ``seen`` is when the lines of these indices say they were observed first."""
    rows = len(columns.rows)
    message = columns.message
    if message.null_count:
        message = pc.coalesce(message, lines.lines.take(pa.array(columns.rows)).cast(pa.string()))
    observed = np.full(rows, lines.observed_ns, np.int64)
    if seen:
        ok, ns = read_any(time_texts(list(seen.values())), lines.observed_ns, UTC)
        observed[np.searchsorted(columns.rows, np.array(list(seen)))[ok]] = ns[ok]
    origin = lines.origin
    return Batch.of(
        time=np.where(columns.ok, columns.time, lines.observed_ns),
        observed=observed,
        level=columns.level,
        stream=stream_array(columns.codes, columns.streams),
        message=message,
        position=lines.positions[columns.rows],
        trace_id=columns.trace_id,
        fields=columns.fields,
        origins=[Origin(origin.source, origin.first, origin.next, rows, origin.note)],
    )


def _parse(parsed: Parsed, rows: np.ndarray, lines: pa.BinaryArray) -> tuple[np.ndarray, list[tuple[int, str]]]:
    """Parse these rows; return which of them are objects, and what is wrong with the others."""
    errors: list[tuple[int, str]] = []
    kept: list[int] = []
    for index, line in zip(rows.tolist(), lines.take(pa.array(rows)).to_pylist(), strict=True):
        if not line.strip():
            continue
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            errors.append((index, f"not JSON: {error}"))
            continue
        if not isinstance(record, dict):
            errors.append((index, "not a JSON object"))
            continue
        if too_deep(line, record):
            errors.append((index, f"nested deeper than {JSON_DEPTH_MAX} levels"))
            continue
        parsed.add(record)
        kept.append(index)
    return np.array(kept, np.int64), errors
