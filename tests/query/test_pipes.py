import orjson

from tailrace.query import parse

from .strategies import NOW_NS, batch_of


def rows(query):
    """Run a query over records 0..9 in two batches; return the parsed rows."""
    plain = {"time_ns": NOW_NS, "observed_ns": NOW_NS, "level": 5, "trace_id": None, "message": "m"}
    records = [{**plain, "labels": {"service": "ab"[i % 2]}, "fields": {"n": i, "t": str(i // 4)}} for i in range(10)]
    parsed = parse(query, NOW_NS)
    whole = batch_of(records).placed(1, 0)
    halves = [whole.slice(0, 6), whole.slice(6, 10)]
    return [orjson.loads(row) for made in parsed.run(iter(halves)) for row in made.json_rows()]


def test_stats_joins_batches():
    found = rows(
        "| stats count() as n, sum(n) as s, avg(n) as a, min(n) as lo, max(n) as hi, dc(t) as d, p50(n) as p by service"
    )
    assert found == [
        {"service": "a", "n": 5, "s": 20, "a": 4, "lo": 0, "hi": 8, "d": 3, "p": 4},
        {"service": "b", "n": 5, "s": 25, "a": 5, "lo": 1, "hi": 9, "d": 3, "p": 5},
    ]


def test_a_count_of_nothing_is_zero():
    assert rows("| where absent | count") == [{"count": 0}]


def test_top_counts_values_most_frequent_first():
    assert rows("| top 2 t") == [{"t": 0, "count": 4}, {"t": 1, "count": 4}]


def test_sort_is_numeric_and_keeps_arrival_among_equals():
    assert [row["n"] for row in rows("| sort t desc | limit 4 | fields n")] == [8, 9, 4, 5]


def test_fields_keep_the_cursor():
    assert rows("| where n:3 | fields service") == [{"service": "b", "cursor": "1-3"}]


def test_drop_removes_labels_and_fields():
    (row,) = rows("| limit 1 | drop service, t")
    assert "service" not in row
    assert row["fields"] == {"n": 0}
