"""``drop A, B``: the records without these labels and fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import bools
from tailrace.query.pipes import Rows
from tailrace.query.scan import Scanner, listed
from tailrace.query.table import Table
from tailrace.record import SCHEMA, Batch, Stream

_KEPT = frozenset({"time", "observed", "message", "cursor", "fields"})


@dataclass(frozen=True)
class Drop:
    """Records stay records: what every record has (its time, message, cursor) cannot be dropped."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"drop {listed(self.names)}"

    def apply(self, rows: Rows) -> Rows:
        """Return the rows without the names."""
        if isinstance(rows, Table):
            return rows.select({name: column for name, column in rows.columns.items() if name not in self.names})
        columns = {name: rows.array(name) for name in SCHEMA.names}
        if "level" in self.names:
            columns["level"] = pa.array(np.zeros(len(rows), np.uint8))
        if "trace_id" in self.names:
            columns["trace_id"] = pa.nulls(len(rows), pa.string())
        streams = [Stream.of({k: v for k, v in one.labels.items() if k not in self.names}) for one in rows.streams]
        jsons = pa.array([stream.json for stream in streams], pa.string())
        columns["stream"] = pa.DictionaryArray.from_arrays(rows.array("stream").indices, jsons)
        for name in self.names:
            columns["fields"] = _without(columns["fields"], name)
        made = pa.RecordBatch.from_arrays(list(columns.values()), schema=SCHEMA)
        return Batch(made, epoch=rows.epoch, offsets=rows.offsets)


def _without(texts: pa.StringArray, name: str) -> pa.StringArray:
    key_end = orjson.dumps(name.rpartition(".")[2]).decode()[1:]
    held = np.flatnonzero(bools(pc.match_substring(texts, key_end)))
    if not len(held):
        return texts
    values = texts.to_pylist()
    # A Python loop over lines: JSON has no vectorised removal in Arrow; the substring above keeps it short.
    for row in held.tolist():
        parsed = orjson.loads(values[row])
        _remove(parsed, name)
        values[row] = orjson.dumps(parsed).decode() if parsed else None
    return pa.array(values, pa.string())


def _remove(parsed: dict[str, Any], name: str) -> None:
    if parsed.pop(name, None) is not None or "." not in name:
        return
    *path, last = name.split(".")
    inside: Any = parsed
    for key in path:
        inside = inside.get(key) if isinstance(inside, dict) else None
    if isinstance(inside, dict):
        inside.pop(last, None)


def parse(scan: Scanner) -> Drop:
    """Read the names."""
    scan.skip()
    start = scan.position
    names = scan.names()
    for name in names:
        if name in _KEPT:
            scan.fail(f"every record has '{name}'", start, cure="choose what to show with: fields A, B")
    return Drop(tuple(dict.fromkeys(names)))
