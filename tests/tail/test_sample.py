"""Sampling: what passes, of what."""

from __future__ import annotations

from itertools import pairwise
from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.limits import TAIL_RARE_S, TAIL_RARE_TIMES
from tailrace.record import Level
from tailrace.tail.sample import Sampler

SECOND = 1_000_000_000


def passed(sampler: Sampler, observed: list[int], messages: list[str], levels: list[int] | None = None) -> list[int]:
    """The indices of what is shown of these."""
    given_levels = np.array(levels or [3] * len(messages), np.uint8)
    return np.flatnonzero(sampler.passes(np.array(observed, np.int64), given_levels, pa.array(messages))).tolist()


def in_second(second: int, count: int) -> list[int]:
    return [second * SECOND + row * SECOND // count for row in range(count)]


Line = tuple[int, int, str]
LINES: st.SearchStrategy[list[Line]] = st.lists(
    st.tuples(
        st.integers(0, 4 * SECOND - 1),
        st.sampled_from([0, 3, 3, 3, 3, 4, 5]),
        st.sampled_from(["a 1", "a 2", "b", "c"]),
    ),
    max_size=80,
)


@settings(max_examples=150, deadline=None)
@given(LINES, st.integers(1, 10), st.lists(st.integers(1, 79)), st.booleans())
def test_warnings_pass_and_of_the_rest_no_more_than_twice_the_bound_in_a_second(
    lines: list[Line], rate_max: int, cuts: list[int], in_order: bool
) -> None:
    lines = sorted(lines) if in_order else lines
    sampler = Sampler(rate_max)
    shown: list[Line] = []
    places = sorted({0, len(lines), *(cut for cut in cuts if cut < len(lines))})
    for first, stop in pairwise(places):
        part = lines[first:stop]
        rows = passed(sampler, [line[0] for line in part], [line[2] for line in part], [line[1] for line in part])
        shown += [part[row] for row in rows]
    assert [line for line in shown if line[1] >= Level.WARN] == [line for line in lines if line[1] >= Level.WARN]
    for second in range(4):
        ordinary = [line for line in shown if line[1] < Level.WARN and line[0] // SECOND == second]
        assert len(ordinary) <= 2 * rate_max


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 20), max_size=8), st.lists(st.integers(1, 159)))
def test_seconds_that_are_not_busy_pass_whole(counts: list[int], cuts: list[int]) -> None:
    observed = [time for second, count in enumerate(counts) for time in in_second(second, count)]
    sampler, shown = Sampler(20), 0
    places = sorted({0, len(observed), *(cut for cut in cuts if cut < len(observed))})
    for first, stop in pairwise(places):
        shown += len(passed(sampler, observed[first:stop], ["x"] * (stop - first)))
    assert shown == len(observed)


def test_of_a_busy_second_as_many_pass_as_may_spread_over_it() -> None:
    sampler = Sampler(10)
    passed(sampler, in_second(0, 1_000), ["x"] * 1_000)
    times = in_second(1, 1_000)
    shown: list[int] = []
    for first in range(0, 1_000, 25):
        rows = passed(sampler, times[first : first + 25], ["x"] * 25)
        shown += [first + row for row in rows]
    assert len(shown) == 10
    assert max(other - one for one, other in pairwise(shown)) <= 125


def test_of_one_large_step_the_ones_that_pass_are_spread() -> None:
    sampler = Sampler(10)
    with mock.patch("tailrace.tail.sample.TAIL_RARE_TIMES", 0):
        shown = passed(sampler, in_second(0, 1_000), ["x"] * 1_000)
    assert shown == list(range(50, 1_000, 100))


def test_a_quiet_second_behind_a_busy_one_passes_as_its_time_does() -> None:
    sampler = Sampler(10)
    passed(sampler, in_second(0, 1_000), ["x"] * 1_000)
    assert passed(sampler, [SECOND + SECOND // 2], ["x"]) == [0]


def test_a_rare_shape_passes_the_first_few_times_in_a_while() -> None:
    sampler = Sampler(10)
    for second in (1, 2, 2 + 2 * TAIL_RARE_S):
        passed(sampler, in_second(second, 2_000), ["x 1"] * 2_000)
        messages = ["x 1"] * 2_000
        for row in range(3, 93, 10):
            messages[row] = f"new {row}"
        rare = [row for row in passed(sampler, in_second(second, 2_000), messages) if messages[row] != "x 1"]
        assert len(rare) == (0 if second == 2 else TAIL_RARE_TIMES)


def test_shapes_that_never_come_again_cannot_outrun_the_bound() -> None:
    sampler = Sampler(10)
    words = ["".join(chr(97 + int(digit)) for digit in str(row)) for row in range(3_000)]
    assert len(passed(sampler, in_second(0, 3_000), words)) == 20


def test_clocks_that_differ_share_the_sampler() -> None:
    sampler = Sampler(10)
    shown = 0
    for _ in range(50):
        shown += len(passed(sampler, [0] * 10 + [3_600 * SECOND] * 10, ["x"] * 20))
    assert shown <= 2 * 2 * 10


def test_what_is_known_of_the_past_is_bounded() -> None:
    sampler = Sampler(10)
    for second in range(0, 2_000, 2):
        passed(
            sampler, [second * SECOND] * 30, [f"{chr(97 + second % 26)}{'x' * (second // 26)} {n}" for n in range(30)]
        )
    assert len(sampler._seconds) <= 64
    with mock.patch("tailrace.tail.sample.TAIL_RARE_SHAPES_MAX", 5):
        for second in range(3_000, 3_100, 2):
            passed(sampler, [second * SECOND] * 30, ["y" * (second + row) for row in range(30)])
        assert len(sampler._left_out) + len(sampler._left_out_before) <= 2 * 30
