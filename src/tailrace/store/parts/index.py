"""The token index of a part: which blocks hold a token, exactly; no false positives, prefixes too.

Bytes of the file ``tokens`` (integers little-endian):

    "TRTOKEN1"
    chunk ...        zstd of: token lengths u32, posting counts u16, postings (block numbers) u16, the tokens' UTF-8;
                     the integers as byte planes (all first bytes, all second bytes, ...), which compress better;
                     CHUNK_TOKENS tokens each, ascending by their bytes over the whole file
    directory        zstd of: for each chunk offset u64, size u32, raw size u32, crc32 u32, tokens u32, postings u32
                     (a column each); then the first token of each chunk, joined by newlines
    trailer          directory size u32, its raw size u32, its crc32 u32, chunks u32, "TRTOKEN1"

A lookup reads the directory once, then one chunk; a prefix reads a range of chunks. The writer's memory is bounded:
after RUN_PAIRS pairs of token and block it sorts them into a run, a file of the same format, and merges the runs.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import Damaged

CHUNK_TOKENS = 4_096
RUN_PAIRS = 524_288

_MAGIC = b"TRTOKEN1"
_TRAILER = struct.Struct("<IIII8s")
_CODEC = pa.Codec("zstd", compression_level=1)
_DIRECTORY = ("<u8", "<u4", "<u4", "<u4", "<u4", "<u4")


class Postings(NamedTuple):
    """Ascending distinct tokens; the blocks of token i are the next ``counts[i]`` of ``blocks``."""

    tokens: pa.StringArray
    counts: np.ndarray
    blocks: np.ndarray


class TokenWriter:
    """Builds the file: ``add`` the tokens of each block, then ``finish``. Leaves nothing else behind."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tokens: list[pa.StringArray] = []
        self._blocks: list[np.ndarray] = []
        self._pairs = 0
        self._runs: list[Path] = []

    def add(self, block: int, tokens: pa.StringArray) -> None:
        """Note the distinct tokens of a block."""
        self._tokens.append(tokens)
        self._blocks.append(np.full(len(tokens), block, np.uint16))
        self._pairs += len(tokens)
        if self._pairs >= RUN_PAIRS:
            run = self._path.with_name(f"{self._path.name}.run{len(self._runs)}")
            _write(run, iter([self._sorted()]))
            self._runs.append(run)

    def finish(self) -> None:
        """Write the file; not synced."""
        if not self._runs:
            _write(self._path, iter([self._sorted()]))
            return
        runs = [TokenIndex(run).chunks() for run in self._runs]
        _write(self._path, _merged([*runs, iter([self._sorted()])]))
        for run in self._runs:
            run.unlink()

    def _sorted(self) -> Postings:
        if not self._tokens:
            return Postings(pa.array([], pa.string()), np.zeros(0, np.int64), np.zeros(0, np.uint16))
        postings = _postings(pa.concat_arrays(self._tokens), np.concatenate(self._blocks))
        self._tokens, self._blocks, self._pairs = [], [], 0
        return postings


class TokenIndex:
    """Answers from the file; any number of threads. Raises Damaged when bytes are not what was written."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._directory: tuple[list[np.ndarray], list[bytes]] | None = None

    def blocks(self, token: str) -> np.ndarray:
        """Return the numbers of the blocks that hold ``token``, ascending."""
        _, firsts = self._load()
        text = token.encode()
        chunk = bisect_right(firsts, text) - 1
        if chunk < 0:
            return np.zeros(0, np.uint16)
        postings = self._chunk(chunk)
        found = pc.index(postings.tokens, token).as_py()
        if found < 0:
            return np.zeros(0, np.uint16)
        start = int(postings.counts[:found].sum())
        return postings.blocks[start : start + int(postings.counts[found])]

    def blocks_of_prefix(self, prefix: str) -> np.ndarray:
        """Return the numbers of the blocks that hold a token beginning with ``prefix``, ascending."""
        _, firsts = self._load()
        text = prefix.encode()
        found: list[np.ndarray] = []
        # 0xff is in no UTF-8 text, so everything that begins with the prefix is below prefix + 0xff.
        for chunk in range(max(bisect_right(firsts, text) - 1, 0), bisect_left(firsts, text + b"\xff")):
            postings = self._chunk(chunk)
            begins = pc.starts_with(postings.tokens, prefix).to_numpy(zero_copy_only=False)
            found.append(np.unique(postings.blocks[np.repeat(begins, postings.counts)]))
        return np.unique(np.concatenate(found)) if found else np.zeros(0, np.uint16)

    def chunks(self) -> Iterator[Postings]:
        """Yield everything, in order."""
        _, firsts = self._load()
        for chunk in range(len(firsts)):
            yield self._chunk(chunk)

    def _load(self) -> tuple[list[np.ndarray], list[bytes]]:
        with self._lock:
            if self._directory is None:
                self._directory = self._read_directory()
            return self._directory

    def _read_directory(self) -> tuple[list[np.ndarray], list[bytes]]:
        end = self._path.stat().st_size - _TRAILER.size
        trailer = self._read(end, _TRAILER.size) if end >= len(_MAGIC) else b""
        if len(trailer) != _TRAILER.size:
            raise self._damaged()
        size, raw_size, crc, count, magic = _TRAILER.unpack(trailer)
        packed = self._read(end - size, size) if size <= end else b""
        if magic != _MAGIC or zlib.crc32(packed) != crc:
            raise self._damaged()
        data = _CODEC.decompress(packed, raw_size, asbytes=True)
        columns, at = [], 0
        for kind in _DIRECTORY:
            columns.append(np.frombuffer(data, kind, count, at))
            at += columns[-1].nbytes
        return columns, data[at:].split(b"\n") if count else []

    def _chunk(self, chunk: int) -> Postings:
        columns, _ = self._load()
        offset, size, raw_size, crc, tokens, postings = (int(column[chunk]) for column in columns)
        packed = self._read(offset, size)
        if len(packed) != size or zlib.crc32(packed) != crc:
            raise self._damaged()
        return _decode(_CODEC.decompress(packed, raw_size), tokens, postings)

    def _read(self, offset: int, size: int) -> bytes:
        handle = os.open(self._path, os.O_RDONLY)
        try:
            return os.pread(handle, size, offset)
        finally:
            os.close(handle)

    def _damaged(self) -> Damaged:
        return Damaged(f"{self._path} is damaged", cure="The part is set aside in damaged/; restore it from a copy.")


def _write(path: Path, pieces: Iterator[Postings]) -> None:
    entries: list[tuple[int, ...]] = []
    firsts: list[str] = []
    with path.open("wb") as file:
        at = file.write(_MAGIC)
        for piece in pieces:
            ends = np.concatenate([[0], np.cumsum(piece.counts)])
            for start in range(0, len(piece.tokens), CHUNK_TOKENS):
                stop = min(start + CHUNK_TOKENS, len(piece.tokens))
                blocks = piece.blocks[ends[start] : ends[stop]]
                raw = _encode(Postings(piece.tokens.slice(start, stop - start), piece.counts[start:stop], blocks))
                packed = _CODEC.compress(raw, asbytes=True)
                entries.append((at, len(packed), len(raw), zlib.crc32(packed), stop - start, len(blocks)))
                firsts.append(piece.tokens[start].as_py())
                at += file.write(packed)
        columns = zip(*entries, strict=True) if entries else [()] * len(_DIRECTORY)
        raw = b"".join(np.array(column, kind).tobytes() for column, kind in zip(columns, _DIRECTORY, strict=True))
        raw += "\n".join(firsts).encode()
        packed = _CODEC.compress(raw, asbytes=True)
        file.write(packed)
        file.write(_TRAILER.pack(len(packed), len(raw), zlib.crc32(packed), len(entries), _MAGIC))


def _encode(piece: Postings) -> bytes:
    starts, data = _text(piece.tokens)
    integers = (np.diff(starts).astype("<u4"), piece.counts.astype("<u2"), piece.blocks.astype("<u2"))
    planes = [values.view(np.uint8).reshape(len(values), -1).T.tobytes() for values in integers]
    return b"".join([*planes, data[starts[0] : starts[-1]].tobytes()])


def _decode(raw: pa.Buffer, tokens: int, postings: int) -> Postings:
    data = np.frombuffer(raw, np.uint8)

    def planes(at: int, count: int, kind: str) -> np.ndarray:
        width = np.dtype(kind).itemsize
        return np.ascontiguousarray(data[at : at + count * width].reshape(width, count).T).view(kind).ravel()

    lengths = planes(0, tokens, "<u4")
    counts = planes(4 * tokens, tokens, "<u2").astype(np.int64)
    blocks = planes(6 * tokens, postings, "<u2")
    starts = np.zeros(tokens + 1, np.int32)
    np.cumsum(lengths, out=starts[1:])
    text = raw.slice(6 * tokens + 2 * postings)
    return Postings(pa.StringArray.from_buffers(tokens, pa.py_buffer(starts), text), counts, blocks)


def _text(array: pa.StringArray) -> tuple[np.ndarray, np.ndarray]:
    """Return the offsets of an array's values and the bytes that they point into."""
    _, offsets, data = array.buffers()
    starts = np.frombuffer(offsets, np.int32)[array.offset : array.offset + len(array) + 1]
    return starts, np.frombuffer(data, np.uint8) if data is not None else np.zeros(0, np.uint8)


def _postings(tokens: pa.StringArray, blocks: np.ndarray) -> Postings:
    """Gather pairs of token and block, in any order and each once, into postings."""
    encoded = tokens.dictionary_encode()
    words = encoded.dictionary
    order = _sort(words)
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    pairs = (rank[encoded.indices.to_numpy()] << 16) | blocks
    pairs.sort()
    counts = np.bincount(pairs >> 16, minlength=len(words))
    return Postings(words.take(pa.array(order)), counts, (pairs & 0xFFFF).astype(np.uint16))


def _sort(words: pa.StringArray) -> np.ndarray:
    """Return the order of distinct words by their bytes.

    By their first eight bytes as one big-endian integer, which is several times as fast as comparing text; only words
    that share those are compared as text. (No word holds a zero byte, so padding with zeros keeps the order.)
    """
    starts, data = _text(words)
    padded = np.concatenate([data, np.zeros(8, np.uint8)])
    windows = np.ndarray((len(padded) - 7,), ">u8", padded, strides=(1,))
    lengths = np.minimum(np.diff(starts), 8).astype(np.uint64)
    keep = ~np.uint64(0) << ((np.uint64(8) - np.maximum(lengths, np.uint64(1))) * np.uint64(8))
    heads = windows[starts[:-1]].astype(np.uint64) & keep
    order = np.argsort(heads)
    heads = heads[order]
    same = heads[1:] == heads[:-1]
    tied = np.zeros(len(heads), bool)
    tied[1:] |= same
    tied[:-1] |= same
    if tied.any():
        places = order[tied]
        order[tied] = places[pc.sort_indices(words.take(pa.array(places))).to_numpy()]
    return order


def _merged(runs: Sequence[Iterator[Postings]]) -> Iterator[Postings]:
    """Merge ascending runs, a chunk of each in memory: everything up to the least of the chunks' ends is complete."""
    heads = {number: piece for number, run in enumerate(runs) if (piece := _next(run)) is not None}
    while heads:
        least = min(heads, key=lambda number: heads[number].tokens[-1].as_py())
        bound = heads[least].tokens[-1]
        tokens, blocks = [], []
        for number in list(heads):
            piece = heads[number]
            count = pc.sum(pc.less_equal(piece.tokens, bound)).as_py()
            ended = int(piece.counts[:count].sum())
            tokens.append(
                piece.tokens.slice(0, count).take(pa.array(np.repeat(np.arange(count), piece.counts[:count])))
            )
            blocks.append(piece.blocks[:ended])
            rest = Postings(piece.tokens.slice(count), piece.counts[count:], piece.blocks[ended:])
            following = rest if len(rest.tokens) else _next(runs[number])
            if following is None:
                del heads[number]
            else:
                heads[number] = following
        yield _postings(pa.concat_arrays(tokens), np.concatenate(blocks))


def _next(run: Iterator[Postings]) -> Postings | None:
    return next((piece for piece in run if len(piece.tokens)), None)
