"""One followed file: its identity, and reading it block by block.

Identity. A path is not a file, an inode is used again, and two files may begin alike; so a file is (device, inode), a
hash of its first bytes (up to PREFIX_BYTES, fewer while it is shorter) and a hash of the MARK_BYTES before the offset.
While it is open its inode cannot be used again. Each *generation* of content has a name for ever:
``file:dev-inode-born``, where ``born`` is when it was first seen, in nanoseconds.

Reading. Every read takes the bytes before the offset along and compares them with what was read there: a file that was
truncated and has grown past the offset again is found out on the next read, and begins a new generation at byte 0.

The bytes are those of the content (content.py): a file that was compressed meanwhile goes on at the same place under
the same name, for it has the same first bytes and the same ones before the offset.

Lines. A line is given out when its newline is there. A last line without one waits; it is given out when the file was
quiet for PARTIAL_QUIET_S, and what is written later becomes a record of its own (a newline alone is not one). A line
longer than LINE_BYTES_MAX is cut there, between characters, and goes on as the next record. Memory: one block, or one
line while a long one is taken. The encoding says what a newline is; a byte order mark, which is read again after a
restart and belongs to no line, says more than the configuration does.

Holes. A writer that does not append leaves a hole where its file was truncated under it; so does a machine that loses
its power. A run of at least HOLE_BYTES_MIN NULs is no line and no part of one: it is stepped over and counted
(``hole_bytes``), what stands before it is a line of its own, and the next one begins behind it. A run that reaches the
end of the file is room that was reserved and may still be filled: it waits. Shorter runs are part of their line.

Events. Lines that may be the beginning of a longer event (a stack trace) are given back by who understands them: the
offset returns to where the event began, and they come again with what was written behind them, or, as ``ended``, when
the file was quiet for EVENT_QUIET_S or they have waited for EVENT_S_MAX. So no open event is acknowledged in part. They
do not wait for a line that is longer than a block.
"""

from __future__ import annotations

import codecs
import os
import time
from collections.abc import Mapping
from dataclasses import replace

import msgspec
import numpy as np
import pyarrow as pa

from tailrace.limits import (
    BATCH_ROWS_MAX,
    EVENT_QUIET_S,
    EVENT_S_MAX,
    HOLE_BYTES_MIN,
    LINE_BYTES_MAX,
    MARK_BYTES,
    PARTIAL_QUIET_S,
    POLL_NOTIFIED_S_MIN,
    POLL_S_MAX,
    POLL_S_MIN,
    POLL_TOLD_S_MAX,
    PREFIX_BYTES,
    READ_BYTES,
)
from tailrace.lines import PLAIN, Lines, Steps
from tailrace.pipeline.decode import UTF8, encoding_of, newline_of
from tailrace.record import Origin, Stream
from tailrace.sources import container
from tailrace.sources.content import Content, Rewritten
from tailrace.sources.entry import Entry
from tailrace.sources.known import Known, Note, hash_of, names_of
from tailrace.sources.split import split
from tailrace.sources.waiting import Waiting
from tailrace.sources.wide import find, mark_of, split_wide

_HOLE = bytes(HOLE_BYTES_MIN)


class FollowedFile:
    """An open file and the place in it; used by one thread."""

    __slots__ = (
        "_first",
        "_head",
        "_held",
        "_held_bytes",
        "_mark",
        "_mtime_ns",
        "_newline",
        "_order",
        "_prefix",
        "_reserved",
        "_searched",
        "acked",
        "before",
        "carries",
        "changed",
        "content",
        "due",
        "empty",
        "entry",
        "error",
        "first_path",
        "gone",
        "hole_bytes",
        "key",
        "lines",
        "more",
        "name",
        "notified",
        "offset",
        "opened",
        "path",
        "place",
        "read_ns",
        "real",
        "reported",
        "size",
        "steps",
        "stream",
        "unwanted",
        "waiting",
    )

    def __init__(
        self, content: Content, path: str, stream: Stream, key: tuple[int, int], born_ns: int, *, steps: Steps = PLAIN
    ) -> None:
        self.content = content
        self.path = path
        self.first_path = path
        self.real = ""
        self.stream = stream
        self.steps = steps
        self.key = key
        self.name = _name(key, born_ns)
        self.offset = 0
        self.acked = 0
        self.size = -1
        self.lines = 0
        self.error = ""
        self.gone = False
        self.entry = ""
        self.place: Mapping[str, str] = {}
        self.unwanted = False
        self.waiting = Waiting()
        self.read_ns = 0
        self.notified = False
        self.reported = False
        self.opened = born_ns
        self._reserved = False
        self.hole_bytes = 0
        self.due = 0.0
        self.changed = 0.0
        self.more = False
        self.empty = False
        self.before: FollowedFile | None = None
        self.carries: FollowedFile | None = None
        self._held: tuple[int, float] | None = None
        self._held_bytes = 0
        self._order: tuple[bytes, str] | None = None
        self._newline = b"\n"
        self._head = b""
        self._searched = 0
        self._mark = b""
        self._mtime_ns = -1
        self._prefix = (0, hash_of(b""))
        self._first = b""

    def dress(self, entry: Entry) -> None:
        """Read on as this entry wishes."""
        self.unwanted = False
        self.entry = entry.path
        self.steps = entry.steps
        self.stream = Stream.of({**self.place, **entry.labels})

    @property
    def paths(self) -> list[str]:
        """The names that it, and its log, are known by."""
        return names_of(self.path, self.first_path, self.real)

    def is_at_path(self) -> bool:
        """Tell whether it is still where it was found."""
        try:
            status = os.stat(self.path)
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self.key

    def resume(self, known: Known) -> None:
        """Go on where a verified generation was left."""
        self.name = known.name
        self.first_path = known.note.path
        self.real = self.real or known.note.real
        self.seek(known.offset)
        self.acked = known.offset
        # Not read again: after a truncation the first bytes that were read may be gone, but are still to be told.
        self._prefix = (known.note.prefix_bytes, known.note.prefix)

    def seek(self, offset: int) -> None:
        """Read on from ``offset``."""
        self.offset = self._searched = offset
        self._mark = self.content.pread(min(MARK_BYTES, offset), max(0, offset - MARK_BYTES))
        self._mtime_ns = -1

    def line_after(self, offset: int, size: int) -> int:
        """Return where the first line begins that begins at ``offset`` or behind; ``size`` when there is none."""
        self._know_encoding()
        width = len(self._newline)
        if offset == 0:
            return 0
        place = max(0, offset // width * width - width)
        while block := self.content.pread(READ_BYTES, place):
            end = find(block, self._newline)
            if end >= 0:
                return place + end + width
            if len(block) < width:
                break
            place += len(block) // width * width
        return size

    @property
    def held(self) -> bool:
        """Whether lines were given back that wait for the rest of their event."""
        return self._held is not None and self._held[0] == self.offset

    def give_back(self, offset: int, rows: int, now_s: float) -> str:
        """Take the last lines back, from ``offset`` on: they come again, with what belongs to them or as ``ended``.

        Returns the note of an origin that ends there.
        """
        self._held_bytes = self.offset - offset
        self.offset = self._searched = offset
        self._mark = self.content.pread(min(MARK_BYTES, offset), max(0, offset - MARK_BYTES))
        self.lines -= rows
        if self._held is None or self._held[0] != offset:
            self._held = offset, now_s
        return msgspec.json.encode(self._note()).decode()

    def is_read(self) -> bool:
        """Tell whether everything that is there now was read."""
        try:
            return self.offset == self.size and self.content.look() == (self.size, self._mtime_ns)
        except Rewritten:
            return False

    def rest_s(self, quiet_s: float) -> float:
        """Return how long it is left alone when there is nothing to read."""
        if self.reported and self.offset == self.size and not self.held:
            spread = 1 - self.key[1] % 256 / 1024  # so that files that were found together are not polled together
            return min(max(quiet_s, POLL_NOTIFIED_S_MIN), POLL_TOLD_S_MAX * spread)
        return min(max(quiet_s / 10, POLL_NOTIFIED_S_MIN if self.notified else POLL_S_MIN), POLL_S_MAX)

    def known(self) -> Known:
        """Return what a later life needs to go on here."""
        return Known(self.name, self.offset, self._note())

    def begin_again(self, before_ns: int) -> None:
        """Take the content for a new generation, from its first byte; the one before was born at ``before_ns``.

        It is born when the old content was last seen to change, not when that was missed: it may have been written, and
        copied, before.
        """
        self.content.begin_again()
        self.name = _name(self.key, max(self._mtime_ns, before_ns + 1))
        self.offset = self.acked = self._searched = 0
        self.waiting = Waiting()
        self._mark = b""
        self._mtime_ns = -1
        self._prefix = (0, hash_of(b""))
        self._first = b""
        self._held = None
        self._order = None

    def read(self, now_s: float, observed_ns: int, *, alone: bool = True) -> Lines | None:
        """Return the next lines, or None when there is no complete one; ``more`` tells whether to come back at once.

        ``alone``: there is no newer generation in which the event at its end may go on.
        Raises Rewritten when the content was replaced, OSError when it cannot be read.
        """
        if self.empty:  # whoever finds out what its first bytes are has not yet
            self.size = max(self.size, 0)
            return None
        size, mtime_ns = self.content.look()
        if size < self.offset:
            raise Rewritten
        if not self.more and size == self.size and mtime_ns == self._mtime_ns:
            return self._last_line(now_s, observed_ns, alone=alone)
        self.changed = now_s
        self.size = size
        self.waiting.saw(self.size, self.acked, now_s)
        intact_ns, self._mtime_ns = self._mtime_ns, mtime_ns
        self._reserved = False
        if self._searched > self.size:
            self._searched = self.offset
        self._know_encoding()
        try:
            block = self._block(READ_BYTES) if self._searched == self.offset else self._long_line()
        except Rewritten:
            self._mtime_ns = intact_ns
            raise
        ended = self.held and self._held is not None and now_s - self._held[1] > EVENT_S_MAX
        return None if block is None else self._take(block, observed_ns, ended=ended)

    def _know_encoding(self) -> None:
        """Find out what a newline is, and keep the comment that a file may begin with."""
        if self._order is None or self.offset == 0:
            head = self.content.pread(PREFIX_BYTES, 0)
            self._order = mark_of(head)
            self._head = head if head.startswith(b"#") else b""
        self._newline = newline_of(self._encoding())

    def _encoding(self) -> str:
        return (self._order and self._order[1]) or encoding_of(self.steps.encoding)

    def _block(self, bytes_max: int) -> bytes:
        before = len(self._mark)
        data = self.content.pread(before + bytes_max, self.offset - before)
        if data[:before] != self._mark:
            raise Rewritten
        self.more = bytes_max > 0 and len(data) == before + bytes_max
        return data[before:]

    def _long_line(self) -> bytes | None:
        """Look for the end of a line longer than a block, without keeping it; then return all of it."""
        piece = self.content.pread(READ_BYTES, self._searched)
        end = find(piece, self._newline)
        width = len(self._newline)
        self._searched += len(piece) // width * width if end < 0 else end + width
        length = self._searched - self.offset
        self.more = len(piece) == READ_BYTES
        if length > LINE_BYTES_MAX:
            return self._block(LINE_BYTES_MAX)
        if end < 0:
            if not piece:
                self._block(0)
            return None
        return self._block(length)

    def _take(self, block: bytes, observed_ns: int, *, ended: bool) -> Lines | None:
        """Make lines of a block that begins at the offset."""
        hole = block.find(_HOLE)
        if hole >= 0:
            hole += -hole % len(self._newline)  # the last NUL before it may be a half of a character
            return self._before_hole(block, hole, observed_ns, ended=ended)
        skip = self._skipped(block)
        text = block[skip:] if skip else block
        wide = len(self._newline) > 1
        lines, begins, taken = split_wide(text, BATCH_ROWS_MAX, self._newline) if wide else split(text, BATCH_ROWS_MAX)
        if taken:
            self.more |= taken + skip < len(block) and len(lines) == BATCH_ROWS_MAX
            ended |= self.held and taken + skip == self._held_bytes and len(block) >= READ_BYTES
            return self._lines(lines, begins + skip, block[: taken + skip], observed_ns, ended=ended, size=len(block))
        if len(block) >= LINE_BYTES_MAX:
            return self._unended(_whole_characters(block, self._encoding()), observed_ns)
        if skip == len(block):
            self._advance(block)
        else:
            self._searched = self.offset + len(block) // len(self._newline) * len(self._newline)
        return None

    def _before_hole(self, block: bytes, hole: int, observed_ns: int, *, ended: bool) -> Lines | None:
        """Return the lines before a hole; when there are none, step over it."""
        end = self._hole_end(self.offset + hole)
        self.more = end is not None
        if find(block[:hole], self._newline) >= 0:
            return self._take(block[:hole], observed_ns, ended=ended)
        if hole and (end is not None or ended):
            return self._unended(block[:hole], observed_ns)
        self._searched = self.offset
        self._reserved = end is None and not hole
        if end is not None:
            self.hole_bytes += end - self.offset
            self.offset = self._searched = end
            self._mark = self.content.pread(min(MARK_BYTES, end), max(0, end - MARK_BYTES))
        return None

    def _hole_end(self, place: int) -> int | None:
        """Return where the first byte behind a run of NULs is; None when it reaches the end of the file."""
        while True:
            place = self.content.data_from(place)
            piece = self.content.pread(READ_BYTES, place)
            if not piece:
                return None
            if piece != bytes(len(piece)):
                end = place + len(piece) - len(piece.lstrip(b"\0"))
                return end - end % len(self._newline)
            place += len(piece)

    def _skipped(self, block: bytes) -> int:
        """Return how many bytes at the offset belong to no line.

        They are a byte order mark, or the newline of a line that was given out without it.
        """
        if self.offset == 0:
            return len(mark_of(block)[0])
        newline = self._newline
        if self._mark.endswith(newline):
            return 0
        returned = newline.replace(b"\n", b"\r") + newline
        return next((len(one) for one in (newline, returned) if block.startswith(one)), 0)

    def _last_line(self, now_s: float, observed_ns: int, *, alone: bool) -> Lines | None:
        """Return what was held back, then the last line without its newline, once nobody seems to go on with it."""
        quiet = now_s - self.changed
        if self._reserved or self.offset >= self.size or quiet < (EVENT_QUIET_S if self.held else PARTIAL_QUIET_S):
            return None
        if self.held:
            if not alone and quiet < EVENT_S_MAX:
                return None
            return self._take(self._block(READ_BYTES), observed_ns, ended=True)
        block = self._block(min(self.size - self.offset, LINE_BYTES_MAX))
        self.more = False
        skip = self._skipped(block)
        if find(block[skip:], self._newline) >= 0 or _HOLE in block or skip == len(block):
            return self._take(block, observed_ns, ended=True)
        whole = len(block) // len(self._newline) * len(self._newline)
        return self._unended(block[:whole], observed_ns) if whole > skip else None

    def _unended(self, block: bytes, observed_ns: int) -> Lines:
        skip = self._skipped(block)
        line = pa.array([block[skip:]], pa.binary())
        return self._lines(line, np.array([skip], np.int64), block, observed_ns, ended=True, size=len(block))

    def _lines(
        self, lines: pa.BinaryArray, begins: np.ndarray, taken: bytes, observed_ns: int, *, ended: bool, size: int
    ) -> Lines:
        first = self.offset
        if ended:
            self._held = None
        self._advance(taken)
        self.lines += len(lines)
        self.read_ns = observed_ns
        note = msgspec.json.encode(self._note()).decode()
        origin = Origin(self.name, first, self.offset, len(lines), note)
        more = self.more or len(taken) < size
        marked = self._order is not None and self._order[1]
        steps = replace(self.steps, encoding=marked) if marked else self.steps
        return Lines(lines, begins + first, self.stream, observed_ns, origin, steps, ended, more, self._head)

    def _advance(self, taken: bytes) -> None:
        if self.offset <= len(self._first) < PREFIX_BYTES:
            self._first = self._first[: self.offset] + taken[: PREFIX_BYTES - self.offset]
        self.offset += len(taken)
        self._searched = self.offset
        self._mark = (self._mark + taken[-MARK_BYTES:])[-MARK_BYTES:]

    def _note(self) -> Note:
        length = min(PREFIX_BYTES, self.offset)
        if self._prefix[0] != length:
            # Of what was read, not of what is there now: it may have been truncated since.
            known = len(self._first) >= length
            self._prefix = (length, hash_of(self._first[:length] if known else self.content.pread(length, 0)))
            if length == PREFIX_BYTES:
                self._first = b""
        return Note(self.first_path, *self._prefix, hash_of(self._mark), self.content.seal(self.offset), self.real)


def found_file(content: Content, path: str, key: tuple[int, int], host: str, first_path: str) -> FollowedFile:
    """Return an open file that was found now, with the labels of its place: where its log was first found."""
    real = os.path.realpath(path)
    place = Stream.of({"host": host, "path": os.path.abspath(first_path), **container.labels_of(real)})
    file = FollowedFile(content, path, place, key, time.time_ns())
    if os.path.islink(path):
        file.real = real
    file.place = place.labels
    return file


def _whole_characters(block: bytes, encoding: str) -> bytes:
    """Cut a block so that it does not end inside a character."""
    if encoding != UTF8:
        decoder = codecs.getincrementaldecoder(encoding)("replace")
        decoder.decode(block)
        rest = decoder.getstate()[0]
        return block[: -len(rest)] if rest else block
    for back in range(1, min(4, len(block)) + 1):
        byte = block[-back]
        if byte & 0xC0 != 0x80:  # the first byte of a character
            length = 1 if byte < 0xC0 else 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return block if length <= back else block[:-back]
    return block


def _name(key: tuple[int, int], born_ns: int) -> str:
    return f"file:{key[0]:x}-{key[1]:x}-{born_ns:x}"
