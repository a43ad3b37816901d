"""The logger most programs use."""

import json
import os
import socket

import pytest

from tailrace_sdk import RealtimeLogger, get_realtime_logger
from tailrace_sdk.files import files_of


def test_it_is_used_as_people_know_it(tmp_path, logged):
    with RealtimeLogger(str(tmp_path), "shop", buffer_size=10, auto_flush_interval=0.5) as logger:
        assert logger.log({"message": "one"})
        assert logger.log_many([{"message": "two"}, {"message": "three"}]) == 2
        assert logger.flush()
        stats = logger.get_stats()
    assert [record["message"] for record in logged(tmp_path)] == ["one", "two", "three"]
    assert (stats["enqueued"], stats["written"], stats["errors"], stats["queue_size"]) == (3, 3, 0, 0)
    (path,) = files_of(str(tmp_path), "shop")
    assert os.path.basename(path).startswith("shop-")


def test_records_go_to_several_places_at_once(tmp_path, run, logged, tailrace):
    program = """
import sys
from tailrace_sdk import RealtimeLogger
with RealtimeLogger(sys.argv[1], server=sys.argv[2], stdout=True, fields={"service": "shop"}) as logger:
    for number in range(1000):
        logger.log({"message": f"line {number}"})
    assert logger.flush(20)
    assert [one["written"] for one in logger.get_stats()["sinks"]] == [1000] * 3
"""
    from tailrace_sdk import LogReader

    printed = run(program, tmp_path / "logs", tailrace.url).stdout
    wanted = [f"line {number}" for number in range(1000)]
    assert [json.loads(line)["message"] for line in printed.splitlines()] == wanted
    assert [record["message"] for record in logged(tmp_path / "logs")] == wanted
    stored = list(LogReader(server=tailrace.url).records())
    assert [record["message"] for record in stored] == wanted
    assert {(record["service"], record["host"]) for record in stored} == {("shop", socket.gethostname())}


def test_a_process_has_one_logger_and_a_new_one_after_its_end(tmp_path):
    logger = get_realtime_logger(str(tmp_path), "shop")
    try:
        assert get_realtime_logger() is logger
    finally:
        logger.shutdown()
    again = get_realtime_logger(str(tmp_path))
    assert again is not logger
    again.shutdown()


def test_the_environment_says_where_the_logger_of_the_process_writes(run, tmp_path, logged, tailrace):
    program = "from tailrace_sdk import get_realtime_logger; get_realtime_logger().log({'message': 'x'})"
    run(program, TAILRACE_LOG_DIR=str(tmp_path / "logs"), TAILRACE_SERVER=tailrace.url)
    assert [record["message"] for record in logged(tmp_path / "logs")] == ["x"]
    from tailrace_sdk import LogReader

    assert [record["message"] for record in LogReader(server=tailrace.url).records()] == ["x"]


@pytest.mark.parametrize("name", ["log", "log_many", "flush", "get_stats", "shutdown"])
def test_every_method_says_what_it_does(name):
    assert getattr(RealtimeLogger, name).__doc__
