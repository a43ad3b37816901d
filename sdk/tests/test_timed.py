"""Timed calls: what goes in and comes out is as without, and each leaves one record."""

import asyncio
import inspect

import pytest

from tailrace_sdk.timed import timed


@pytest.fixture
def records():
    return []


@pytest.fixture
def watch(records):
    return lambda operation="work", **fields: timed(lambda: records.append, operation, fields)


def test_a_function_has_its_duration_and_result(watch, records):
    assert watch(team="shop")(lambda a, *, b: a + b)(1, b=2) == 3
    (record,) = records
    assert (record["operation"], record["status"], record["result"], record["team"]) == ("work", "ok", 3, "shop")
    assert record["duration_ms"] >= 0
    assert record["message"].startswith("work ok in ")


def test_an_exception_goes_on_and_is_told(watch, records):
    @watch()
    def fail():
        raise KeyError("lost")

    with pytest.raises(KeyError):
        fail()
    (record,) = records
    assert (record["level"], record["status"], record["error_type"], record["error"]) == (
        "error",
        "error",
        "KeyError",
        "'lost'",
    )
    assert "in fail" in record["traceback"]
    assert "timed.py" not in record["traceback"].replace("test_timed.py", "")


def test_a_coroutine_is_timed_while_it_is_awaited(watch, records):
    @watch()
    async def work():
        await asyncio.sleep(0.01)
        return "done"

    assert inspect.iscoroutinefunction(work)
    assert asyncio.run(work()) == "done"
    assert records[0]["result"] == "done"
    assert records[0]["duration_ms"] >= 10


def test_a_coroutine_that_is_cancelled_is_told_and_stays_cancelled(watch, records):
    @watch()
    async def work():
        await asyncio.sleep(60)

    async def main():
        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert records[0]["error_type"] == "CancelledError"


def test_a_generator_is_timed_to_its_end_and_counted(watch, records):
    @watch()
    def numbers():
        got = yield 1
        yield got
        return "end"

    one = numbers()
    assert next(one) == 1
    assert one.send("sent") == "sent"
    with pytest.raises(StopIteration) as end:
        next(one)
    assert end.value.value == "end"
    assert (records[0]["items"], records[0]["status"]) == (2, "ok")


def test_what_is_thrown_into_a_generator_arrives(watch, records):
    @watch()
    def patient():
        try:
            yield 1
        except KeyError:
            yield "caught"

    one = patient()
    next(one)
    assert one.throw(KeyError("x")) == "caught"
    one.close()
    assert records[0]["status"] == "left"


def test_a_generator_that_is_left_cleans_up(watch, records):
    ended = []

    @watch()
    def numbers():
        try:
            yield from range(10)
        finally:
            ended.append(True)

    for number in (one := numbers()):
        if number == 2:
            break
    one.close()
    assert ended == [True]
    assert (records[0]["items"], records[0]["status"]) == (3, "left")


def test_a_generator_that_fails_is_told(watch, records):
    @watch()
    def numbers():
        yield 1
        raise KeyError("lost")

    with pytest.raises(KeyError):
        list(numbers())
    assert (records[0]["status"], records[0]["error_type"]) == ("error", "KeyError")
    assert "timed.py" not in records[0]["traceback"].replace("test_timed.py", "")


def test_an_asynchronous_generator_is_timed_and_counted(watch, records):
    @watch()
    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield number

    async def main():
        return [number async for number in numbers()]

    assert inspect.isasyncgenfunction(numbers)
    assert asyncio.run(main()) == [0, 1, 2]
    assert records[0]["items"] == 3


def test_methods_and_names_stay_what_they_are(watch):
    class Shop:
        @watch()
        def pay(self, order: int) -> int:
            """Pay."""
            return order

    assert Shop().pay(5) == 5
    assert (Shop.pay.__name__, Shop.pay.__doc__) == ("pay", "Pay.")
    assert str(inspect.signature(Shop.pay)).startswith("(self, order: ")


@pytest.mark.parametrize(
    ("result", "shown"),
    [
        (None, None),
        (True, True),
        ({"token": "t", "n": 1}, "{'n': 1, 'token': '***'}"),
        ("x" * 1000, "x" * 199 + "…"),
        (object(), "<object>"),
        ([1, 2], "[1, 2]"),
    ],
)
def test_results_are_short_and_keep_secrets(watch, records, result, shown):
    watch()(lambda: result)()
    assert records[0]["result"] == shown


def test_a_result_that_cannot_be_shown_harms_nothing(watch, records):
    class Odd(list):
        def __len__(self):
            raise RuntimeError("no")

    result = Odd()
    assert watch()(lambda: result)() is result
    assert records[0]["result"] == "<Odd>"


def test_a_logger_that_fails_harms_nothing():
    def send(_record):
        raise OSError("no")

    assert timed(lambda: send, "work", {})(lambda: 5)() == 5
