r"""What flows: records in batches of columns, and the streams that speak them.

A **stream** is who is speaking: a small sorted set of labels (``service host path container pod namespace source``
and any others), interned, so that two equal streams are one object.

A **batch** is the unit of work everywhere: Arrow columns in the order of ``SCHEMA``, the cursors of its rows once
a log has taken it, and the places it was read from. A **record** is a view of one row, made only at the edges.

Columns of a batch (no column but the last four of the list holds nulls):

    time      int64   nanoseconds since 1970 UTC: when it happened
    observed  int64   nanoseconds since 1970 UTC: when Tailrace saw it
    level     uint8   0 absent, 1 trace, 2 debug, 3 info, 4 warn, 5 error, 6 fatal
    stream    dictionary of int32 -> string: the canonical JSON of the labels
    message   string  the line, or the lines of an event with newlines between, valid UTF-8; bytes that are not become
              ``\xHH`` and what was read is kept in ``fields.raw_base64``
    position  int64   where the line began in its source, in bytes (files) or records (pushes); null when unknown
    trace_id  string  or null
    fields    string  or null: a JSON object, as text, of whatever else was parsed
    offsets   (beside the columns) int64 array, the offset of each row's cursor; None before the bus took it

A batch that was read from a log **covers** a stretch of it, [``first``, ``next``): all that the log has there is in
it. That is from its first row to its last, unless who has read it says more: where a log has offsets without records
(Kafka keeps some for itself), what lies before and behind the rows is covered as well, and there may be no row at all.

``fields`` stays text because it is stored, sent and shown far more often than it is looked into; ``column`` looks
into it, parses only the rows whose text holds the key, and remembers the answer for the batch. The text is always
what orjson writes (no spaces, no escapes but the necessary ones), so a key can be looked for in it as text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from functools import lru_cache
from typing import Any, Self

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.cursor import Cursor

SCHEMA = pa.schema(
    [
        pa.field("time", pa.int64(), nullable=False),
        pa.field("observed", pa.int64(), nullable=False),
        pa.field("level", pa.uint8(), nullable=False),
        pa.field("stream", pa.dictionary(pa.int32(), pa.string()), nullable=False),
        pa.field("message", pa.string(), nullable=False),
        pa.field("position", pa.int64()),
        pa.field("trace_id", pa.string()),
        pa.field("fields", pa.string()),
    ]
)

STREAM_LABELS = ("service", "host", "path", "container", "pod", "namespace", "source")
"""The labels with a meaning of their own; they stand beside the message in a record's JSON. Others do too."""


class Level(IntEnum):
    """How serious a record is; ABSENT when nobody said."""

    ABSENT = 0
    TRACE = 1
    DEBUG = 2
    INFO = 3
    WARN = 4
    ERROR = 5
    FATAL = 6


LEVEL_NAMES: tuple[str | None, ...] = (None, "trace", "debug", "info", "warn", "error", "fatal")
_LEVEL_TEXT = pa.array(LEVEL_NAMES, pa.string())
_LEVELS_JSON = [b"" if name is None else b',"level":"' + name.encode() + b'"' for name in LEVEL_NAMES]


@dataclass(frozen=True, slots=True)
class Stream:
    """Who is speaking: sorted labels. Make one with ``Stream.of``, which interns."""

    json: str
    labels: Mapping[str, str] = field(compare=False)

    @staticmethod
    def of(labels: Mapping[str, str]) -> Stream:
        """Return the one stream that has these labels; empty values are left out."""
        kept = {name: labels[name] for name in sorted(labels) if labels[name]}
        return Stream.parse(orjson.dumps(kept).decode())

    @staticmethod
    @lru_cache(maxsize=65_536)
    def parse(json: str) -> Stream:
        """Return the stream whose canonical JSON this is (what ``stream`` columns hold)."""
        return Stream(json, orjson.loads(json))


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that ``rows`` neighbouring records of a batch were read from: [first, next) of ``source``.

    ``source`` names one readable thing for ever (``file:...``, ``push:KEY``); positions are its own (bytes,
    sequence numbers). ``note`` is JSON that the source wants to find again beside the position after a restart.
    """

    source: str
    first: int
    next: int
    rows: int
    note: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One line, as a view for the edges of the system."""

    time_ns: int
    observed_ns: int
    level: Level
    message: str
    stream: Stream
    fields: Mapping[str, Any]
    trace_id: str | None
    cursor: Cursor | None


class Batch:
    """Columns of records; see the head of this module. Immutable; slices share memory.

    Everything here reads its columns through ``array``, so that a block of a stored part can be a batch whose
    columns are read from disk when they are first asked for.
    """

    __slots__ = ("_derived", "_nbytes", "columns", "covers", "epoch", "offsets", "origins")

    def __init__(
        self,
        columns: pa.RecordBatch,
        *,
        origins: Sequence[Origin] = (),
        epoch: int = 0,
        offsets: np.ndarray | None = None,
        covers: tuple[int, int] | None = None,
    ) -> None:
        """Wrap columns of ``SCHEMA``; ``offsets`` is an int64 array of as many rows, with its log's ``epoch``.

        ``covers`` are the offsets [first, next) that it stands for, when these are more than those of its rows.
        """
        if not columns.schema.equals(SCHEMA):
            raise ValueError(f"not the columns of a batch: {columns.schema}")
        self.columns = columns
        self.origins = tuple(origins)
        self.epoch = epoch
        self.offsets = offsets
        self.covers = covers
        self._derived: dict[str, pa.StringArray] = {}
        self._nbytes = -1

    @classmethod
    def of(
        cls,
        *,
        time: Any,
        observed: Any,
        level: Any,
        stream: Stream | pa.DictionaryArray,
        message: Any,
        position: Any = None,
        trace_id: Any = None,
        fields: Any = None,
        origins: Sequence[Origin] = (),
    ) -> Self:
        """Build a batch from arrays, numpy arrays or lists of one length; a single stream is repeated."""
        messages = message if isinstance(message, pa.Array) else pa.array(message, pa.string())
        rows = len(messages)
        if isinstance(stream, Stream):
            codes = pa.array(np.zeros(rows, np.int32))
            stream = pa.DictionaryArray.from_arrays(codes, pa.array([stream.json], pa.string()))
        given = {
            "time": time,
            "observed": observed,
            "level": level,
            "stream": stream,
            "message": messages,
            "position": position,
            "trace_id": trace_id,
            "fields": fields,
        }
        arrays = [_array(given[name], kind, rows) for name, kind in zip(SCHEMA.names, SCHEMA.types, strict=True)]
        return cls(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), origins=origins)

    @classmethod
    def concat(cls, batches: Sequence[Batch]) -> Batch:
        """Join batches of one log (or of none yet), one after the other, with their origins."""
        if len(batches) == 1:
            return batches[0]
        table = pa.Table.from_batches([batch.columns for batch in batches], SCHEMA)
        columns = table.unify_dictionaries().combine_chunks().to_batches()
        joined = columns[0] if columns else pa.RecordBatch.from_pylist([], SCHEMA)
        placed = all(batch.offsets is not None for batch in batches)
        offsets = np.concatenate([batch.offsets for batch in batches if batch.offsets is not None]) if placed else None
        wide = placed and any(batch.covers is not None for batch in batches)
        return cls(
            joined,
            origins=[origin for batch in batches for origin in batch.origins],
            epoch=batches[0].epoch if batches else 0,
            offsets=offsets,
            covers=(batches[0].first.offset, batches[-1].next.offset) if wide else None,
        )

    def noted(self, note: str) -> Batch:
        """Return the same batch with another note beside its last origin."""
        *others, last = self.origins
        return Batch(self.columns, origins=[*others, replace(last, note=note)], epoch=self.epoch, offsets=self.offsets)

    def __len__(self) -> int:
        return self.columns.num_rows

    @property
    def nbytes(self) -> int:
        """Memory of the columns, in bytes."""
        if self._nbytes < 0:
            self._nbytes = self.columns.nbytes
        return self._nbytes

    @property
    def first(self) -> Cursor:
        """Where what it covers begins: the cursor of the first row, in the order of the rows."""
        return Cursor(self.epoch, int(self._offsets()[0]) if self.covers is None else self.covers[0])

    @property
    def next(self) -> Cursor:
        """The position behind what it covers: behind the last row."""
        return Cursor(self.epoch, int(self._offsets()[-1]) + 1 if self.covers is None else self.covers[1])

    @property
    def streams(self) -> list[Stream]:
        """The streams that the codes of the ``stream`` column point to."""
        return [Stream.parse(json) for json in self.array("stream").dictionary.to_pylist()]

    def placed(self, epoch: int, offset: int) -> Batch:
        """Return this batch as a log took it: its rows at ``offset`` and after."""
        offsets = np.arange(offset, offset + len(self), dtype=np.int64)
        placed = Batch(self.columns, origins=self.origins, epoch=epoch, offsets=offsets)
        placed._nbytes = self._nbytes
        return placed

    def before(self, stop: Cursor) -> Batch:
        """Return what it has before a cursor that lies in what it covers, without copying."""
        rows = self.slice(0, int(np.searchsorted(self._offsets(), stop.offset)))
        rows.covers = (self.first.offset, stop.offset)
        return rows

    def behind(self, start: Cursor) -> Batch:
        """Return what it has from a cursor on that lies in what it covers, without copying."""
        rows = self.slice(int(np.searchsorted(self._offsets(), start.offset)), len(self))
        rows.covers = (start.offset, self.next.offset)
        return rows

    def slice(self, start: int, stop: int) -> Batch:
        """Return rows [start, stop), without copying; origins stay with the whole batch and are left out."""
        offsets = None if self.offsets is None else self.offsets[start:stop]
        return Batch(self.columns.slice(start, stop - start), epoch=self.epoch, offsets=offsets)

    def filter(self, mask: np.ndarray) -> Batch:
        """Return the rows where ``mask`` (bool) is true, in their order."""
        return self.take(np.flatnonzero(mask))

    def take(self, rows: np.ndarray) -> Batch:
        """Return the rows with these indices, in that order."""
        offsets = None if self.offsets is None else self.offsets[rows]
        return Batch(self.columns.take(pa.array(rows)), epoch=self.epoch, offsets=offsets)

    def array(self, name: str) -> pa.Array:
        """Return one of the columns of ``SCHEMA`` as it is."""
        return self.columns[name]

    def numpy(self, name: str) -> np.ndarray:
        """Return one of the columns without nulls (``time observed level``) as a numpy view."""
        return self.array(name).to_numpy(zero_copy_only=True)

    def column(self, name: str) -> pa.StringArray:
        """Return the values of an attribute, a label or a parsed field as text; null where a row has none.

        A label of the stream wins over a field of the same name. ``user.id`` names a key with a dot, or else a
        nested one. Numbers, booleans, lists and objects are their JSON text; JSON null counts as missing.
        """
        known = self._derived.get(name)
        if known is None:
            known = self._derived[name] = self._column(name)
        return known

    def _column(self, name: str) -> pa.StringArray:
        if name in ("message", "trace_id", "fields"):
            return self.array(name)
        if name == "level":
            return _LEVEL_TEXT.take(self.array("level"))
        if name in ("time", "observed"):
            return pa.array(rfc3339(self.numpy(name)), pa.string())
        if name == "cursor":
            return pa.array([f"{self.epoch:x}-{offset}" for offset in self._offsets().tolist()], pa.string())
        labels = self._labels(name)
        return self._field(name) if labels is None else labels

    def _labels(self, name: str) -> pa.StringArray | None:
        """Return the values of a label, filled from the fields where a stream has no such label; None without any."""
        values = [stream.labels.get(name) for stream in self.streams]
        if not any(value is not None for value in values):
            return None
        found = pa.array(values, pa.string()).take(self.array("stream").indices)
        return pc.coalesce(found, self._field(name)) if found.null_count else found

    def _field(self, name: str) -> pa.StringArray:
        texts = self.array("fields")
        if texts.null_count == len(texts):
            return pa.nulls(len(self), pa.string())
        # Only rows whose text holds the end of the name as a key can have it: parsing the others is saved.
        key_end = orjson.dumps(name.rpartition(".")[2]).decode()[1:]
        may_have = pc.fill_null(pc.match_substring(texts, key_end), False)
        rows = np.flatnonzero(may_have.to_numpy(zero_copy_only=False))
        values: list[str | None] = [None] * len(self)
        # A Python loop over lines: JSON has no vectorised look-up in Arrow; the mask above keeps it short.
        for row in rows.tolist():
            values[row] = field_text(orjson.loads(texts[row].as_py()), name)
        return pa.array(values, pa.string())

    @property
    def stream_codes(self) -> np.ndarray:
        """The index into ``streams`` of each row, int32."""
        return self.array("stream").indices.to_numpy(zero_copy_only=True)

    def records(self) -> Iterator[Record]:
        """Yield the rows as records. For edges and tests: never on a hot path."""
        streams = self.streams
        offsets: Iterable[int | None] = [None] * len(self) if self.offsets is None else self.offsets.tolist()
        codes = self.array("stream").indices.to_pylist()
        for row, code, offset in zip(self.columns.drop_columns("stream").to_pylist(), codes, offsets, strict=True):
            yield Record(
                time_ns=row["time"],
                observed_ns=row["observed"],
                level=Level(row["level"]),
                message=row["message"],
                stream=streams[code],
                fields=orjson.loads(row["fields"]) if row["fields"] else {},
                trace_id=row["trace_id"],
                cursor=None if offset is None else Cursor(self.epoch, offset),
            )

    def json_rows(self) -> list[bytes]:
        """Return each row as the JSON object of the public contract, encoded."""
        streams = [stream.json[1:-1].encode() for stream in self.streams]
        streams = [b"," + labels if labels else b"" for labels in streams]
        stamps = rfc3339(np.concatenate([self.numpy("time"), self.numpy("observed")]))
        times, observed = stamps[: len(self)], stamps[len(self) :]
        epoch = f"{self.epoch:x}-"
        # A Python loop over lines: only rows that leave the system come here, and each costs one join.
        return [
            b'{"time":"%b"%b,"message":%b%b%b%b,"observed":"%b","cursor":"%b"}'
            % (
                time.encode(),
                _LEVELS_JSON[level],
                orjson.dumps(message),
                streams[code],
                b"" if trace_id is None else b',"trace_id":' + orjson.dumps(trace_id),
                b"" if fields is None else b',"fields":' + fields.encode(),
                seen.encode(),
                (epoch + str(offset)).encode(),
            )
            for time, level, message, code, trace_id, fields, seen, offset in zip(
                times,
                self.numpy("level").tolist(),
                self.array("message").to_pylist(),
                self.array("stream").indices.to_pylist(),
                self.array("trace_id").to_pylist(),
                self.array("fields").to_pylist(),
                observed,
                self._offsets().tolist(),
                strict=True,
            )
        ]

    def _offsets(self) -> np.ndarray:
        if self.offsets is None:
            raise ValueError("no log has taken this batch yet, so its records have no cursors")
        return self.offsets


def field_text(parsed: Any, name: str) -> str | None:
    """Return the text of one value in a parsed ``fields`` object, or None: the rule that ``Batch.column`` states."""
    value = parsed.get(name)
    if value is None and "." in name:
        value = parsed
        for key in name.split("."):
            if not isinstance(value, dict):
                return None
            value = value.get(key)
    if value is None or isinstance(value, str):
        return value
    return orjson.dumps(value).decode()


def rfc3339(times_ns: np.ndarray) -> list[str]:
    """Return nanoseconds since 1970 as RFC 3339 text in UTC, all nine digits kept (``Z`` at the end)."""
    return [text + "Z" for text in np.datetime_as_string(times_ns.view("datetime64[ns]"), unit="ns").tolist()]


def _array(values: Any, kind: pa.DataType, rows: int) -> pa.Array:
    if values is None:
        return pa.nulls(rows, kind)
    array = values if isinstance(values, pa.Array) else pa.array(values, kind)
    return array if array.type.equals(kind) else array.cast(kind)
