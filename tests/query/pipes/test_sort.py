import orjson
import pytest

from tailrace.errors import Refused
from tailrace.limits import SORT_ROWS_MAX
from tailrace.query import parse
from tailrace.query.pipes.sort import Sort
from tests.query.records import batch, fields, messages, rows


def values(query, *batches):
    return [row["f"] for row in rows(query, *batches)]


def test_numbers_come_before_text_and_missing_values_last():
    assert values("| sort f | fields f", fields("b", 10, None, 9, "a")) == [9, 10, "a", "b", None]


def test_missing_values_stay_last_downwards():
    assert values("| sort f desc | fields f", fields(1, None, 2)) == [2, 1, None]


def test_the_second_field_decides_among_equals():
    records = batch([{"fields": {"a": i // 2, "f": -i}} for i in range(4)])
    assert values("| sort a desc, f | fields f", records) == [-3, -2, -1, 0]


def test_the_most_frequent_of_nothing_is_nothing():
    assert rows("| top 3 f") == []


def test_levels_are_sorted_by_severity():
    records = batch([{"level": level} for level in (3, 6, 0, 4)])
    assert [row["level"] for row in rows("| sort level desc | fields level", records)] == [
        "fatal",
        "warn",
        "info",
        None,
    ]


def many(count):
    """Yield batches with numbers in an order that is none, and note how many rows."""
    step = 8192
    for first in range(0, count, step):
        yield fields(*((n * 7919) % count for n in range(first, min(first + step, count)))).placed(1, first)


def test_with_a_limit_only_the_first_are_held():
    (made,) = Sort((("f", True),)).run(many(60_000), 3)
    assert made.column("f").to_pylist() == ["59999", "59998", "59997"]


def test_too_many_rows_are_refused_with_a_cure():
    one = messages(*["x"] * 50_000)
    batches = (one.placed(1, n * 50_000) for n in range(SORT_ROWS_MAX // 50_000 + 1))
    with pytest.raises(Refused) as caught:
        list(Sort((("message", False),)).run(batches))
    assert "limit" in caught.value.cure


@pytest.mark.parametrize("query", ["| sort f", "| fields f | sort f", "| sort f | limit 3"])
def test_records_of_several_logs_keep_their_cursors(query):
    logs = [fields(1, 4).placed(0xA, 10), fields(2, 3).placed(0xB, 5)]
    found = [orjson.loads(row)["cursor"] for made in parse(query, 0).run(iter(logs)) for row in made.json_rows()]
    assert found == ["a-10", "b-5", "b-6", "a-11"][: 3 if "limit" in query else 4]
