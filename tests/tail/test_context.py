"""``grep -C`` in a stream that does not end, against the plain form of it."""

from __future__ import annotations

from itertools import pairwise
from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.record import Batch, Stream
from tailrace.tail.context import Context
from tests.tail.watching import grep

MODULE = "tailrace.tail.context"
EPOCH = 0x7F3A


def spoken(lines: list[tuple[str, bool]], offset: int = 0) -> tuple[Batch, np.ndarray]:
    """Records of these (service, whether it matches), from ``offset`` on."""
    names = sorted({service for service, _ in lines}, reverse=True)
    streams = [Stream.of({"service": name}).json for name in names]

    codes = pa.array([names.index(service) for service, _ in lines], pa.int32())
    batch = Batch.of(
        time=[0] * len(lines),
        observed=[0] * len(lines),
        level=[3] * len(lines),
        stream=pa.DictionaryArray.from_arrays(codes, pa.array(streams, pa.string())),
        message=[f"line {offset + row}" for row in range(len(lines))],
    )
    return batch.placed(EPOCH, offset), np.array([hit for _, hit in lines], bool)


def shown(context: Context, lines: list[tuple[str, bool]], first: int, stop: int) -> list[tuple[int, int, bool]]:
    batch, hits = spoken(lines[first:stop], first)
    near = context.near(batch, hits)
    offsets = near.batch.offsets
    assert offsets is not None
    return list(zip(near.sent_at.tolist(), offsets[near.rows].tolist(), near.hits.tolist(), strict=True))


LINES = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([False, False, False, True])), max_size=60)


@settings(max_examples=150, deadline=None)
@given(LINES, st.integers(1, 4), st.lists(st.integers(0, 60)), st.integers(3, 40), st.integers(0, 9))
def test_it_is_grep_of_each_stream_however_the_records_are_cut(
    lines: list[tuple[str, bool]], around: int, cuts: list[int], rows_max: int, waiting: int
) -> None:
    found: list[tuple[int, int, bool]] = []
    with (
        mock.patch(f"{MODULE}.TAIL_CONTEXT_LOOKBACK_ROWS", rows_max),
        mock.patch(f"{MODULE}.TAIL_CONTEXT_WAIT_ROWS", waiting),
    ):
        context = Context(around)
        places = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
        for first, stop in pairwise(places):
            found += shown(context, lines, first, stop)
    assert found == grep(lines, around, rows_max)


@settings(max_examples=150, deadline=None)
@given(LINES, st.integers(1, 4), st.integers(0, 60), st.integers(3, 12))
def test_it_goes_on_in_the_middle_from_what_lies_twice_the_look_back_before(
    lines: list[tuple[str, bool]], around: int, place: int, rows_max: int
) -> None:
    place = min(place, len(lines))
    with mock.patch(f"{MODULE}.TAIL_CONTEXT_LOOKBACK_ROWS", rows_max):
        context = Context(around)
        shown(context, lines, max(0, place - 2 * rows_max), place)
        found = shown(context, lines, place, len(lines))
    assert found == [one for one in grep(lines, around, rows_max) if one[0] >= place]


def test_lines_too_many_bytes_away_are_no_context() -> None:
    lines = [("a", False), ("b", False), ("a", False), ("a", True), ("b", False), ("b", False), ("a", False)]
    with mock.patch(f"{MODULE}.TAIL_CONTEXT_BYTES_MAX", 2 * len("line 0")):
        assert [row for _, row, _ in shown(Context(5), lines, 0, len(lines))] == [2, 3]


def test_it_keeps_no_more_than_the_lines_it_may_need() -> None:
    context = Context(2)
    with mock.patch(f"{MODULE}.TAIL_CONTEXT_WAIT_ROWS", 100):
        for turn in range(50):
            shown(context, [("a", False), ("b", turn == 7)] * 40 * 50, 80 * turn, 80 * (turn + 1))
    assert context._kept is not None
    assert (len(context._kept), sum(map(len, context._waiting)) <= 100) == (4, True)
