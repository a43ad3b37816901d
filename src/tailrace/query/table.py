"""A table: what pipes make of records when they are records no longer; columns with names of the user's choosing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import bools
from tailrace.query.text import number_text
from tailrace.query.times import TIME_MIN_NS
from tailrace.record import LEVEL_NAMES, STREAM_LABELS, Stream

_SHORT_NUMBER = r"^-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,6})?$"
_TEXTS = frozenset({"time", "observed", "level", "message", "trace_id", "fields", "cursor", *STREAM_LABELS})


class Table:
    """Named columns of text (string) or numbers (int64, float64), null where a row has none. Immutable.

    ``offsets`` and ``epoch`` are the cursors of the rows while each row still is one record, else None and 0. Filters
    work on a table as they do on a batch: ``column`` gives text, ``numpy`` levels and times; it has no streams.
    """

    __slots__ = ("columns", "epoch", "offsets")

    def __init__(self, columns: Mapping[str, pa.Array], *, epoch: int = 0, offsets: np.ndarray | None = None) -> None:
        """Wrap at least one column; all have one length."""
        self.columns = dict(columns)
        self.epoch = epoch
        self.offsets = offsets

    @classmethod
    def concat(cls, tables: Sequence[Table]) -> Table:
        """Join tables of the same columns, one after the other."""
        columns = {name: pa.concat_arrays([table.columns[name] for table in tables]) for name in tables[0].names}
        kept = [table.offsets for table in tables if table.offsets is not None]
        offsets = np.concatenate(kept) if len(kept) == len(tables) else None
        return cls(columns, epoch=tables[0].epoch, offsets=offsets)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def names(self) -> list[str]:
        """The names of the columns, in their order."""
        return list(self.columns)

    @property
    def streams(self) -> list[Stream]:
        """None: a table does not know who spoke."""
        return []

    @property
    def stream_codes(self) -> np.ndarray:
        """Nothing to point to."""
        return np.zeros(0, np.int32)

    def column(self, name: str) -> pa.StringArray:
        """Return a column as text; all null when there is none of that name."""
        values = self.columns.get(name)
        if values is None:
            return pa.nulls(len(self), pa.string())
        if pa.types.is_floating(values.type):
            return pa.array([None if x is None else number_text(x) for x in values.to_pylist()], pa.string())
        return values if pa.types.is_string(values.type) else values.cast(pa.string())

    def numpy(self, name: str) -> np.ndarray:
        """Return ``level`` as codes or a time as int64 nanoseconds; ABSENT and TIME_MIN_NS where there is none."""
        texts = self.column(name)
        if name == "level":
            codes = pc.index_in(texts, pa.array(LEVEL_NAMES[1:], pa.string()))
            return pc.add(pc.fill_null(codes, -1), 1).to_numpy(zero_copy_only=False).astype(np.uint8)
        whole = pc.match_substring_regex(texts, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$")
        moments = pc.if_else(whole, pc.utf8_slice_codeunits(texts, 0, 29), pa.scalar(None, pa.string()))
        times = moments.cast(pa.timestamp("ns")).cast(pa.int64())
        return pc.fill_null(times, TIME_MIN_NS).to_numpy(zero_copy_only=False)

    def filter(self, mask: np.ndarray) -> Table:
        """Return the rows where ``mask`` (bool) is true, in their order."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: np.ndarray) -> Table:
        """Return the rows with these indices, in that order."""
        indices = pa.array(rows, pa.int64())
        offsets = None if self.offsets is None else self.offsets[rows]
        return self._with({name: values.take(indices) for name, values in self.columns.items()}, offsets)

    def slice(self, start: int, stop: int) -> Table:
        """Return rows [start, stop), without copying."""
        offsets = None if self.offsets is None else self.offsets[start:stop]
        return self._with({name: values[start:stop] for name, values in self.columns.items()}, offsets)

    def select(self, columns: Mapping[str, pa.Array]) -> Table:
        """Return these columns for the same rows."""
        return self._with(columns, self.offsets)

    def json_rows(self) -> list[bytes]:
        """Return each row as a JSON object, encoded: missing values are null, the cursor is there if there is one.

        Numbers are numbers. A parsed field's value that reads as a short number is one as well; labels and the
        attributes of a record stay text.
        """
        parts = [_encoded(name, values) for name, values in self.columns.items()]
        if self.offsets is not None and "cursor" not in self.columns:
            parts.append([b'"cursor":"%x-%d"' % (self.epoch, offset) for offset in self.offsets.tolist()])
        # A Python loop over rows: only rows that leave the system come here.
        return [b"{" + b",".join(row) + b"}" for row in zip(*parts, strict=True)]

    def _with(self, columns: Mapping[str, pa.Array], offsets: np.ndarray | None) -> Table:
        return Table(columns, epoch=self.epoch, offsets=offsets)


def _encoded(name: str, values: pa.Array) -> list[bytes]:
    key = orjson.dumps(name) + b":"
    items: Iterable[object] = values.to_pylist()
    if pa.types.is_string(values.type) and name not in _TEXTS:
        short = bools(pc.match_substring_regex(values, _SHORT_NUMBER)).tolist()
        return [
            key + (str(item).encode() if plain else orjson.dumps(item))
            for item, plain in zip(items, short, strict=True)
        ]
    if pa.types.is_floating(values.type):
        return [key + (b"null" if not isinstance(x, float) else _number(x)) for x in items]
    return [key + orjson.dumps(item) for item in items]


def _number(number: float) -> bytes:
    return number_text(number).encode() if np.isfinite(number) else b"null"
