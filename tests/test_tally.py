"""Tallies: counts by level and a digest, in one number that adds up."""

from __future__ import annotations

from zlib import crc32

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tailrace.tally import NOTHING, by_level, count, digest, hashes, named, tally

RECORDS = st.lists(st.tuples(st.integers(0, 2**40), st.integers(0, 6), st.text(max_size=8) | st.none()), max_size=20)


def of(records: list[tuple[int, int, str | None]]) -> int:
    offsets = np.array([record[0] for record in records], np.int64)
    messages = pa.array([record[2] for record in records], pa.string())
    return tally(np.array([record[1] for record in records], np.uint8), hashes(offsets, messages))


def by_hand(records: list[tuple[int, int, str | None]]) -> str:
    """The digest as its definition says, in plain arithmetic."""
    total = 0
    for offset, _, message in records:
        h = offset * 0x9E3779B97F4A7C15 + crc32((message or "").encode()) * 0xC2B2AE3D27D4EB4F
        h %= 2**64
        total += h ^ (h >> 32)
    return f"{total % 2**64:016x}"


@given(RECORDS)
def test_the_digest_is_what_its_definition_says(records: list[tuple[int, int, str | None]]) -> None:
    assert digest(of(records)) == by_hand(records)


@given(RECORDS, RECORDS)
def test_tallies_of_two_sets_add_up(one: list, other: list) -> None:
    # A digest may wrap around within one tally and not in the sum of two: what counts is what is read of them.
    both, apart = of(one + other), of(one) + of(other)
    assert (by_level(both), digest(both)) == (by_level(apart), digest(apart))


@given(RECORDS)
def test_a_slice_of_a_column_is_hashed_like_a_column_of_its_own(records: list) -> None:
    messages = pa.array(["before", *[record[2] for record in records], "after"], pa.string())
    offsets = np.array([record[0] for record in records], np.int64)
    of_slice = hashes(offsets, messages[1:-1])
    assert of_slice.tolist() == hashes(offsets, pa.array([record[2] for record in records], pa.string())).tolist()


def test_levels_are_counted_by_their_names() -> None:
    total = of([(1, 0, "a"), (2, 5, "b"), (3, 5, "c")])
    assert (count(total), named(total)) == (3, {"none": 1, "error": 2})
    assert (count(NOTHING), named(NOTHING), digest(NOTHING)) == (0, {}, "0" * 16)


def test_one_changed_letter_changes_the_digest() -> None:
    assert digest(of([(1, 0, "payment")])) != digest(of([(1, 0, "paymenu")]))
