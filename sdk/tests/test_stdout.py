"""Standard output: whole lines, and nobody waits for a reader that has stopped."""

import fcntl
import json
import os

import pytest

from tailrace_sdk import AsyncLogWriter, StdoutSink

F_SETPIPE_SZ = getattr(fcntl, "F_SETPIPE_SZ", 1031)  # has a name since Python 3.10


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_a_program_prints_json_lines(run):
    program = """
from tailrace_sdk import RealtimeLogger
with RealtimeLogger(stdout=True) as logger:
    for number in range(1000):
        logger.log({"n": number})
"""
    assert [json.loads(line)["n"] for line in run(program).stdout.splitlines()] == list(range(1000))


def test_a_reader_that_stopped_stops_nobody_and_what_is_lost_is_counted(pipe, until):
    reading, writing = pipe
    room = fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    with AsyncLogWriter(sinks=[StdoutSink(writing)], max_retries=0) as writer:
        for number in range(2000):
            assert writer.log({"n": number, "pad": "x" * 50})
        until(lambda: writer.get_stats()["errors"] >= 1000)
        data = os.read(reading, 10 * room)
        writer.log({"n": "after"})
        found = data
        while b'"after"' not in found:
            found += os.read(reading, 10 * room)
        stats = writer.get_stats()
    lines = found.split(b"\n")[:-1]
    assert all(json.loads(line) for line in lines)
    assert stats["queue_full_events"] == 0


def test_a_reader_that_left_ends_nothing(run):
    program = """
import os, sys
from tailrace_sdk import AsyncLogWriter, StdoutSink
reading, writing = os.pipe()
os.close(reading)
with AsyncLogWriter(sinks=[StdoutSink(writing)], retry_interval=0.01) as writer:
    writer.log({"n": 1})
print(writer.get_stats()["errors"])
"""
    assert run(program).stdout == b"1\n"
