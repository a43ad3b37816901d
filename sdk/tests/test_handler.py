"""The standard `logging` through a writer."""

import inspect
import logging
import logging.config
import logging.handlers
import queue
import time

import pytest

from tailrace_sdk import AsyncLogWriter, RealtimeHandler


@pytest.fixture
def writer(tmp_path):
    with AsyncLogWriter(str(tmp_path)) as one:
        yield one


@pytest.fixture
def logger():
    one = logging.Logger("shop")
    yield one
    for handler in one.handlers:
        handler.close()


@pytest.fixture
def said(writer, logger, tmp_path, logged):
    """Return what the logger said so far, through a handler that was set up as one does."""
    logger.addHandler(RealtimeHandler(writer))

    def records():
        assert writer.flush()
        return logged(tmp_path)

    return records


def test_a_message_has_its_level_logger_and_place_in_the_code(logger, said):
    logger.warning("order %d of %s", 5, "me")
    line = inspect.currentframe().f_lineno - 1
    (record,) = said()
    assert (record["level"], record["message"], record["logger"]) == ("warn", "order 5 of me", "shop")
    assert record["code"].endswith(f"test_handler.py:{line}")


def test_extra_becomes_fields_and_secrets_of_it_are_masked(logger, said):
    logger.info("paid", extra={"order": 5, "password": "p", "level": "mine", "user": {"token": "t"}})
    (record,) = said()
    assert (record["order"], record["password"], record["user"]) == (5, "***", {"token": "***"})
    assert record["level"] == "info"


def test_an_exception_comes_with_its_traceback(logger, said):
    try:
        raise KeyError("lost")
    except KeyError:
        logger.exception("failed")
    (record,) = said()
    assert (record["level"], record["message"], record["error_type"], record["error"]) == (
        "error",
        "failed",
        "KeyError",
        "'lost'",
    )
    assert record["traceback"].startswith("Traceback (most recent call last):")
    assert record["traceback"].endswith("KeyError: 'lost'\n")


def test_the_stack_is_kept_when_it_is_asked_for(logger, said):
    logger.info("here", stack_info=True)
    (record,) = said()
    assert "test_the_stack_is_kept" in record["stack"]


def test_numbers_between_the_levels_have_the_level_below(logger, said):
    logger.setLevel(1)
    for number in (5, 15, 25, 35, 45, 55):
        logger.log(number, "x")
    assert [record["level"] for record in said()] == ["trace", "debug", "info", "warn", "error", "fatal"]


def test_arguments_are_read_when_the_message_is_logged(logger, said):
    basket = [1]
    logger.info("basket %s", basket)
    basket.append(2)
    (record,) = said()
    assert record["message"] == "basket [1]"


def test_arguments_that_do_not_fit_are_said_and_raise_nothing(logger, said):
    logger.info("order %d", "five")
    (record,) = said()
    assert (record["level"], record["message"]) == ("error", "order %d")
    assert "TypeError" in record["invalid"]


def test_a_message_that_is_an_object_becomes_its_text(logger, said):
    logger.info({"a": 1})
    (record,) = said()
    assert record["message"] == "{'a': 1}"


def test_filters_and_levels_of_the_handler_count(logger, said):
    (handler,) = logger.handlers
    handler.setLevel("ERROR")
    handler.addFilter(lambda record: "no" not in record.msg)
    logger.warning("quiet")
    logger.error("no")
    logger.error("yes")
    assert [record["message"] for record in said()] == ["yes"]


def test_a_formatter_that_was_set_makes_the_message(logger, said):
    logger.handlers[0].setFormatter(logging.Formatter("%(name)s/%(message)s"))
    logger.info("x")
    assert said()[0]["message"] == "shop/x"


def test_a_record_that_comes_late_has_the_time_it_was_made_at(logger, said):
    waiting = queue.Queue()
    (handler,) = logger.handlers
    logger.handlers[:] = [logging.handlers.QueueHandler(waiting)]
    logger.info("made")
    made = waiting.queue[0].created
    listener = logging.handlers.QueueListener(waiting, handler)
    listener.start()
    listener.stop()
    (record,) = said()
    assert record["time"][:19] == time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(made))
    assert abs(float("0." + record["time"][20:29]) - made % 1) < 1e-6


def test_dictconfig_makes_a_handler_with_its_own_writer(tmp_path, logged):
    handler = {
        "class": "tailrace_sdk.RealtimeHandler",
        "log_dir": str(tmp_path),
        "fields": {"service": "shop"},
        "level": "INFO",
    }
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "handlers": {"tailrace": handler},
            "loggers": {"configured": {"level": "DEBUG", "handlers": ["tailrace"], "propagate": False}},
        }
    )
    logger = logging.getLogger("configured")
    logger.debug("no")
    logger.info("yes")
    for one in list(logger.handlers):
        logger.removeHandler(one)
        one.close()
    (record,) = logged(tmp_path)
    assert (record["message"], record["service"]) == ("yes", "shop")


def test_what_a_program_logs_before_it_ends_is_written(run, tmp_path, logged):
    run(
        "import logging, sys; from tailrace_sdk import RealtimeHandler\n"
        "logging.basicConfig(handlers=[RealtimeHandler(log_dir=sys.argv[1])])\n"
        "import atexit; atexit.register(logging.warning, 'last')\n"
        "for number in range(5000): logging.warning('line %d', number)",
        tmp_path,
    )
    messages = [record["message"] for record in logged(tmp_path)]
    assert messages == [f"line {number}" for number in range(5000)] + ["last"]
