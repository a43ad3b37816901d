"""``*:word``: a value in the message, the trace id, any label or any parsed field, however deep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import Value, bools, some_of
from tailrace.query.plan import Need, OfStream
from tailrace.query.table import Table
from tailrace.query.tokens import fold_array
from tailrace.record import Batch, Stream


@dataclass(frozen=True)
class Everywhere:
    """Some text of the record is meant by ``value``. Of the parsed fields the values count, not the names."""

    value: Value

    def __str__(self) -> str:
        return f"*:{self.value}"

    def matches(self, batch: Batch | Table) -> np.ndarray:
        """Return which rows have such a value somewhere."""
        if isinstance(batch, Table):
            masks = [self.value.mask(batch.column(name)) for name in batch.names]
            return np.logical_or.reduce(masks) if masks else np.zeros(len(batch), bool)
        found = self.value.mask(batch.array("message")) | self.value.mask(batch.array("trace_id"))
        of_stream = np.array([self._of_stream(stream) for stream in batch.streams], bool)
        if of_stream.any():
            found |= of_stream[batch.stream_codes]
        self._look_into_fields(batch.array("fields"), found)
        return found

    def need(self) -> Need:
        """Return a stream with such a label, or the tokens of the value."""
        return some_of([OfStream(self._of_stream), self.value.need()])

    def _of_stream(self, stream: Stream) -> bool:
        return bool(self.value.mask(pa.array(list(stream.labels.values()), pa.string())).any())

    def _look_into_fields(self, texts: pa.StringArray, found: np.ndarray) -> None:
        """Set ``found`` where a value inside the JSON is meant, for rows where it is not set yet."""
        part = self.value.json_part()
        held = texts.is_valid() if part is None else pc.match_substring(fold_array(texts), part, ignore_case=True)
        rows: list[int] = []
        leaves: list[str] = []
        # A Python loop over lines: JSON has no vectorised walk in Arrow; the substring above keeps it short.
        for row in np.flatnonzero(bools(held) & ~found).tolist():
            inside = list(_leaves(orjson.loads(texts[row].as_py())))
            rows += [row] * len(inside)
            leaves += inside
        if leaves:
            found[np.array(rows)[self.value.mask(pa.array(leaves, pa.string()))]] = True


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts of all values inside a parsed JSON value that are neither objects, lists nor null."""
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _leaves(inner)
    elif value is not None:
        yield value if isinstance(value, str) else orjson.dumps(value).decode()
