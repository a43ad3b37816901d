"""A block: neighbouring records of one agent's log, as they travel to a server. ``docs/formats/wire.md`` says the same.

Bytes, little-endian; the whole is one zstd frame (``Content-Encoding: zstd``):

    head     "TRBLOCK1"  crc u32  meta length u32  epoch u64  first u64  next u64  rows u32  branch u32, 48 bytes
    meta     JSON {"host": name, "end": offset behind the agent's newest record, "after": how far the server is as the
             agent has heard, or null, "streams": [labels JSON ...]}
    columns  time i64, observed i64, position i64 (-1: unknown), stream i32 (which of the streams), level u8; each rows
             long; then message, trace_id, fields: lengths i32 (-1: none), each rows long, and behind each the bytes
    crc      CRC-32 of everything behind the crc field

The log is named by its epoch, and by a branch (0) that grows when an agent finds that its disk was put back to an older
state: its offsets then mean other records than those that the server has. The server finds that out for it: with how
far it is, it keeps a mark of the last record, which the agent compares with its own.

A server that is not ``after`` refuses the block: it is not the one that said so, or has lost what it had meanwhile.

[first, next) are the places in the agent's log that the block covers; there may be fewer rows, when its disk has lost
some. Nothing in a block says how much memory it wants beyond its own size, so nobody can ask for more.

``decode`` believes nothing: every length, index, text and JSON is looked at, because what it lets through is shown to
people and searched for years. What is wrong with its content is BadInput, and names the first thing that is. Bytes that
are not those that were sent are Damaged: they say nothing about the records, and sending them again may help.
"""

from __future__ import annotations

import secrets
import struct
import sys
import zlib
from dataclasses import dataclass

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from tailrace.errors import BadInput, Damaged, TooLarge, Unsupported
from tailrace.limits import (
    BATCH_ROWS_MAX,
    BLOCK_DECODED_BYTES_MAX,
    BLOCK_FIELDS_BYTES,
    BLOCK_NAME_BYTES_MAX,
    BLOCK_STREAM_BYTES_MAX,
    LABELS_MAX,
)
from tailrace.record import LEVEL_NAMES, Batch, Origin, Stream

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MEDIA_TYPE = "application/vnd.tailrace.block"
PATH = "/api/v1/push/blocks"
_HEAD = struct.Struct("<8sIIQQQII")
_MAGIC = b"TRBLOCK1"
_CRC_END = 12
_FIXED = (("time", np.int64), ("observed", np.int64), ("position", np.int64), ("stream", np.int32), ("level", np.uint8))
_TEXTS = ("message", "trace_id", "fields")
_OFFSET_MAX = 1 << 62
_ZSTD_LEVEL = 1  # the agent shares its machine with whatever writes the logs


class Taken(msgspec.Struct):
    """How far a server has taken an agent's log: ``taken`` is the offset to go on with, null when it knows nothing.

    ``mark`` is that of the last record before it.
    """

    source: str
    taken: int | None
    mark: str = ""
    cursor: str = ""


class _Meta(msgspec.Struct):
    host: str
    end: int
    after: int | None
    streams: list[str]


@dataclass(frozen=True, slots=True)
class Block:
    """A block that was found good: its records with their origin, who sent it, and how many more wait there."""

    batch: Batch
    host: str
    waiting: int
    after: int | None


def source_of(epoch: int, branch: int) -> str:
    """Return the name of an agent's log in a server's ledger."""
    return f"agent:{epoch:x}.{branch}"


def mark_of(batch: Batch) -> str:
    """Return the mark of the last record: eight hex digits that another record hardly has."""
    last = batch.slice(len(batch) - 1, len(batch))
    numbers = last.numpy("time").tobytes() + last.numpy("observed").tobytes()
    return f"{zlib.crc32(last.array('message')[0].as_py().encode(), zlib.crc32(numbers)):08x}"


def encode(batch: Batch, first: int, following: int, *, branch: int, after: int | None, host: str, end: int) -> bytes:
    """Return the block of a batch that covers the places [first, following) of the log that ``batch.epoch`` names."""
    column = batch.array("stream")
    if len(column.dictionary) > len(batch):
        column = column.cast(pa.string()).dictionary_encode()
    position = batch.array("position")
    fixed = {
        "time": batch.numpy("time"),
        "observed": batch.numpy("observed"),
        "position": position.fill_null(-1).to_numpy(),
        "stream": column.indices.to_numpy(),
        "level": batch.numpy("level"),
    }
    pieces = [np.ascontiguousarray(fixed[name], kind).data.cast("B") for name, kind in _FIXED]
    for name in _TEXTS:
        pieces += _text_bytes(batch.array(name))
    meta = orjson.dumps({"host": host, "end": end, "after": after, "streams": column.dictionary.to_pylist()})
    head = _HEAD.pack(_MAGIC, 0, len(meta), batch.epoch, first, following, len(batch), branch)
    crc = zlib.crc32(meta, zlib.crc32(head[_CRC_END:]))
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
    whole = b"".join((_MAGIC, struct.pack("<I", crc), head[_CRC_END:], meta, *pieces))
    return zstd.compress(whole, _ZSTD_LEVEL)


def _text_bytes(texts: pa.StringArray) -> list[memoryview]:
    """Return the lengths and the bytes of a column; a slice gives only its own."""
    lengths = pa.compute.binary_length(texts).fill_null(-1).to_numpy().astype(np.int32)
    _, _, data = texts.buffers()
    if data is None or not len(texts):
        return [lengths.data.cast("B")]
    bounds = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    kept = memoryview(data)[int(bounds[0]) : int(bounds[-1])]
    if len(kept) != int(np.maximum(lengths, 0).sum()):  # bytes under nulls: Arrow allows them, a block does not
        kept = memoryview(b"".join(text.encode() for text in texts.to_pylist() if text is not None))
    return [lengths.data.cast("B"), kept]


def decode(data: bytes | bytearray) -> Block:
    """Return the block in the body of a request. Raises BadInput, TooLarge, Damaged, Unsupported."""
    whole = _decompressed(data)
    if len(whole) < _HEAD.size:
        raise Damaged("the block ends before its head does")
    magic, crc, meta_length, epoch, first, following, rows, branch = _HEAD.unpack_from(whole)
    if magic[:7] != _MAGIC[:7]:
        raise Unsupported("the body is not a block", cure=f"{MEDIA_TYPE} is what `tailrace agent` sends.")
    if magic != _MAGIC:
        raise Unsupported("the block was made by a newer tailrace agent", cure="Update the server first.")
    if zlib.crc32(memoryview(whole)[_CRC_END:]) != crc:
        raise Damaged("the block is not what was sent: its checksum is wrong")
    if not 0 < rows <= BATCH_ROWS_MAX:
        raise TooLarge(f"a block has 1 to {BATCH_ROWS_MAX} records, not {rows}")
    if not (epoch > 0 and first < following <= _OFFSET_MAX and rows <= following - first):
        raise BadInput(f"{rows} records cannot be the places {first} to {following} of a log")
    end = _HEAD.size + meta_length
    if end > len(whole):
        raise BadInput("the block ends before its meta does")
    meta, streams = _meta(whole[_HEAD.size : end])
    columns = _columns(whole, end, rows)
    batch = _batch(columns, streams)
    origin = Origin(source_of(epoch, branch), first, following, rows, mark_of(batch))
    return Block(Batch(batch.columns, origins=[origin]), meta.host, max(meta.end - following, 0), meta.after)


def _decompressed(data: bytes | bytearray) -> bytes:
    reader = zstd.ZstdDecompressor(
        options={zstd.DecompressionParameter.window_log_max: BLOCK_DECODED_BYTES_MAX.bit_length() - 1}
    )
    try:
        whole = reader.decompress(data, BLOCK_DECODED_BYTES_MAX + 1)
    except zstd.ZstdError as error:
        raise Damaged(f"the body is not zstd: {error}", cure="Check Content-Encoding.") from error
    if len(whole) > BLOCK_DECODED_BYTES_MAX:
        raise TooLarge(f"a block has at most {BLOCK_DECODED_BYTES_MAX} bytes", cure="Send it in several blocks.")
    if not reader.eof or reader.unused_data:
        raise Damaged("the body is not one whole zstd frame")
    return whole


def _meta(data: bytes) -> tuple[_Meta, list[str]]:
    try:
        meta = msgspec.json.decode(data, type=_Meta)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadInput(f"the meta of the block cannot be read: {error}") from error
    if len(meta.host.encode()) > BLOCK_NAME_BYTES_MAX:
        raise BadInput(f"the name of the agent is longer than {BLOCK_NAME_BYTES_MAX} bytes")
    return meta, [_labels(text) for text in meta.streams]


def _labels(text: str) -> str:
    """Return the labels of a stream in the one form that is kept."""
    if len(text) > BLOCK_STREAM_BYTES_MAX:
        raise BadInput(f"the labels of a stream have more than {BLOCK_STREAM_BYTES_MAX} bytes")
    try:
        labels = msgspec.json.decode(text, type=dict[str, str])
    except msgspec.DecodeError as error:
        raise BadInput(f"the labels of a stream cannot be read: {error}") from error
    if "" in labels or len(labels) > 2 * LABELS_MAX:
        raise BadInput(f"a stream has at most {2 * LABELS_MAX} labels, and all have a name")
    return Stream.of(labels).json


def _columns(whole: bytes, at: int, rows: int) -> dict[str, pa.Array]:
    arrays: dict[str, pa.Array] = {}
    for name, kind in _FIXED:
        arrays[name] = pa.array(_numbers(whole, at, rows, kind))
        at += rows * np.dtype(kind).itemsize
    for name in _TEXTS:
        lengths = _numbers(whole, at, rows, np.int32)
        at += lengths.nbytes
        if lengths.min() < (0 if name == "message" else -1):
            raise BadInput(f"the column {name} has a negative length")
        bounds = np.zeros(rows + 1, np.int64)
        np.cumsum(np.maximum(lengths, 0), dtype=np.int64, out=bounds[1:])
        size = int(bounds[-1])
        if at + size > len(whole):
            raise BadInput(f"the block ends before its column {name} does")
        here = np.packbits(lengths >= 0, bitorder="little")
        buffers = [pa.py_buffer(here), pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(whole[at : at + size])]
        arrays[name] = pa.Array.from_buffers(pa.string(), rows, buffers)
        at += size
        try:
            arrays[name].validate(full=True)
        except pa.ArrowInvalid as error:
            raise BadInput(f"the column {name} is not UTF-8: {error}") from error
    if at != len(whole):
        raise BadInput("there is more in the block than its columns")
    return arrays


def _numbers(whole: bytes, at: int, rows: int, kind: type[np.generic]) -> np.ndarray:
    if at + rows * np.dtype(kind).itemsize > len(whole):
        raise BadInput("the block ends before its columns do")
    return np.frombuffer(whole, kind, rows, at)


def _batch(columns: dict[str, pa.Array], streams: list[str]) -> Batch:
    code = columns["stream"].to_numpy()
    if code.min() < 0 or code.max() >= len(streams):
        raise BadInput("a record names a stream that the block does not have")
    if columns["level"].to_numpy().max() >= len(LEVEL_NAMES):
        raise BadInput("a record has a level that there is not")
    for name in ("time", "observed"):
        if columns[name].to_numpy().min() == np.iinfo(np.int64).min:
            raise BadInput(f"a record has no {name}")
    _check_fields(columns["fields"])
    position = columns["position"].to_numpy()
    return Batch.of(
        time=columns["time"],
        observed=columns["observed"],
        level=columns["level"],
        stream=pa.DictionaryArray.from_arrays(columns["stream"], pa.array(streams, pa.string())),
        message=columns["message"],
        position=pa.array(position, pa.int64(), mask=position < 0),
        trace_id=columns["trace_id"],
        fields=columns["fields"],
    )


def _check_fields(texts: pa.StringArray) -> None:
    """Raise BadInput unless every text is a JSON object.

    Fields are pasted into answers as they are, so one text must not be able to end inside the next. They are parsed
    together, BLOCK_FIELDS_BYTES at a time, with a word between them that nobody can have guessed: each of those must be
    found again between two objects.
    """
    texts = texts.drop_null()
    if not len(texts):
        return
    word = secrets.token_hex(16)
    between = f',"{word}",'
    ends = np.cumsum(pa.compute.binary_length(texts).to_numpy(), dtype=np.int64)
    at = 0
    while at < len(texts):
        limit = (int(ends[at - 1]) if at else 0) + BLOCK_FIELDS_BYTES
        stop = max(int(ends.searchsorted(limit, side="right")), at + 1)
        rows = texts.slice(at, stop - at).to_pylist()
        at = stop
        try:
            found = orjson.loads(f"[{between.join(rows)}]")
            objects, words = found[::2], found[1::2]
            if words != [word] * (len(rows) - 1) or set(map(type, objects)) != {dict}:
                raise BadInput("the fields of a record are not a JSON object")
            orjson.dumps(objects)  # what is nested too deeply can be read and not written
        except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:
            raise BadInput(f"the fields of a record are not JSON: {error}") from error
