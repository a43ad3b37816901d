"""One part: an immutable directory of sorted rows, what is known of its blocks, and its token index.

``PartWriter`` makes one from rows that come in its order, block by block, so its memory does not grow with the part.
``Part`` opens one: ``part.json`` is read and checked at once, everything else when it is asked for.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tailrace.cursor import Cursor
from tailrace.errors import Damaged, DataError
from tailrace.limits import BLOCK_BYTES_MAX, BLOCK_ROWS
from tailrace.query.tokens import block_tokens
from tailrace.record import SCHEMA, Batch, Stream
from tailrace.store.parts import durable
from tailrace.store.parts.index import TokenIndex, TokenWriter

FORMAT = 1
ROWS = SCHEMA.append(pa.field("offset", pa.int64(), nullable=False))
"""The columns of a part in memory: those of a batch, and the offset of each row's cursor."""

_TIMES = ("time", "observed")
_PARQUET = pa.schema(
    [pa.field(f.name, pa.timestamp("ns", "UTC"), nullable=False) if f.name in _TIMES else f for f in ROWS]
)
_LEVELS = 7


class PartWriter:
    """Writes the records [first, next) of a log to a new directory; ``finish`` makes it whole and durable."""

    def __init__(self, directory: Path, first: Cursor, next: Cursor) -> None:  # noqa: A002 - the field's own name
        directory.mkdir()
        self._directory = directory
        self._first, self._next = first, next
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._tokens = TokenWriter(directory / "tokens")
        self._blocks: dict[str, list[Any]] = {name: [] for name in _BLOCK_FACTS}
        self._streams: dict[str, list[Any]] = {"json": [], "start": [], "first_ns": [], "last_ns": []}
        self._rows = self._raw_bytes = 0
        self._observed_ns = -(2**63)
        self._file = pq.ParquetWriter(
            directory / "data.parquet",
            _PARQUET,
            compression="zstd",
            compression_level=1,
            use_dictionary=["stream", "level"],
            column_encoding={"time": "DELTA_BINARY_PACKED", "offset": "DELTA_BINARY_PACKED"},
            write_statistics=["time", "observed", "level", "offset"],  # type: ignore[arg-type]
            write_page_checksum=True,
            data_page_size=64 * 1024 * 1024,
        )

    def write(self, rows: pa.RecordBatch) -> None:
        """Take the next rows, of the schema ``ROWS``, in the order (stream, time, offset)."""
        self._waiting.append(rows)
        self._waiting_rows += rows.num_rows
        if self._waiting_rows >= BLOCK_ROWS:
            self._cut(last=False)

    def finish(self) -> int:
        """Write what is left, sync everything, and return the checksum of ``part.json``."""
        self._cut(last=True)
        self._file.close()
        self._tokens.finish()
        files = ("data.parquet", "tokens")
        for name in files:
            durable.sync_file(self._directory / name)
        facts = {
            "format": FORMAT,
            "first": str(self._first),
            "next": str(self._next),
            "rows": self._rows,
            "raw_bytes": self._raw_bytes,
            "observed_ns": self._observed_ns,
            "files": {name: (self._directory / name).stat().st_size for name in files},
            "streams": self._streams,
            "blocks": self._blocks,
        }
        text = orjson.dumps(facts)
        durable.write_file(self._directory / "part.json", text)
        durable.sync_directory(self._directory)
        return zlib.crc32(text)

    def abort(self) -> None:
        """Let go of the open file; the directory is worth nothing and is the caller's to remove."""
        self._file.close()

    def _cut(self, *, last: bool) -> None:
        table = pa.Table.from_batches(self._waiting, ROWS).unify_dictionaries().combine_chunks()
        rows = table.to_batches()[0] if table.num_rows else pa.RecordBatch.from_pylist([], ROWS)
        start = 0
        while rows.num_rows - start >= (1 if last else BLOCK_ROWS):
            count = _block_rows(rows.slice(start, BLOCK_ROWS))
            self._write_block(rows.slice(start, count))
            start += count
        self._waiting = [rows.slice(start)]
        self._waiting_rows = rows.num_rows - start

    def _write_block(self, rows: pa.RecordBatch) -> None:
        rows = _with_own_streams(rows)
        time, observed, level, offset = (rows[name].to_numpy() for name in ("time", "observed", "level", "offset"))
        number = len(self._blocks["rows"])
        facts = {
            "rows": rows.num_rows,
            "first_ns": int(time.min()),
            "last_ns": int(time.max()),
            "first_offset": int(offset.min()),
            "last_offset": int(offset.max()),
            "levels": np.bincount(level, minlength=_LEVELS).tolist(),
        }
        for name, fact in facts.items():
            self._blocks[name].append(fact)
        self._note_streams(rows["stream"], time)
        self._rows += rows.num_rows
        self._raw_bytes += rows.nbytes
        self._observed_ns = max(self._observed_ns, int(observed.max()))
        self._tokens.add(number, block_tokens(Batch(rows.select(SCHEMA.names))))
        self._file.write_batch(rows.cast(_PARQUET), row_group_size=rows.num_rows)

    def _note_streams(self, stream: pa.DictionaryArray, time: np.ndarray) -> None:
        codes = stream.indices.to_numpy()
        starts = np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1])
        stops = np.append(starts[1:], len(codes))
        names, known = stream.dictionary.to_pylist(), self._streams
        # A loop over the streams of a block, not over its rows.
        for start, stop in zip(starts.tolist(), stops.tolist(), strict=True):
            name = names[codes[start]]
            if not known["json"] or known["json"][-1] != name:
                known["json"].append(name)
                known["start"].append(self._rows + start)
                known["first_ns"].append(int(time[start]))
                known["last_ns"].append(0)
            known["last_ns"][-1] = int(time[stop - 1])


_BLOCK_FACTS = ("rows", "first_ns", "last_ns", "first_offset", "last_offset", "levels")


class Part:
    """An open part. Everything it knows of block i is row i of the arrays; any number of threads may read it.

    ``rows first_ns last_ns first_offset last_offset`` are int64 arrays by block, ``levels`` counts rows by block and
    level, ``starts`` is the row where each block begins, ``stream_starts`` the row where each of ``streams`` begins.
    """

    def __init__(self, directory: Path, crc: int | None) -> None:
        """Open; raises Damaged when ``part.json`` has another checksum, or a file another size than was written."""
        self.directory = directory
        self.damaged = False
        text, facts = _checked(directory, crc)
        self.crc = zlib.crc32(text)
        self.first, self.next = Cursor.parse(facts["first"]), Cursor.parse(facts["next"])
        self.total_rows: int = facts["rows"]
        self.observed_ns: int = facts["observed_ns"]
        self.disk_bytes = sum(facts["files"].values()) + len(text)
        blocks = facts["blocks"]
        self.rows = np.array(blocks["rows"], np.int64)
        self.first_ns = np.array(blocks["first_ns"], np.int64)
        self.last_ns = np.array(blocks["last_ns"], np.int64)
        self.first_offset = np.array(blocks["first_offset"], np.int64)
        self.last_offset = np.array(blocks["last_offset"], np.int64)
        self.levels = np.array(blocks["levels"], np.int64).reshape(-1, _LEVELS)
        self.starts = np.concatenate([[0], np.cumsum(self.rows)[:-1]])
        self.streams = [Stream.parse(json) for json in facts["streams"]["json"]]
        self.stream_starts = np.array(facts["streams"]["start"], np.int64)
        self.index = TokenIndex(directory / "tokens")

    def __repr__(self) -> str:
        return f"Part({self.directory.name})"

    def open(self) -> PartFile:
        """Return a reader of the rows, for one thread."""
        return PartFile(self)


class PartFile:
    """Reads columns of blocks of one part, for one thread at a time; also after the part was removed."""

    def __init__(self, part: Part) -> None:
        self._part = part
        path = part.directory / "data.parquet"
        with _read_errors(part):
            self._file = pq.ParquetFile(path, metadata=_metadata(path), page_checksum_verification=True)

    def read(self, block: int, name: str) -> pa.Array:
        """Return one column of ``ROWS`` of a block. Raises Damaged."""
        with _read_errors(self._part):
            column = self._file.read_row_group(block, [name], use_threads=False).column(0).combine_chunks()
        array = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        if len(array) != self._part.rows[block]:
            raise PartDamaged(self._part, "a block has another number of rows")
        return array.view(pa.int64()) if name in _TIMES else array


class PartDamaged(Damaged):
    """A part is not what was written; ``part`` is which."""

    def __init__(self, part: Part, what: str) -> None:
        super().__init__(
            f"the part {part.directory.name} is damaged: {what}",
            cure="It is set aside in damaged/ and no longer searched; restore it from a copy. Ask again for the rest.",
        )
        self.part = part


class _read_errors:  # noqa: N801 - a context manager is used like a function; a class, because it runs once per column
    __slots__ = ("_part",)

    def __init__(self, part: Part) -> None:
        self._part = part

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, pa.ArrowException | OSError):
            raise PartDamaged(self._part, str(error)) from error


@lru_cache(maxsize=32)
def _metadata(path: Path) -> pq.FileMetaData:
    """Return a parsed footer; kept for the parts searched last: some milliseconds and megabytes for a large one."""
    return pq.read_metadata(path)


def _checked(directory: Path, crc: int | None) -> tuple[bytes, dict[str, Any]]:
    def damaged(what: str) -> Damaged:
        return Damaged(f"the part {directory.name} is damaged: {what}", cure="Restore it from a copy.")

    try:
        text = (directory / "part.json").read_bytes()
        if crc is not None and zlib.crc32(text) != crc:
            raise damaged("part.json has another checksum")
        facts = orjson.loads(text)
        for name, size in facts["files"].items():
            if (directory / name).stat().st_size != size:
                raise damaged(f"{name} has another size")
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError) as error:
        raise damaged(str(error)) from error
    if facts["format"] != FORMAT:
        raise DataError(f"{directory} has format {facts['format']}", cure="Use the version of Tailrace that wrote it.")
    return text, facts


def _block_rows(rows: pa.RecordBatch) -> int:
    """Return how many of the rows make a block: all, unless they are more than BLOCK_BYTES_MAX; at least one."""
    if rows.nbytes <= BLOCK_BYTES_MAX:
        return rows.num_rows
    lengths = pc.add(
        pc.binary_length(rows["message"]),
        pc.fill_null(pc.binary_length(rows["fields"]), 0),
    )
    sizes = np.cumsum(lengths.to_numpy(zero_copy_only=False).astype(np.int64))
    return max(1, int(np.searchsorted(sizes, BLOCK_BYTES_MAX, side="right")))


def _with_own_streams(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Leave only the streams that occur in the dictionary, so that a block is not larger than its rows."""
    column = rows["stream"]
    used, codes = np.unique(column.indices.to_numpy(), return_inverse=True)
    own = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), column.dictionary.take(pa.array(used)))
    return rows.set_column(ROWS.get_field_index("stream"), ROWS.field("stream"), own)


def sorted_rows(batch: Batch) -> pa.RecordBatch:
    """Return the rows of a batch that a log took, as a part keeps them: by (stream, time, offset)."""
    stream = batch.array("stream")
    _, ranks = np.unique(np.array(stream.dictionary.to_pylist(), object), return_inverse=True)
    codes = ranks[stream.indices.to_numpy()]
    order = np.lexsort((batch.offsets, batch.numpy("time"), codes))  # type: ignore[arg-type]
    columns = [*batch.columns.columns, pa.array(batch.offsets)]
    return pa.RecordBatch.from_arrays(columns, schema=ROWS).take(pa.array(order))
