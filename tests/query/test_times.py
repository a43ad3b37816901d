import pytest

from tailrace.errors import QueryError
from tailrace.query.times import format_duration, parse_duration, parse_span, parse_time

SECOND_NS = 1_000_000_000
MORNING_NS = 1_795_132_800 * SECOND_NS  # 2026-11-20T00:00:00Z


@pytest.mark.parametrize(
    ("text", "first_s", "span_s"),
    [
        ("2026-11-20", 0, 86_400), ("2026-11-20T08", 8 * 3600, 3600), ("2026-11-20T08:15", 29_700, 60),
        ("2026-11-20 08:15:10", 29_710, 1), ("2026-11-20T08:15:10+08:00", 910, 1), ("20:00", None, None),
        ("2026-11", -19 * 86_400, 30 * 86_400), ("2026-11-20T08:15Z", 29_700, 60),
    ],
)  # fmt: skip
def test_a_time_in_part_is_a_span(text, first_s, span_s):
    if first_s is None:
        with pytest.raises(QueryError):
            parse_span(text, 0)
        return
    first, last = parse_span(text, 0)
    assert (first - MORNING_NS) / SECOND_NS == first_s
    assert (last - first + 1) / SECOND_NS == span_s


@pytest.mark.parametrize("text", ["1795132800", "1795132800000", "1795132800000000", "1795132800000000000"])
def test_the_unit_of_an_epoch_number_is_known_by_its_size(text):
    assert parse_time(text, 0) == MORNING_NS


def test_durations_count_back_from_now():
    assert parse_time("5m", MORNING_NS) == MORNING_NS - 300 * SECOND_NS
    assert parse_time("now-1h30m", MORNING_NS) == MORNING_NS - 5400 * SECOND_NS
    assert parse_time("now+1s", MORNING_NS) == MORNING_NS + SECOND_NS


@pytest.mark.parametrize("text", ["", "yesterday", "2026-13-01", "2026-02-30", "1066", "9999", "now-", "5 years"])
def test_what_is_no_time_is_told_with_a_cure(text):
    with pytest.raises(QueryError) as caught:
        parse_time(text, 0)
    assert caught.value.cure


@pytest.mark.parametrize("text", ["1ns", "15ms", "90s", "5m", "36h", "2d", "1w"])
def test_the_text_of_a_duration_reads_back(text):
    duration_ns = parse_duration(text)
    assert duration_ns
    assert parse_duration(format_duration(duration_ns)) == duration_ns
