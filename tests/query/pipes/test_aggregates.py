import pytest

from tailrace.errors import QueryError
from tailrace.query import parse
from tests.query.records import fields, rows
from tests.query.strategies import NOW_NS


def test_count_may_be_written_with_or_without_brackets():
    assert rows("| count", fields(1, 2)) == rows("| stats count()", fields(1, 2)) == [{"count": 2}]


def test_a_timechart_is_stats_by_steps_of_time():
    chart = parse("| timechart span=1m count by level", NOW_NS).pipes
    assert chart == parse("| stats count by bin(1m), level", NOW_NS).pipes


def test_a_name_may_be_given():
    assert rows("| stats sum(f) as total", fields(1, 2)) == [{"total": 3}]


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("| stats mean(f)", 8), ("| stats sum", 11), ("| stats p0(f)", 8), ("| stats count by", 16),
        ("| stats count by bin(f, 0)", 24), ("| timechart count", 12), ("| timechart span=x count", 17),
        ("| stats count, count", 20),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(text, position):
    with pytest.raises(QueryError) as caught:
        parse(text, NOW_NS)
    assert caught.value.position == position
