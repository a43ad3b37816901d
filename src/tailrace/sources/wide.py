"""Lines of UTF-16 and UTF-32: a newline is two or four bytes, at a multiple of them from the beginning of the block.

A byte 0x0A alone means nothing there (it is half of U+0A41), so that newlines are looked for in columns of units.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
"""Byte order marks (Unicode 16, 23.8) and what they say; the longer one of two that begin alike first."""


def mark_of(head: bytes) -> tuple[bytes, str]:
    """Return the byte order mark that a file begins with, and its encoding; both empty without one."""
    return next(((mark, encoding) for mark, encoding in MARKS if head.startswith(mark)), (b"", ""))


def find(block: bytes, newline: bytes) -> int:
    """Return where the first newline stands that is at a multiple of its own length, or -1."""
    place = block.find(newline)
    while place >= 0 and place % len(newline):
        place = block.find(newline, place + 1)
    return place


def split_wide(block: bytes, lines_max: int, newline: bytes) -> tuple[pa.BinaryArray, np.ndarray, int]:
    r"""Return what ``split`` returns, of a block of UTF-16 or UTF-32 that begins with a whole unit.

    A line ends with ``newline`` (two or four bytes), which is left out, and so is one ``\r`` before it. What follows
    the last newline is not taken, and neither is a unit of which a part is missing.
    """
    width = len(newline)
    kind = np.dtype("<u2" if width == 2 else "<u4")
    units = np.frombuffer(block, kind, len(block) // width)
    ends = np.flatnonzero(units == np.frombuffer(newline, kind)[0])[:lines_max]
    if not len(ends):
        return pa.array([], pa.binary()), np.zeros(0, np.int64), 0
    begins = np.concatenate([[0], ends[:-1] + 1])
    returned = newline.replace(b"\n", b"\r")
    stops = ends - ((ends > begins) & (units[np.maximum(ends - 1, 0)] == np.frombuffer(returned, kind)[0]))
    taken = (int(ends[-1]) + 1) * width
    # Every second piece of the block is a line, the others are what ends them.
    edges = np.empty(2 * len(ends) + 1, np.int32)
    edges[:-1:2], edges[1::2], edges[-1] = begins * width, stops * width, taken
    pieces = pa.BinaryArray.from_buffers(pa.binary(), 2 * len(ends), [None, pa.py_buffer(edges), pa.py_buffer(block)])
    lines = pc.take(pieces, pa.array(np.arange(0, 2 * len(ends), 2)))
    return lines, begins.astype(np.int64) * width, taken
