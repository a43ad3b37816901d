"""Tallies: how many records of each level there are in a set, and the digest of the set, as one number.

The digest proves that two sets of records are the same without sending either. Of a record whose cursor has the offset
n and whose message has the CRC-32 c (in UTF-8; 0 without a message):

    h = (n * 0x9E3779B97F4A7C15 + c * 0xC2B2AE3D27D4EB4F) mod 2^64,  h = h xor (h >> 32)

The digest is the sum of all h mod 2^64, written as 16 hex digits. The order does not matter, because cursors carry it,
and the digests of disjoint sets add up. It finds what was lost, doubled or changed by accident; it is no signature.

A tally is a Python integer, so that what thousands of tails are handed is counted with one addition for each:

    bits 0 to 335    seven lanes of 48 bits: the records of each level, in the order of ``Level``
    bits 336 and up  the sum of their hashes

The sum of the tallies of disjoint sets is the tally of their union.
"""

from __future__ import annotations

from itertools import pairwise
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.record import LEVEL_NAMES

NOTHING = 0
"""The tally of no records."""
NAMES = tuple(name or "none" for name in LEVEL_NAMES)
"""The lanes: the names of the levels, and ``none`` for records of which nobody said it."""
_LANE = 48
_LANES = len(NAMES)
_DIGEST = _LANE * _LANES
_MASK = (1 << _LANE) - 1
_OF_OFFSET = np.uint64(0x9E3779B97F4A7C15)
_OF_MESSAGE = np.uint64(0xC2B2AE3D27D4EB4F)
_FOLD = np.uint64(32)


def hashes(offsets: np.ndarray, messages: pa.StringArray) -> np.ndarray:
    """Return the h of each record as a uint64 array, from int64 offsets and as many messages."""
    if messages.null_count:
        messages = pc.fill_null(messages, "")
    crcs = np.zeros(len(messages), np.uint64)
    _, ends, data = messages.buffers()
    if data is not None and len(messages):
        view = memoryview(data)
        bounds = np.frombuffer(ends, np.int32)[messages.offset : messages.offset + len(messages) + 1].tolist()
        # A Python loop over records, of those that leave the system: a third of a microsecond each.
        crcs[:] = [crc32(view[begin:end]) for begin, end in pairwise(bounds)]
    mixed = offsets.astype(np.uint64) * _OF_OFFSET + crcs * _OF_MESSAGE
    return mixed ^ (mixed >> _FOLD)


def tally(levels: np.ndarray, mixed: np.ndarray) -> int:
    """Return the tally of records with these levels (uint8) and ``hashes``."""
    total = int(mixed.sum()) << _DIGEST
    for level, count in enumerate(np.bincount(levels, minlength=_LANES).tolist()):
        total += count << (_LANE * level)
    return total


def by_level(total: int) -> list[int]:
    """Return how many records of each level a tally counts, in the order of ``Level``."""
    return [(total >> (_LANE * level)) & _MASK for level in range(_LANES)]


def count(total: int) -> int:
    """Return how many records a tally counts."""
    return sum(by_level(total))


def digest(total: int) -> str:
    """Return the digest of a tally's records."""
    return f"{(total >> _DIGEST) & 0xFFFFFFFFFFFFFFFF:016x}"


def named(total: int) -> dict[str, int]:
    """Return how many records of each level a tally counts, by NAMES, without zeros."""
    return {name: number for name, number in zip(NAMES, by_level(total), strict=True) if number}
