"""Fields of what is being done, whoever logs."""

import asyncio
import threading
from contextvars import copy_context

import pytest

from tailrace_sdk import AsyncLogWriter, bind_context, clear_context, context_fields, unbind_context


@pytest.fixture
def writer(tmp_path):
    with AsyncLogWriter(str(tmp_path)) as one:
        yield one


@pytest.fixture
def said(writer, tmp_path, logged):
    def records():
        assert writer.flush()
        return logged(tmp_path)

    return records


def test_fields_are_there_inside_the_block_only(writer, said):
    with context_fields(request=1):
        with context_fields(user=2):
            writer.log({"n": 0})
        writer.log({"n": 1})
    writer.log({"n": 2})
    assert [(r.get("request"), r.get("user")) for r in said()] == [(1, 2), (1, None), (None, None)]


def test_fields_are_bound_taken_back_and_cleared(writer, said):
    def inside():
        bind_context(a=1)
        token = bind_context(b=2)
        writer.log({})
        unbind_context(token)
        writer.log({})
        clear_context()
        writer.log({})

    copy_context().run(inside)
    assert [sorted(record.keys() - {"time"}) for record in said()] == [["a", "b"], ["a"], []]


def test_tasks_of_asyncio_do_not_mix(writer, said):
    async def task(number):
        with context_fields(task=number):
            for _ in range(20):
                writer.log({"n": number})
                await asyncio.sleep(0)

    async def all_tasks():
        await asyncio.gather(*map(task, range(10)))

    asyncio.run(all_tasks())
    records = said()
    assert len(records) == 200
    assert all(record["task"] == record["n"] for record in records)


def test_threads_do_not_mix(writer, said):
    def work(number):
        with context_fields(thread=number):
            for _ in range(100):
                writer.log({"n": number})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    records = said()
    assert len(records) == 400
    assert all(record["thread"] == record["n"] for record in records)


def test_secrets_in_the_context_are_masked(writer, said):
    with context_fields(api_key="k"):
        writer.log({})
    assert said()[0]["api_key"] == "***"


def test_the_ids_of_opentelemetrys_span_are_in_the_record(writer, said):
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    with trace.TracerProvider().get_tracer("test").start_as_current_span("work") as span:
        writer.log({"n": 1})
        writer.log({"n": 2, "trace_id": "mine"})
        context = span.get_span_context()
    writer.log({"n": 3})
    first, second, third = said()
    assert (first["trace_id"], first["span_id"]) == (f"{context.trace_id:032x}", f"{context.span_id:016x}")
    assert second["trace_id"] == "mine"
    assert "trace_id" not in third
