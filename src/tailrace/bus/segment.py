"""A segment of the bus: one append-only file of frames.

Bytes, little-endian throughout:

    segment   "TRAILSEG"  version u32 = 1  crc u32  epoch u64  first offset u64, 32 bytes; then frames
    frame     magic u32  crc u32  meta length u32  body length u32  raw length u32  rows u32  first offset u64
              then meta: JSON {"streams": [labels JSON ...], "origins": [[source, first, next, rows, note] ...]}
              then body: one Arrow IPC record batch of ``_WIRE``; raw length is 0, or its size before LZ4
    crc       CRC-32 of everything in the frame behind the crc field; of the segment's head with its own crc as 0

A file is named by its first offset, so a folder of segments needs no list of them. A segment ends where the next
one begins: frames behind that point were written by a commit that failed and were never acknowledged.

Rules. One commit writes exactly one frame, and the next frame is written only after that one is on disk. So a bad
frame with nothing good behind it is a torn end, which nobody was promised; a bad frame with a good one behind it is
damage, and how many records it cost is known from the offsets.
"""

from __future__ import annotations

import os
import struct
import threading
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pyarrow as pa
from pyarrow import ipc

from tailrace.errors import Damaged, DataError
from tailrace.record import SCHEMA, Batch, Origin

_HEAD = struct.Struct("<8sIIQQ")
_MAGIC = b"TRAILSEG"
_FRAME = struct.Struct("<IIIIIIQ")
_FRAME_MAGIC = 0x7A11F8A3
_LZ4_ABOVE_BYTES = 4096
_INDEX_EVERY_BYTES = 256 * 1024
_READ_BYTES = 1024 * 1024
_WIRE = pa.schema([pa.field(field.name, pa.int32()) if field.name == "stream" else field for field in SCHEMA])
_STREAM = SCHEMA.get_field_index("stream")


@dataclass(frozen=True, slots=True)
class Frame:
    """Where one frame lies in its file, and what its header says."""

    position: int
    size: int
    first: int
    rows: int

    @property
    def next(self) -> int:
        """The offset behind the frame's last record."""
        return self.first + self.rows


def encode(batch: Batch) -> bytes:
    """Return the frame of a placed batch."""
    column = batch.array("stream")
    if len(column.dictionary) > len(batch):
        column = column.cast(pa.string()).dictionary_encode()
    arrays = batch.columns.columns
    arrays[_STREAM] = column.indices
    body = pa.RecordBatch.from_arrays(arrays, schema=_WIRE).serialize()
    raw_length = 0
    if body.size > _LZ4_ABOVE_BYTES:
        raw_length, body = body.size, pa.Codec("lz4").compress(body)
    origins = [[o.source, o.first, o.next, o.rows, o.note] for o in batch.origins]
    meta = orjson.dumps({"streams": column.dictionary.to_pylist(), "origins": origins})
    rest = _FRAME.pack(_FRAME_MAGIC, 0, len(meta), body.size, raw_length, len(batch), batch.first.offset)[8:]
    crc = zlib.crc32(body, zlib.crc32(meta, zlib.crc32(rest)))
    return b"".join((struct.pack("<II", _FRAME_MAGIC, crc), rest, meta, body))


def decode(data: bytes | memoryview, epoch: int) -> Batch:
    """Return the batch of one whole frame. Raises Damaged when the bytes are not those that were written."""
    view = memoryview(data)
    magic, crc, meta_length, body_length, raw_length, _, first = _FRAME.unpack_from(view)
    end = _FRAME.size + meta_length + body_length
    if magic != _FRAME_MAGIC or len(view) < end or zlib.crc32(view[8:end]) != crc:
        raise Damaged(f"the frame at offset {first} of the bus is damaged")
    meta = orjson.loads(view[_FRAME.size : _FRAME.size + meta_length])
    body = pa.py_buffer(view[_FRAME.size + meta_length : end])
    if raw_length:
        body = pa.Codec("lz4").decompress(body, raw_length)
    wire = ipc.read_record_batch(body, _WIRE)
    arrays = wire.columns
    arrays[_STREAM] = pa.DictionaryArray.from_arrays(arrays[_STREAM], pa.array(meta["streams"], pa.string()))
    origins = [Origin(*origin) for origin in meta["origins"]]
    return Batch(pa.RecordBatch.from_arrays(arrays, schema=SCHEMA), origins=origins).placed(epoch, first)


def _head(version: int, epoch: int, first: int) -> bytes:
    crc = zlib.crc32(_HEAD.pack(_MAGIC, version, 0, epoch, first))
    return _HEAD.pack(_MAGIC, version, crc, epoch, first)


class Segment:
    """One file of frames. Written by one thread; ``read`` may run in any number of others at the same time."""

    HEAD_BYTES = _HEAD.size

    def __init__(self, path: Path, *, epoch: int, first: int) -> None:
        """Describe a file that exists; ``Segment.create`` and ``Segment.open`` make one."""
        self.path = path
        self.epoch = epoch
        self.first = first
        self.size = _HEAD.size
        self.next = first
        self.abandoned = False
        # A sparse index, offset -> file position, one entry per _INDEX_EVERY_BYTES of the file.
        self._offsets = array("q", [first])
        self._positions = array("q", [_HEAD.size])
        self._indexing = threading.Lock()
        self._fd = -1

    def __del__(self) -> None:
        """Close the file when the last reader of a removed segment has gone."""
        self.close()

    @classmethod
    def create(cls, directory: Path, *, epoch: int, first: int) -> Segment:
        """Make an empty segment, durable in its directory; a failed one of the same name is replaced."""
        path = directory / f"{first:020d}.seg"
        segment = cls(path, epoch=epoch, first=first)
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            write_all(fd, _head(1, epoch, first), 0)
            os.fsync(fd)
            sync_directory(directory)
        except OSError:
            os.close(fd)
            raise
        segment._fd = fd
        return segment

    @classmethod
    def open(cls, path: Path, *, writable: bool = True) -> Segment:
        """Open a file and believe its size; frames are checked when they are read. Raises Damaged, DataError."""
        fd = os.open(path, (os.O_RDWR if writable else os.O_RDONLY) | os.O_CLOEXEC)
        head = os.pread(fd, _HEAD.size, 0)
        _, version, _, epoch, first = _HEAD.unpack(head.ljust(_HEAD.size, b"\0"))
        if head != _head(version, epoch, first):
            os.close(fd)
            raise Damaged(f"{path.name} is not a segment of the bus")
        if version != 1:
            os.close(fd)
            raise DataError(
                f"{path.name} was written by a newer Tailrace (format {version})",
                cure="Use that version or a later one.",
            )
        segment = cls(path, epoch=epoch, first=first)
        segment._fd = fd
        segment.size = os.fstat(fd).st_size
        return segment

    def append(self, frame: bytes, batch: Batch) -> None:
        """Write one frame and wait until it is on disk. After an OSError the segment must be given up."""
        write_all(self._fd, frame, self.size)
        os.fdatasync(self._fd)
        self._index(Frame(self.size, len(frame), batch.first.offset, len(batch)))
        self.size += len(frame)
        self.next = batch.next.offset

    def grown(self) -> None:
        """Look again how large the file is that another process writes."""
        self.size = os.fstat(self._fd).st_size

    def cut(self) -> None:
        """Take back what a failed ``append`` may have left behind the last good frame, if the disk lets us."""
        os.ftruncate(self._fd, self.size)
        os.fdatasync(self._fd)

    def frames(self, position: int) -> Iterator[Frame]:
        """Yield the frames from a file position on, headers only, which may be wrong: who uses one decodes it."""
        while position + _FRAME.size <= self.size:
            window = os.pread(self._fd, _READ_BYTES, position)
            if len(window) < _FRAME.size:
                return
            start = position
            while (at := position - start) + _FRAME.size <= len(window):
                frame = self._frame(window, at, position)
                if frame is None:
                    frame = self._resync(position)
                    if frame is None:
                        return
                yield frame
                position = frame.position + frame.size

    def good(self, position: int) -> Iterator[Frame]:
        """Yield the frames from a file position on that are whole, stepping over damage."""
        return (frame for frame in self.frames(position) if self._decoded(frame) is not None)

    def read(self, offset: int, stop: int, bytes_max: int) -> list[Batch]:
        """Return batches of [offset, stop), about ``bytes_max`` bytes; damaged frames are left out."""
        near = max(bisect_right(self._offsets, offset) - 1, 0)
        found: list[Batch] = []
        size = 0
        for frame in self.frames(self._positions[near]):
            if size >= bytes_max:
                break
            if frame.next <= offset:
                continue
            batch = self._decoded(frame)
            if batch is None:
                continue
            if frame.first >= stop:
                break
            if frame.first < offset or frame.next > stop:
                batch = batch.slice(max(offset - frame.first, 0), min(stop, frame.next) - frame.first)
            found.append(batch)
            size += batch.nbytes
        return found

    def mend(self, position: int) -> list[Frame]:
        """Check every frame from ``position`` on, cut a torn end off, and return the good ones."""
        good = list(self.good(position))
        if good:
            position = good[-1].position + good[-1].size
            self.next = good[-1].next
        if position < self.size:
            self.size = max(position, _HEAD.size)
            self.cut()
        return good

    def origins(self, frame: Frame) -> list[Origin]:
        """Return the origins in a frame that is good."""
        head = os.pread(self._fd, _FRAME.size, frame.position)
        meta = os.pread(self._fd, _FRAME.unpack(head)[2], frame.position + _FRAME.size)
        return [Origin(*origin) for origin in orjson.loads(meta)["origins"]]

    def close(self) -> None:
        """Close the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _decoded(self, frame: Frame) -> Batch | None:
        """Return what is in a frame, or None when it is damaged: then its header may be wrong, too."""
        try:
            batch = decode(os.pread(self._fd, frame.size, frame.position), self.epoch)
        except Damaged:
            return None
        self._index(frame)
        return batch

    def _index(self, frame: Frame) -> None:
        if frame.position >= self._positions[-1] + _INDEX_EVERY_BYTES:
            with self._indexing:
                if frame.position >= self._positions[-1] + _INDEX_EVERY_BYTES:
                    self._positions.append(frame.position)
                    self._offsets.append(frame.first)

    def _frame(self, window: bytes, at: int, position: int) -> Frame | None:
        magic, _, meta_length, body_length, _, rows, first = _FRAME.unpack_from(window, at)
        size = _FRAME.size + meta_length + body_length
        if magic != _FRAME_MAGIC or position + size > self.size or rows == 0:
            return None
        return Frame(position, size, first, rows)

    def _resync(self, position: int) -> Frame | None:
        """Find the next whole frame behind a bad one; None when it is the torn end."""
        magic = struct.pack("<I", _FRAME_MAGIC)
        rest = os.pread(self._fd, self.size - position, position)
        at = rest.find(magic, 1)
        while at >= 0:
            if at + _FRAME.size <= len(rest) and (frame := self._frame(rest, at, position + at)):
                try:
                    decode(rest[at : at + frame.size], self.epoch)
                except (Damaged, ValueError):
                    pass
                else:
                    return frame
            at = rest.find(magic, at + 1)
        return None


def write_all(fd: int, data: bytes, position: int) -> None:
    """Write all of ``data`` at a position of a file; raises OSError (no room, a failing disk)."""
    view = memoryview(data)
    while view:
        written = os.pwrite(fd, view, position)
        view = view[written:]
        position += written


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
