from tailrace.query import parse
from tailrace.query.plan import Always, InTime
from tests.query.records import batch, found
from tests.query.strategies import NOW_NS

SECOND_NS = 1_000_000_000
TIMES = batch([{"time_ns": NOW_NS + offset * SECOND_NS} for offset in (-3600, -10, 0, 10)])


def test_a_duration_is_open_towards_the_future():
    assert found("time:1m", TIMES) == [1, 2, 3]


def test_a_range_has_both_ends():
    assert found("time:[now-10s TO now]", TIMES) == [1, 2]


def test_the_time_of_arrival_is_another():
    assert found("observed:>now", TIMES) == []


def test_only_the_time_helps_to_skip_blocks():
    assert parse("time:[now-1s TO now]", NOW_NS).filter.need() == InTime(NOW_NS - SECOND_NS, NOW_NS)
    assert parse("observed:[now-1s TO now]", NOW_NS).filter.need() == Always()
