"""structlog through a writer."""

import pytest

from tailrace_sdk import AsyncLogWriter, StructlogSink

structlog = pytest.importorskip("structlog")


@pytest.fixture
def writer(tmp_path):
    with AsyncLogWriter(str(tmp_path)) as one:
        yield one


@pytest.fixture
def log(writer):
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, StructlogSink(writer)])
    yield structlog.get_logger()
    structlog.reset_defaults()


@pytest.fixture
def said(writer, tmp_path, logged):
    def records():
        assert writer.flush()
        return logged(tmp_path)

    return records


def test_an_event_becomes_a_record(log, said):
    log.bind(user=7, token="t").warning("paid", order=5)
    (record,) = said()
    del record["time"]
    assert record == {"user": 7, "token": "***", "order": 5, "message": "paid", "level": "warn"}


def test_its_context_variables_are_fields(log, said):
    with structlog.contextvars.bound_contextvars(request=17):
        log.info("x")
    assert said()[0]["request"] == 17


@pytest.mark.parametrize("how", ["exception", "exc_info"])
def test_an_exception_comes_with_its_traceback(log, said, how):
    try:
        raise KeyError("lost")
    except KeyError as error:
        log.exception("failed") if how == "exception" else log.error("failed", exc_info=error)
    (record,) = said()
    assert (record["level"], record["error_type"]) == ("error", "KeyError")
    assert "KeyError: 'lost'" in record["traceback"]


def test_its_own_time_stays(writer, said):
    structlog.configure(processors=[structlog.processors.TimeStamper(fmt="iso"), StructlogSink(writer)])
    structlog.get_logger().info("x")
    structlog.reset_defaults()
    (record,) = said()
    assert "timestamp" in record
    assert "time" not in record
