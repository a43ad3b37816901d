"""Scenarios that have to wait: all run at once, each in a thread, and the module takes as long as the longest."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.apps.collection.following import Follower
from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import until

pytestmark = [pytest.mark.xdist_group("patience"), pytest.mark.timeout(300)]

_SCENARIOS: dict[str, Callable[[Path, Follower], None]] = {}


def waiting(function: Callable[[Path, Follower], None]) -> Callable[[Path, Follower], None]:
    """Have a scenario run beside the others: below a directory of its own, which an agent for all of them follows."""
    _SCENARIOS[function.__name__] = function
    return function


@pytest.fixture(scope="module")
def outcome(tmp_path_factory):
    """Start all scenarios; return a function that waits for one and raises what it raised."""
    base = tmp_path_factory.mktemp("patience")
    for name in _SCENARIOS:
        (base / "places" / name).mkdir(parents=True)
        (base / "places" / name / "quiet.log").touch()
    agent = Follower(base / "data", base / "places" / "*" / "*.log").start()
    with ThreadPoolExecutor(len(_SCENARIOS)) as threads:
        running: dict[str, Future[None]] = {
            name: threads.submit(scenario, base / "places" / name, agent) for name, scenario in _SCENARIOS.items()
        }
        yield lambda scenario: running[scenario.__name__].result()
    agent.end()


def pass_by(seconds: float) -> None:
    """Let time pass: that nothing happens in it is a part of the scenario."""
    end = time.monotonic() + seconds
    until(lambda: time.monotonic() > end, seconds + 5)


@waiting
def slow_writer(place, agent):
    log = Log(place / "app.log")
    log.write(20)
    agent.comes_to(place, 20)
    late, fresh = Log(log.rename("app.old", reopen=False), name="late"), Log(log.path, name="fresh")
    for _ in range(60):
        pass_by(1)
        late.write(1)
        fresh.write(3)
    assert agent.verdict(place, log, late, fresh) == KEPT


@pytest.mark.scenario(
    "B04",
    "renamed; the application writes a line into the old file every second, for a minute",
    others="Fluent Bit and Fluentd let the old file go after five seconds (`rotate_wait`)",
)
def test_a_renamed_file_is_followed_for_as_long_as_it_is_written(outcome):
    outcome(slow_writer)


@waiting
def half_line(place, agent):
    log = Log(place / "app.log")
    line = log.line()
    log.raw(line.encode()[:30])
    pass_by(5)
    assert agent.count(place) == 0
    log.raw(line.encode()[30:] + b"\n")
    log.complete.append(line)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario(
    "C01",
    "the second half of a line is written five seconds after the first",
    others="The OpenTelemetry collector makes two records of it after half a second",
)
def test_the_halves_of_a_line_are_one_record_five_seconds_later(outcome):
    outcome(half_line)


@waiting
def last_lines(place, agent):
    for name in ("kept", "renamed", "deleted"):
        path = place / f"{name}.log"
        path.write_text("whole\nlast without newline")
        agent.comes_to(path, 1)
        if name == "renamed":
            path.rename(place / "renamed.old")
        if name == "deleted":
            path.unlink()
    for name in ("kept", "renamed", "deleted"):
        until(lambda name=name: agent.messages(place / f"{name}.log") == ["whole", "last without newline"], 40)
    agent.fence()
    assert agent.count(place) == 6


@pytest.mark.scenario("C03", "the last line has no newline: the file is closed, renamed, deleted")
def test_a_last_line_without_newline_comes_once_when_nobody_goes_on_with_it(outcome):
    outcome(last_lines)


@waiting
def quiet_trace(place, agent):
    event = "2026-11-20 08:00:00,123 ERROR failed\njava.lang.Error: no\n\tat com.shop.Checkout.pay(Checkout.java:42)\n"
    log = place / "app.log"
    log.write_text("2026-11-20 08:00:00,000 INFO before\n" + event)
    until(lambda: event.rstrip("\n") in agent.messages(place), 20)
    pass_by(10)
    with log.open("a") as file:
        file.write("2026-11-20 08:05:00,000 INFO five minutes later\n")
    agent.comes_to(place, 3)
    assert len(agent.messages(place)) == 3


@pytest.mark.scenario("C17", "a stack trace, and no line after it for a long time")
def test_a_stack_trace_is_one_event_and_does_not_wait_for_the_next_line(outcome):
    outcome(quiet_trace)


@waiting
def stopped_and_continued(place, _):
    (place / "logs").mkdir()
    log = Log(place / "logs" / "app.log")
    agent = Follower(place / "data", place / "logs" / "*.log*").start()
    try:
        log.write(50)
        agent.comes_to(place, 50)
        os.kill(agent.pid, signal.SIGSTOP)
        for _ in range(30):
            log.write(20)
            log.shift()
            log.write(20)
            pass_by(1)
        os.kill(agent.pid, signal.SIGCONT)
        assert agent.verdict(place / "logs", log) == KEPT
        os.kill(agent.pid, signal.SIGTERM)
        os.kill(agent.pid, signal.SIGTERM)
        agent.server.process.wait(20)
        agent.server.process.stdout.close()
        log.write(20)
        agent.start()
        assert agent.verdict(place / "logs", log) == KEPT
    finally:
        agent.end()


@pytest.mark.scenario("D17", "the agent is stopped for half a minute and goes on; later it gets SIGTERM twice")
def test_an_agent_that_was_stopped_for_a_while_finds_everything(outcome):
    outcome(stopped_and_continued)


@waiting
def mounted_over(place, agent):
    if os.geteuid() != 0:
        return
    logs = []
    (place / "quiet.log").unlink()
    for name in ("one", "two"):
        if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", place], check=False, capture_output=True).returncode:
            return
        try:
            log = Log(place / "a.log", name=name)
            log.write(20)
            log.close()
            logs.append((log, log.path.stat().st_ino))
            agent.comes_to(place, 20 * len(logs), 40)
        finally:
            subprocess.run(["umount", "-l", place], check=True)
    assert logs[0][1] == logs[1][1]
    assert agent.verdict(place, *(log for log, _ in logs)) == KEPT


@pytest.mark.scenario("B29", "another file system is mounted over the directory: same path, same inode number")
def test_a_file_of_another_device_is_another_file(outcome, root):
    outcome(mounted_over)
