"""Standard output: whole lines, and nobody waits for a reader that has stopped."""

import fcntl
import json
import os
import sys

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


def test_lines_of_several_processes_in_one_pipe_stay_whole(begin, tmp_path):
    program = """
import sys
from tailrace_sdk import AsyncLogWriter, StdoutSink
with AsyncLogWriter(sinks=[StdoutSink()], block_s=20) as writer:
    for number in range(5000):
        writer.log({"who": int(sys.argv[1]), "n": number, "pad": "x" * (number % 300)})
"""
    one = begin(sys.executable, "-c", f"import subprocess, sys\nfor one in [subprocess.Popen([sys.executable, '-c', "
                f"{program!r}, str(who)]) for who in range(3)]: assert one.wait() == 0")  # fmt: skip
    out, said = one.communicate(timeout=60)
    assert one.returncode == 0, said.decode()
    records = [json.loads(line) for line in out.splitlines()]
    for who in range(3):
        assert [record["n"] for record in records if record["who"] == who] == list(range(5000))


def test_a_line_that_was_begun_is_ended_before_another(pipe, until):
    reading, writing = pipe
    room = fcntl.fcntl(writing, F_SETPIPE_SZ, 4096)
    with AsyncLogWriter(sinks=[StdoutSink(writing)], max_retries=0) as writer:
        writer.log({"n": 0, "pad": "x" * 3 * room})
        until(lambda: writer.get_stats()["written"])  # begun, so it will be there
        writer.log({"n": 1})
        found = b""
        while found.count(b"\n") < 2:
            found += os.read(reading, room)
    assert [json.loads(line)["n"] for line in found.splitlines()] == [0, 1]


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
