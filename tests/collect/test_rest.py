"""How long the collector rests."""

import pytest

from tailrace.collect.rest import Rest
from tailrace.limits import COLLECT_REST, COLLECT_REST_S_MAX, COLLECT_RESTED_S_MAX

ROUND_S = COLLECT_REST_S_MAX / COLLECT_REST / 4


def test_lines_that_come_one_by_one_are_not_kept_waiting():
    rest = Rest()
    assert [rest.after(ROUND_S, 100.0 + second) for second in range(5)] == [0.0] * 5


def test_rounds_that_follow_each_other_use_their_share_of_the_time():
    rest, now, used = Rest(), 100.0, 0.0
    for _ in range(10_000):
        now += ROUND_S
        used += ROUND_S
        now += rest.after(ROUND_S, now)
    assert used / (now - 100.0) < 1.1 / COLLECT_REST


def test_one_dear_round_after_a_time_without_work_is_followed_by_no_rest():
    rest = Rest()
    assert rest.after(0.9 * COLLECT_RESTED_S_MAX / COLLECT_REST, 100.0) == 0.0
    assert rest.after(10 * ROUND_S, 100.0) > 0.0


def test_no_rest_is_longer_than_its_bound_and_none_is_owed_afterwards():
    rest = Rest()
    assert rest.after(10.0, 100.0) == pytest.approx(COLLECT_REST_S_MAX)
    assert rest.after(ROUND_S, 100.0 + 2 * COLLECT_REST_S_MAX) == 0.0
