"""The plain logger with fields."""

import pytest

from tailrace_sdk import AsyncLogWriter, get_logger, get_realtime_logger


@pytest.fixture
def writer(tmp_path):
    with AsyncLogWriter(str(tmp_path)) as one:
        yield one


def test_fields_are_bound_and_those_of_the_call_win(writer, tmp_path, logged):
    log = get_logger(writer, service="shop", user=1)
    log.bind(order=5).info("paid", user=2)
    log.info("again")
    writer.flush()
    one, other = logged(tmp_path)
    assert (one["service"], one["user"], one["order"]) == ("shop", 2, 5)
    assert (other["user"], "order" in other) == (1, False)


def test_every_level_has_its_method(writer, tmp_path, logged):
    log = get_logger(writer)
    for name in ("trace", "debug", "info", "warning", "error", "critical"):
        assert getattr(log, name)("x")
    writer.flush()
    assert [record["level"] for record in logged(tmp_path)] == ["trace", "debug", "info", "warn", "error", "fatal"]


def test_an_exception_that_is_being_handled_is_told(writer, tmp_path, logged):
    log = get_logger(writer)
    log.exception("none")
    try:
        raise KeyError("lost")
    except KeyError:
        log.exception("failed", order=5)
    writer.flush()
    none, failed = logged(tmp_path)
    assert "traceback" not in none
    assert (failed["level"], failed["error_type"], failed["error"], failed["order"]) == (
        "error",
        "KeyError",
        "'lost'",
        5,
    )
    assert "KeyError: 'lost'" in failed["traceback"]


def test_without_a_writer_it_is_that_of_the_process(tmp_path, monkeypatch, logged):
    monkeypatch.setenv("TAILRACE_LOG_DIR", str(tmp_path / "logs"))
    log = get_logger()
    log.info("x")
    get_realtime_logger().shutdown()
    assert [record["message"] for record in logged(tmp_path / "logs")] == ["x"]
