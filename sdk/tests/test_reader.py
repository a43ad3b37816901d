"""Reading back: the same questions, the same answers from files and from a server."""

import csv
import gzip
import json
from datetime import datetime, timedelta, timezone

import pytest

from tailrace_sdk import LogReader, RealtimeLogger

START = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


def samples():
    for number in range(100):
        failed = number % 10 == 9
        yield {
            "time": (START + timedelta(seconds=number)).isoformat(),
            "level": "error" if failed else "info",
            "message": f"payment {'refused' if failed else 'taken'} (a+b) no {number}",
            "operation": "pay" if number % 2 else "ship",
            "duration_ms": float(number),
            **({"error_type": "Refused"} if failed else {}),
        }


@pytest.fixture(params=["files", "server"])
def reader(request, tmp_path):
    if request.param == "files":
        with RealtimeLogger(str(tmp_path / "logs")) as logger:
            logger.log_many(samples())
        yield LogReader(str(tmp_path / "logs"))
        return
    server = request.getfixturevalue("tailrace")
    with RealtimeLogger(server=server.url) as logger:
        logger.log_many(samples())
        assert logger.flush(20)
    yield LogReader(server=server.url)


def numbers(records):
    return [int(record["message"].rpartition(" ")[2]) for record in records]


# One test with many questions: beginning a server for each would take a second.
def test_records_are_found(reader):
    asked = reader.records
    assert numbers(asked()) == list(range(100))
    assert numbers(asked(level="error")) == list(range(9, 100, 10))
    assert numbers(asked(level="INFO")) == list(range(100))
    assert numbers(asked(operation="pay")) == list(range(1, 100, 2))
    assert numbers(asked(operation="PAY")) == []
    assert numbers(asked(text="refused")) == list(range(9, 100, 10))
    assert numbers(asked(text="EFUSE")) == list(range(9, 100, 10))
    assert numbers(asked(text="(a+b) no 7")) == [7, *range(70, 80)]
    assert numbers(asked(text='"/\\')) == []
    assert numbers(asked(since=START + timedelta(seconds=90))) == list(range(90, 100))
    assert numbers(asked(since="2026-11-21T08:01:00Z", until="2026-11-21T08:01:10Z")) == list(range(60, 70))
    assert numbers(asked(since=START.timestamp() + 98, limit=1)) == [98]
    assert numbers(asked(limit=0)) == []
    assert numbers(asked(level="error", operation="pay", text="no 1", limit=1)) == [19]


def test_summaries_and_export(reader, tmp_path):
    both = reader.summary()
    assert list(both) == ["pay", "ship"]
    pay = both["pay"]
    assert (pay.count, pay.errors, pay.error_rate) == (50, 10, 0.2)
    assert (pay.average_ms, pay.p50_ms, pay.p95_ms, pay.p99_ms, pay.max_ms) == (50.0, 51.0, 95.0, 99.0, 99.0)
    assert pay.per_second == pytest.approx(50 / 98)
    assert list(reader.summary(operation="ship")) == ["ship"]
    assert reader.errors() == {"Refused": 10}
    assert reader.export(str(tmp_path / "all.jsonl"), level="error") == 10
    lines = (tmp_path / "all.jsonl").read_text().splitlines()
    assert numbers(map(json.loads, lines)) == list(range(9, 100, 10))
    assert reader.export(str(tmp_path / "all.csv")) == 100
    with (tmp_path / "all.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert numbers(rows) == list(range(100))
    assert {row["error_type"] for row in rows} == {"", "Refused"}


def test_compressed_files_and_those_set_aside_are_read_in_order(tmp_path):
    def write(name, data):
        (tmp_path / name).write_bytes(data)

    write("realtime-2026-11-20.1.jsonl.gz", gzip.compress(b'{"n":0}\n'))
    write("realtime-2026-11-20.2.jsonl", b'{"n":1}\n')
    write("realtime-2026-11-20.10.jsonl", b'{"n":2}\n')
    write("realtime-2026-11-20.jsonl", b'{"n":3}\n')
    write("realtime-2026-11-21.jsonl", b'{"n":4}\n')
    write("another-2026-11-21.jsonl", b'{"n":5}\n')
    assert [record["n"] for record in LogReader(str(tmp_path)).records()] == [0, 1, 2, 3, 4]


def test_a_line_that_is_no_record_is_counted_and_the_last_may_be_torn(tmp_path):
    (tmp_path / "realtime-2026-11-21.jsonl").write_bytes(b'{"n":0}\nodd\n[1]\n{"n":1}\n{"n":')
    reader = LogReader(str(tmp_path))
    assert [record["n"] for record in reader.records()] == [0, 1]
    assert reader.broken == 2


def test_records_without_a_duration_have_no_times(tmp_path):
    (tmp_path / "realtime-2026-11-21.jsonl").write_bytes(b'{"level":"error","message":"x"}\n')
    (summary,) = LogReader(str(tmp_path)).summary().values()
    assert (summary.count, summary.error_rate, summary.per_second, summary.p50_ms) == (1, 1.0, 0.0, None)


def test_a_directory_without_logs_has_no_records(tmp_path):
    assert list(LogReader(str(tmp_path / "none")).records()) == []


def test_a_server_that_does_not_answer_is_said():
    with pytest.raises(OSError, match="refused"):
        list(LogReader(server="http://127.0.0.1:1").records())


def test_a_server_that_says_no_is_said(tailrace):
    with pytest.raises(OSError, match="answered 404"):
        list(LogReader(server=tailrace.url + "/nowhere").records())


@pytest.mark.parametrize("wrong", [{}, {"log_dir": "x", "server": "http://x"}])
def test_one_place_has_to_be_named(wrong):
    with pytest.raises(ValueError, match="one of them"):
        LogReader(**wrong)


@pytest.mark.parametrize("wrong", [{"level": "loud"}, {"since": "yesterday"}])
def test_a_question_that_makes_no_sense_is_said(tmp_path, wrong):
    with pytest.raises(ValueError, match=r"no level|isoformat"):
        list(LogReader(str(tmp_path)).records(**wrong))
