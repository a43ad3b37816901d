r"""What other programs wrote on a topic, as records: a row for each message, whatever it is.

A JSON object is understood as a pushed one is (``pushed.py``), and says itself when and by whom it was spoken. Anything
else is a line of text as it stands; bytes that are not UTF-8 become ``\xHH`` and are kept in ``fields.raw_base64``.
A message without a time of its own has the one of the topic.
"""

from __future__ import annotations

import base64
from datetime import UTC
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.pipeline import json_columns
from tailrace.pipeline.decode import decode
from tailrace.pipeline.json_columns import Columns
from tailrace.pipeline.parse_json import parse, stream_array, time_texts
from tailrace.pipeline.timestamp import read_any
from tailrace.record import Batch, Stream


def understand(values: pa.BinaryArray, stream: Stream, times_ns: np.ndarray) -> Batch:
    """Return a record for each value, in their order.

    ``stream`` speaks, and ``times_ns`` is when, unless a value says so itself. It depends on nothing but the value, so
    that every server makes the same of it.
    """
    text, raw = decode(values)
    columns, seen = _read(text, stream, int(times_ns[0]) if len(times_ns) else 0)
    message = pc.coalesce(columns.message, text) if columns.message.null_count else columns.message
    observed = times_ns.copy()
    if seen:
        ok, ns = read_any(time_texts(list(seen.values())), int(times_ns[0]), UTC)
        observed[np.array(list(seen), np.int64)[ok]] = ns[ok]
    fields = columns.fields
    if raw:
        texts = fields.to_pylist()
        for row, data in raw.items():  # none of them is JSON: there is no \x in it
            texts[row] = orjson.dumps({"raw_base64": base64.b64encode(data).decode()}).decode()
        fields = pa.array(texts, pa.string())
    return Batch.of(
        time=np.where(columns.ok, columns.time, times_ns),
        observed=observed,
        level=columns.level,
        stream=stream_array(columns.codes, columns.streams),
        message=message,
        trace_id=columns.trace_id,
        fields=fields,
    )


def _read(text: pa.StringArray, stream: Stream, near_ns: int) -> tuple[Columns, dict[int, Any]]:
    """Return what the texts say, and when some of them say that they were observed, by row."""
    parts = json_columns.read(text, stream, near_ns, UTC, overrides=True)
    left = json_columns.left_out(parts, len(text))
    seen: dict[int, Any] = {}
    if len(left) or not parts:
        parsed = parse(text.take(pa.array(left, pa.int64())).cast(pa.binary()), stream, overrides=True)
        parts.append(json_columns.read_parsed(parsed, left, near_ns, UTC))
        seen = {int(left[place]): value for place, value in parsed.observed.items()}
    return Columns.join(parts), seen
