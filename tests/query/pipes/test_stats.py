import pytest

from tailrace import limits
from tailrace.errors import Refused
from tailrace.query.pipes import stats
from tests.query.records import batch, fields, messages, rows
from tests.query.strategies import NOW_NS

SECOND_NS = 1_000_000_000


def seconds(*offsets):
    begin = NOW_NS // (60 * SECOND_NS) * 60 * SECOND_NS
    return batch([{"time_ns": begin + offset * SECOND_NS} for offset in offsets])


def test_groups_are_joined_over_batches():
    assert rows("| stats count by f", fields("a", "b"), fields("a", None)) == [
        {"f": "a", "count": 2},
        {"f": "b", "count": 1},
        {"f": None, "count": 1},
    ]


def test_steps_of_time_begin_at_multiples():
    found = rows("| stats count by bin(1m)", seconds(0, 59, 60, 185))
    assert [row["count"] for row in found] == [2, 1, 1]
    assert [row["time"][17:19] for row in found] == ["00", "00", "00"]


def test_steps_of_a_number_begin_at_multiples():
    found = rows("| stats count by bin(f, 10)", fields(0, 9, 10, -1, "x"))
    assert [(row["f"], row["count"]) for row in found] == [(-10, 1), (0, 2), (10, 1), (None, 1)]


def test_a_rate_is_per_second_of_its_step():
    assert [row["rate"] for row in rows("| stats rate() by bin(1m)", seconds(*range(30)))] == [0.5]


def test_percentiles_are_the_nearest_rank():
    (row,) = rows("| stats p50(f), p95(f), p99(f)", fields(*range(1, 51)), fields(*range(51, 101)))
    assert row == {"p50(f)": 50, "p95(f)": 95, "p99(f)": 99}


def test_what_is_no_number_counts_for_nothing_in_a_sum():
    assert rows("| stats sum(f), avg(f), count(f)", fields(1, "x", None, 3)) == [
        {"sum(f)": 4, "avg(f)": 2, "count(f)": 3}
    ]


def test_too_many_groups_are_refused_with_a_cure(monkeypatch):
    monkeypatch.setattr(stats, "GROUPS_MAX", 3)
    with pytest.raises(Refused) as caught:
        rows("| stats count by message", messages("a", "b"), messages("c", "d"))
    assert caught.value.cure


def test_too_many_values_are_refused_with_a_cure(monkeypatch):
    monkeypatch.setattr(stats, "STATS_VALUES_MAX", 3)
    with pytest.raises(Refused) as caught:
        rows("| stats dc(message)", messages("a", "b"), messages("c", "d"))
    assert caught.value.cure


def test_as_many_groups_as_allowed_are_fine(monkeypatch):
    monkeypatch.setattr(stats, "GROUPS_MAX", 4)
    assert len(rows("| stats count by message", messages("a", "b"), messages("c", "d", "a"))) == 4
    assert limits.GROUPS_MAX > 4
