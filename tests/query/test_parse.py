import pytest

from tailrace.errors import QueryError
from tailrace.query import parse

from .strategies import NOW_NS


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("a:(", 3), ("10.0.0.1:80", 0), ("foo(", 3), ("[x]", 0), ('"abc', 0), ("/x", 0), ("b /(?=a)/", 2),
        ("level:foo", 6), ("time:x", 5), ("a b)", 3), ("| frob", 2), ("| stats foo(x)", 8), ("a!=b", 1),
        ("x:>abc", 3), ("a or", 4), ('""', 0), ("(" * 65 + "a", 65), ("x" * 20_000, 0),
    ],
)  # fmt: skip
def test_a_mistake_is_pointed_at(text, position):
    with pytest.raises(QueryError) as caught:
        parse(text, NOW_NS)
    assert caught.value.position == position


@pytest.mark.parametrize(
    "text",
    ["", "a | limit 3", "| stats count() as n, p95(ms) by service, bin(1m), bin(ms, 10)", "| sort a desc, b",
     "| top 3 user.id", "| where a or b | fields a, \"b c\" | drop a", "| timechart span=1m count by level"],
)  # fmt: skip
def test_the_text_of_a_query_parses_back_to_it(text):
    query = parse(text, NOW_NS)
    assert parse(str(query), NOW_NS) == query


def test_a_limit_is_pushed_down_through_pipes_that_keep_every_row():
    assert parse("a | fields b | limit 3", NOW_NS).rows_wanted() == 3
    assert parse("a | where b | limit 3", NOW_NS).rows_wanted() is None


def test_the_times_of_a_query_are_those_of_its_filter():
    second = 1_000_000_000
    assert parse("time:[now-2s TO now] a", NOW_NS).times() == (NOW_NS - 2 * second, NOW_NS)
    assert parse("time:5s or a", NOW_NS).times() == (-(2**63), 2**63 - 1)


def test_a_pipe_that_cannot_run_live_is_pointed_at():
    with pytest.raises(QueryError) as caught:
        parse("a | where b | limit 3", NOW_NS).check_live()
    assert caught.value.position == 14
