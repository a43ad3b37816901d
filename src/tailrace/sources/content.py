"""The bytes of a file, plain or compressed: who follows a file reads its content by position and need not know which.

Positions are those of the content. So a plain file and its gzip are the same bytes at the same places, and are known as
one by the same hashes.

Gzip (RFC 1952) is unpacked forwards, in pieces, by zlib. What was unpacked last is kept, a window of READ_BYTES; to go
farther back, the state of zlib was copied every UNPACK_EVERY_BYTES (the last few of them; a copy is 45 KB), so a line
of LINE_BYTES_MAX can be read again without beginning at byte 0. Members one behind the other are one content.

  unfinished  Its end is not there yet: what can be unpacked is content, the rest comes when it has been written.
  damaged     Wrong bytes or a wrong checksum: what stands before the damage is content, ``damage`` says what is wrong
              and nothing comes behind it.
  shorter     Fewer packed bytes than were read: Rewritten. Other packed bytes at the same length are not noticed;
              nobody writes into the middle of a gzip file.
"""

from __future__ import annotations

import errno
import os
import zlib
from collections import deque
from typing import Any, Protocol

from tailrace.limits import LINE_BYTES_MAX, PREFIX_BYTES, READ_BYTES, UNPACK_EVERY_BYTES, UNPACKED_AT_ONCE_MAX

_MAGIC = b"\x1f\x8b\x08"
_PACKED_BYTES = 16 * 1024
_PIECE_BYTES = 256 * 1024
_COPIES = LINE_BYTES_MAX // UNPACK_EVERY_BYTES + 2
_WITH_HEADER = 31
_SNIFF_BYTES = 512


class Rewritten(Exception):
    """The bytes before the offset are not those that were read: another content has taken their place."""


class Content(Protocol):
    """The bytes of an open file."""

    fd: int
    packed: bool
    damage: str

    def look(self) -> tuple[int, int]:
        """Return the size (at least; exact once all of it was read) and the time of change in nanoseconds.

        One of them differs when there is more to read. Raises Rewritten, OSError.
        """
        ...

    def pread(self, length: int, offset: int) -> bytes:
        """Return the bytes at ``offset``; fewer than ``length`` only when there are no more for now."""
        ...

    def data_from(self, offset: int) -> int:
        """Return the first place from ``offset`` on that is not in a hole, or the end."""
        ...

    def seal(self, offset: int) -> str:
        """Return what tells a compressed file that is read to its end, at ``offset``, in few bytes; else empty."""
        ...

    @property
    def unfinished(self) -> bool:
        """Whether it is being written by somebody who has not come to its end."""
        ...

    def begin_again(self) -> None:
        """Forget what was read."""
        ...


def content_of(fd: int, path: str) -> Content:
    """Return the content of an open file: gzip by its name or its first bytes, else as it is."""
    return Gzip(fd) if path.endswith(".gz") or os.pread(fd, len(_MAGIC), 0) == _MAGIC else Plain(fd)


def is_text(path: str) -> bool:
    """Tell whether the first bytes of a file have no NUL, unpacked when it is packed. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        content = content_of(fd, path)
        return b"\0" not in content.pread(_SNIFF_BYTES, 0) and not content.damage
    finally:
        os.close(fd)


class Plain:
    """A file as it is."""

    __slots__ = ("fd",)
    packed = False
    unfinished = False
    damage = ""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def look(self) -> tuple[int, int]:
        """Return size and time of change."""
        status = os.fstat(self.fd)
        return status.st_size, status.st_mtime_ns

    def pread(self, length: int, offset: int) -> bytes:
        """Return the bytes at ``offset``."""
        return os.pread(self.fd, length, offset)

    def data_from(self, offset: int) -> int:
        """Return the first place that is not in a hole."""
        try:
            return os.lseek(self.fd, offset, os.SEEK_DATA)
        except OSError as error:
            return os.fstat(self.fd).st_size if error.errno == errno.ENXIO else offset

    def seal(self, offset: int) -> str:
        """Return nothing: there is no cheap way."""
        del offset
        return ""

    def begin_again(self) -> None:
        """Forget what was read."""


class Gzip:
    """A gzip file, unpacked while it is read."""

    __slots__ = ("_at", "_copies", "_full", "_head", "_input", "_taken", "_unpack", "_window", "damage", "fd")
    packed = True

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.begin_again()

    def begin_again(self) -> None:
        """Forget what was read."""
        self.damage = ""
        self._head = b""
        self._copies: deque[tuple[int, int, Any]] = deque(maxlen=_COPIES)
        self._start(0, 0, zlib.decompressobj(_WITH_HEADER))

    def look(self) -> tuple[int, int]:
        """Return size and time of change."""
        status = os.fstat(self.fd)
        if status.st_size < self._taken:
            raise Rewritten
        left = status.st_size - self._taken + len(self._input)
        return self._at + (0 if self.damage else left), status.st_mtime_ns

    @property
    def unfinished(self) -> bool:
        """Whether all that is there was unpacked, and the end is missing."""
        return not self.damage and not self._unpack.eof

    def seal(self, offset: int) -> str:
        """Return what tells that it was read to its end."""
        size = os.fstat(self.fd).st_size
        if offset != self._at or not self._unpack.eof or self.damage or self._input or size != self._taken:
            return ""
        return seal_of(self.fd)

    def data_from(self, offset: int) -> int:
        """Return the first place that is not in a hole."""
        return offset

    def pread(self, length: int, offset: int) -> bytes:
        """Return the bytes at ``offset``."""
        if offset + length <= len(self._head):
            return self._head[offset : offset + length]
        start = self._at - len(self._window)
        if offset < start:
            self._go_back(offset)
            start = self._at
        pieces = [self._window[offset - start :]]
        while self._at < offset + length:
            piece = self._piece()
            if not piece:
                break
            if self._at > offset:
                pieces.append(piece[max(0, offset - self._at + len(piece)) :])
        data = b"".join(pieces)
        self._window = data[-READ_BYTES:]
        return data[:length]

    def _start(self, at: int, taken: int, unpack: Any) -> None:
        self._at, self._taken, self._unpack = at, taken, unpack
        self._input = self._window = b""
        self._full = False

    def _go_back(self, offset: int) -> None:
        """Take the nearest state that was copied before ``offset``."""
        self.damage = ""
        while self._copies and self._copies[-1][0] > offset:
            self._copies.pop()
        if self._copies:
            at, taken, unpack = self._copies[-1]
            self._start(at, taken, unpack.copy())
        else:
            self._start(0, 0, zlib.decompressobj(_WITH_HEADER))

    def _piece(self) -> bytes:
        """Unpack the next bytes; nothing when there are no more for now."""
        while not self.damage:
            if not self._input and not self._full:
                self._input = os.pread(self.fd, _PACKED_BYTES, self._taken)
                if not self._input:
                    return b""
                self._copy()
                self._taken += len(self._input)
            if self._unpack.eof:
                self._input = self._input.lstrip(b"\0")  # a tape's padding
                if not self._input:
                    continue
                self._unpack = zlib.decompressobj(_WITH_HEADER)
            piece = self._unpacked()
            self._full = len(piece) == _PIECE_BYTES and not self._unpack.eof
            self._input = self._unpack.unused_data if self._unpack.eof else self._unpack.unconsumed_tail
            if piece:
                if len(self._head) < PREFIX_BYTES and self._at == len(self._head):
                    self._head += piece[: PREFIX_BYTES - len(self._head)]
                self._at += len(piece)
                return piece
        return b""

    def _copy(self) -> None:
        if not self._unpack.eof and self._at - (self._copies[-1][0] if self._copies else 0) >= UNPACK_EVERY_BYTES:
            self._copies.append((self._at, self._taken, self._unpack.copy()))

    def _unpacked(self) -> bytes:
        before = self._unpack.copy()
        try:
            return self._unpack.decompress(self._input, _PIECE_BYTES)
        except zlib.error as error:
            self.damage = f"the compressed file is damaged, nothing behind byte {self._taken} is read: {error}"
        # zlib keeps for itself what it has unpacked before the damage, unless it is fed byte by byte.
        pieces = []
        try:
            for place in range(len(self._input)):
                pieces.append(before.decompress(self._input[place : place + 1]))  # noqa: PERF401 - those before a fault
        except zlib.error:
            pass
        return b"".join(pieces)


class Unpacking:
    """The packed files that are read now, of which there are so many at most: each holds some memory."""

    def __init__(self) -> None:
        self._keys: set[tuple[int, int]] = set()

    def may(self, key: tuple[int, int]) -> bool:
        """Tell whether a file may be read now."""
        if len(self._keys) < UNPACKED_AT_ONCE_MAX:
            self._keys.add(key)
        return key in self._keys

    def done(self, key: tuple[int, int]) -> None:
        """Let another one be read."""
        self._keys.discard(key)


def seal_of(fd: int) -> str:
    """Return the size of a gzip file and its last bytes, which are the checksum of the content and its length."""
    size = os.fstat(fd).st_size
    return f"{size:x}-{os.pread(fd, 8, max(0, size - 8)).hex()}"
