"""loguru through a writer."""

import datetime

import pytest

from tailrace_sdk import AsyncLogWriter, LoguruSink

loguru = pytest.importorskip("loguru")


@pytest.fixture
def writer(tmp_path):
    with AsyncLogWriter(str(tmp_path)) as one:
        yield one


@pytest.fixture
def log(writer):
    loguru.logger.remove()
    number = loguru.logger.add(LoguruSink(writer), level="TRACE")
    yield loguru.logger
    loguru.logger.remove(number)


@pytest.fixture
def said(writer, tmp_path, logged):
    def records():
        assert writer.flush()
        return logged(tmp_path)

    return records


def test_a_message_becomes_a_record(log, said):
    log.bind(order=5, password="p").success("paid by {}", "me")
    (record,) = said()
    assert (record["level"], record["message"], record["order"], record["password"]) == ("info", "paid by me", 5, "***")
    assert record["logger"] == __name__
    assert "test_loguru_sink.py:" in record["code"]
    assert record["time"].endswith("Z")


def test_its_time_is_that_of_the_message(log, said):
    before = datetime.datetime.now(datetime.timezone.utc).isoformat()
    log.info("x")
    after = datetime.datetime.now(datetime.timezone.utc).isoformat()
    assert before[:26] <= said()[0]["time"][:26] <= after[:26]


def test_an_exception_comes_with_its_traceback(log, said):
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("failed")
    (record,) = said()
    assert (record["level"], record["error_type"], record["error"]) == ("error", "KeyError", "'lost'")
    assert "test_an_exception_comes" in record["traceback"]


def test_levels_of_ones_own_are_named_by_their_number(log, said):
    log.log(35, "x")
    log.trace("y")
    assert [record["level"] for record in said()] == ["warn", "trace"]
