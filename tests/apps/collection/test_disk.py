"""F. The disk of the agent is full, slow to start from, of another version, or gives errors; that of the logs, too."""

import os
import signal
import subprocess

import pytest

from tailrace.limits import MIB
from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import until


@pytest.mark.scenario(
    "F01",
    "the agent's disk is full while logs are written and rotated; it is restarted in the middle",
    others="Vector ends, by design; the OpenTelemetry collector drops what it cannot queue",
)
def test_a_full_disk_stops_reading_and_everything_comes_when_there_is_room(follow, logs, small_disk):
    log = Log(logs / "app.log")
    log.write(10)
    agent = follow(logs / "*.log*", name="disk/data")
    agent.comes_to(logs, 10)
    small_disk.fill()
    log.write(3000, payload="x" * 200)
    until(lambda: "cannot be written" in agent.problems)
    log.shift()
    log.write(3000, payload="y" * 200)
    agent.restart()
    until(lambda: "cannot be written" in agent.problems)
    log.shift()
    log.write(100)
    assert agent.server.call("GET", "/healthz")[0] == 200
    assert agent.memory_peak_bytes < 500 * MIB
    small_disk.free()
    assert agent.verdict(logs, log) == KEPT
    assert agent.problems == ""


@pytest.mark.scenario(
    "F06", "killed with a backlog that is stored nowhere but on the bus", others="fluent-bit#5166, vector#26035"
)
def test_a_start_with_a_backlog_is_bounded_in_memory(follow, logs):
    log = Log(logs / "a.log")
    agent = follow(logs / "*.log")
    for _ in range(10):
        log.write(10_000, payload="x" * 300)
    until(lambda: agent.server.get("/api/v1/status")["records"] >= 100_000, 60)
    agent.stop(signal.SIGKILL)
    agent.start()
    assert agent.server.get("/api/v1/status")["records"] == 100_000
    assert agent.memory_peak_bytes < 500 * MIB
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("F08", "the head of a segment of the bus is of another version")
def test_a_segment_of_another_version_is_set_aside_and_said(follow, logs):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 10)
    agent.stop(signal.SIGKILL)
    (segment,) = (agent.directory / "bus").glob("*.seg")
    with segment.open("r+b") as file:
        file.write(b"\xff" * 8)
    agent.start()
    assert list((agent.directory / "bus").glob("*.damaged"))
    later = Log(logs / "a.log", name="later")
    later.write(10)
    agent.comes_to(logs, 10)
    agent.fence()
    assert set(later.complete) <= set(agent.messages(logs))
    assert set(log.complete) <= set(agent.messages(logs)) or "damage" in agent.problems


@pytest.mark.scenario("F09", "the disk of a log gives errors for a while")
def test_a_file_that_gives_errors_is_said_and_read_when_it_can_be(follow, logs, root, tmp_path):
    image, where = tmp_path / "image", logs / "disk"
    where.mkdir()
    with image.open("wb") as file:
        file.truncate(64 * MIB)
    made = subprocess.run(["mkfs.ext4", "-q", "-b", "4096", image], check=False, capture_output=True)
    if (
        made.returncode
        or subprocess.run(["mount", "-o", "loop", image, where], check=False, capture_output=True).returncode
    ):
        pytest.skip("this machine does not let us mount a file")
    try:
        log = Log(where / "a.log")
        for _ in range(40):
            log.write(100, payload="x" * 1000)
        log.close()
        subprocess.run(["umount", where], check=True)
        kept = image.read_bytes()
        subprocess.run(["mount", "-o", "loop", image, where], check=True)
        os.stat(log.path)
        os.truncate(image, 4 * MIB)  # what lies behind can no longer be read
        agent = follow(where / "*.log")
        until(lambda: "Input/output error" in agent.problems)
        assert agent.server.call("GET", "/healthz")[0] == 200
        with image.open("r+b") as file:
            file.write(kept)
        assert agent.verdict(where, log) == KEPT
    finally:
        subprocess.run(["umount", "-l", where], check=False)
