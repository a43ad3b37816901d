"""Structured logging for a whole program."""

import asyncio
import time

import pytest

from tailrace_sdk import RealtimeLogIntegrator, Schema


@pytest.fixture
def make(tmp_path):
    made = []

    def one(*arguments, **options):
        made.append(RealtimeLogIntegrator(*arguments, log_dir=str(tmp_path), **options))
        return made[-1]

    yield one
    for integrator in made:
        integrator.shutdown()


@pytest.fixture
def said(tmp_path, logged):
    def records(integrator):
        assert integrator.flush()
        return logged(tmp_path)

    return records


def test_a_record_is_completed(make, said):
    one = make()
    one.log_realtime({"operation": "checkout", "order": 5})
    (record,) = said(one)
    assert (record["level"], record["message"], record["order"]) == ("info", "checkout", 5)


def test_without_structure_a_record_stays_as_it_is(make, said):
    one = make(enable_structured_logging=False)
    one.log_realtime({"n": 1})
    (record,) = said(one)
    assert sorted(record) == ["n", "time"]
    assert one.get_stats()["structured_logs"] == 0


def test_a_record_with_faults_is_counted_written_and_says_them(make, said):
    one = make()
    one.log_realtime({"message": "x", "duration_ms": "fast", "level": "loud"})
    assert said(one)[0]["invalid"] == ["duration_ms is str, not int or float", "'loud' is no level"]
    assert one.get_stats()["validation_errors"] == 1


def test_validation_can_be_switched_off(make, said):
    one = make(validate=False)
    one.log_realtime({"message": "x", "duration_ms": "fast"})
    assert "invalid" not in said(one)[0]
    assert one.get_stats()["validation_errors"] == 0


def test_a_schema_of_ones_own_counts(make, said):
    one = make(schema=Schema(required=("order",), types={"order": int}))
    one.log_realtime({"message": "x"})
    one.log_realtime({"message": "y", "order": 5})
    assert [record.get("invalid") for record in said(one)] == [["order is missing"], None]


def test_the_statistics_have_the_names_people_know(make, said):
    one = make()
    before = time.time()
    for number in range(10):
        one.log_realtime({"message": "x", "n": number})
    one.log_realtime({"message": 5})
    said(one)
    stats = one.get_stats()
    assert (stats["total_logs"], stats["structured_logs"], stats["realtime_logs"], stats["validation_errors"]) == (
        11,
        11,
        11,
        1,
    )
    assert (stats["realtime_enqueued"], stats["realtime_written"], stats["realtime_errors"]) == (11, 11, 0)
    assert abs(stats["start_time"] - before) < 60
    assert stats["uptime"] >= 0
    names = {"enqueued", "written", "errors", "retries", "batches", "queue_full_events", "queue_size"}
    assert {f"realtime_{name}" for name in names} <= set(stats)


def test_an_error_is_logged_with_its_traceback(make, said):
    one = make()
    try:
        raise KeyError("lost")
    except KeyError as error:
        one.log_error(error, order=5)
    (record,) = said(one)
    assert (record["level"], record["message"], record["order"]) == ("error", "KeyError: 'lost'", 5)
    assert "test_an_error_is_logged" in record["traceback"]


def test_its_decorator_logs_calls(make, said):
    one = make()

    @one.realtime_log("work", team="shop")
    async def work():
        return 5

    assert asyncio.run(work()) == 5
    (record,) = said(one)
    assert (record["operation"], record["team"], record["status"], record["result"]) == ("work", "shop", "ok", 5)


@pytest.mark.parametrize("odd", [None, 5, "text", [1], {1: 2}, {"message": float("nan")}])
def test_whatever_is_logged_nothing_is_raised(make, said, odd):
    one = make()
    assert one.log_realtime(odd)
    assert len(said(one)) == 1


PROCESS = """
import sys
from tailrace_sdk import get_log_integrator, log_realtime, realtime_log
assert get_log_integrator(log_dir=sys.argv[1]) is get_log_integrator()

@realtime_log("square")
def square(number):
    return number * number

log_realtime({"message": "begin"})
square(4)
print(get_log_integrator().get_stats()["total_logs"])
"""


def test_a_process_has_one(run, tmp_path, logged):
    assert run(PROCESS, tmp_path).stdout == b"2\n"
    begin, square = logged(tmp_path)
    assert (begin["message"], square["operation"], square["result"]) == ("begin", "square", 16)
