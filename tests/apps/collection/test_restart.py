"""D. The agent ends in every way there is, and what it remembers is damaged.

``SEED=7`` repeats a run of the kills at random moments, ``KILLS=50`` makes more of them.
"""

import os
import random
import shutil
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from tailrace.limits import MIB
from tests.apps.collection.following import Follower
from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import TAILRACE, environment, until

KILLS = int(os.environ.get("KILLS", "20"))
SEED = int(os.environ.get("SEED", "3"))
ROTATE_LINES = 400
DOWN_LINES = 800
LIFE_LINES = 300


class Application(threading.Thread):
    """Writes into a log all the time, in random pieces, and rotates it now and then, in one way or another.

    It rests when it has written as many lines as it ``may``: however long an agent takes to start, each life finds
    as much, and a slow machine has no more to do than a fast one.
    """

    def __init__(self, path: Path, how: str, seed: str) -> None:
        super().__init__()
        self.log = Log(path)
        self._how = how
        self._chance = random.Random(seed)
        self._stopping = threading.Event()
        self._rotations = 0
        self._lines_max = 0

    @property
    def lines(self) -> int:
        """How many lines it has written."""
        return len(self.log.complete)

    def may(self, more: int) -> None:
        """Write so many lines from now on, and a few."""
        self._lines_max = self.lines + more

    def run(self) -> None:
        rotated_at = 0
        while not self._stopping.wait(self._chance.uniform(0, 0.02)):
            if self.lines > self._lines_max:
                continue
            line = self.log.line()
            data = f"{line}\n".encode()
            half = self._chance.randint(0, len(data))
            self.log.raw(data[:half])
            self.log.raw(data[half:])
            self.log.complete.append(line)
            self.log.write(self._chance.randint(1, 15))
            if self.lines - rotated_at > ROTATE_LINES:
                rotated_at = self.lines
                self._rotate()

    def _rotate(self) -> None:
        self._rotations += 1
        if self._how == "shift":
            self.log.shift()
        elif self._how == "date":
            self.log.rename(f"{self.log.path.name}-20261120-{self._rotations:06d}")
        elif self._how == "copy":
            self.log.copy_truncate(f"{self.log.path.name}.{self._rotations}")

    def stop(self) -> Log:
        self._stopping.set()
        self.join()
        return self.log


HOWS = ("shift", "date", "copy", "never")


def many_kills(base: Path, damage=None) -> tuple[Follower, list[Log], Path]:
    """Kill an agent again and again at random moments while four logs are written and rotated; return the last life.

    A moment is when some lines more were written, or taken: on a slow machine, too, some lives come to something.
    """
    chance = random.Random(SEED)
    print(f"SEED={SEED}")  # noqa: T201 - pytest shows it when the test fails
    logs = base / "logs"
    logs.mkdir()
    agent = Follower(base / "data", logs / "*.log*")
    writing = [Application(logs / f"{how}.log", how, f"{SEED} {how}") for how in HOWS]
    for one in writing:
        one.start()
    try:
        for _ in range(KILLS):
            for one in writing:
                one.may(DOWN_LINES)
            agent.start()
            lines = chance.choice([lambda: agent.taken, lambda: writing[0].lines])
            enough = lines() + chance.randint(1, LIFE_LINES)
            for one in writing:
                one.may(LIFE_LINES)
            until(lambda now=lines, wanted=enough: now() >= wanted, 60)
            agent.stop(signal.SIGKILL)
            if damage:
                damage(base / "data", chance)
    finally:
        written = [one.stop() for one in writing]
    return agent.start(), written, logs


@pytest.mark.timeout(600)
@pytest.mark.scenario(
    "D02",
    "killed again and again at random, while four logs are written and rotated in different ways",
    others="otel#31074 (what is queued in memory is lost); rsyslog reads all again; vlagent doubles up to a minute",
)
def test_every_line_is_there_once_and_in_order_after_many_kills(tmp_path):
    agent, written, logs = many_kills(tmp_path)
    try:
        assert agent.verdict(logs, *written, seconds=60) == KEPT, f"SEED={SEED}"
    finally:
        agent.end()


def leave_checkpoint(data: Path, chance: random.Random) -> None:
    """Leave the ledger in a state that a crash can leave: before the rename, between the two, after; or damaged."""
    ledger = data / "bus" / "ledger.json"
    if not ledger.exists():
        ledger.write_bytes(b"")
    whole = ledger.read_bytes()
    torn = whole[: chance.randint(0, len(whole))]
    what = chance.choice(
        ["power", "new", "torn new", "only old", "only new", "empty", "nul", "torn", "flip", "other", "version"]
    )
    if what == "power":  # of everything only what was synced some time ago is left
        segment = max((data / "bus").glob("*.seg"))
        os.truncate(segment, max(0, segment.stat().st_size - chance.randint(0, 5000)))
        shutil.rmtree(data / "store")
        ledger.unlink()
        return
    if what in ("new", "only new"):
        ledger.with_suffix(".new").write_bytes(whole)
    if what == "torn new":
        ledger.with_suffix(".new").write_bytes(torn)
    if what in ("only old", "only new"):
        ledger.replace(ledger.with_suffix(".old"))
    flipped = bytes(byte ^ (1 if at == len(whole) // 2 else 0) for at, byte in enumerate(whole))
    other = {"empty": b"", "nul": bytes(len(whole)), "torn": torn, "flip": flipped, "other": b'{"name":"web"}\n'}
    other["version"] = whole.replace(b'"version":1', b'"version":0')
    if what in other:
        ledger.write_bytes(other[what])


@pytest.mark.timeout(600)
@pytest.mark.scenario(
    "D05",
    "killed again and again, and each time the checkpoint is left as a crash can leave it, or damaged",
    others="beats#19634 (a registry that vanished sends everything again)",
)
@pytest.mark.scenario(
    "D06",
    "the checkpoint is empty, all NUL, torn, has a flipped bit, another version, or is of another program",
    others="Refuse to start: beats#3537, beats#4733, beats#25135, loki#1457, vlagent",
)
@pytest.mark.scenario(
    "D18",
    "the power fails: of bus, store and checkpoint only an older state is left",
    others="Vector answers before its buffer is synced",
)
def test_every_line_is_there_once_whatever_a_crash_left_of_the_checkpoint(tmp_path):
    agent, written, logs = many_kills(tmp_path, leave_checkpoint)
    try:
        assert agent.verdict(logs, *written, seconds=60) == KEPT, f"SEED={SEED}"
    finally:
        agent.end()


@pytest.mark.scenario("D01", "SIGTERM in the middle of reading 20,000 lines")
def test_a_stop_in_the_middle_of_reading_loses_and_doubles_nothing(follow, logs):
    log = Log(logs / "a.log")
    log.write(20_000)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 1)
    for _ in range(3):
        assert agent.stop() == 0
        log.write(5_000)
        agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("D07", "the checkpoint cannot be written: something stands in its way")
def test_following_goes_on_when_the_checkpoint_cannot_be_saved(follow, logs):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 10)
    agent.stop(signal.SIGKILL)
    (agent.directory / "bus" / "ledger.new").mkdir()
    agent.start()
    log.write(10)
    assert agent.verdict(logs, log) == KEPT
    agent.stop()
    agent.start()
    log.write(10)
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("D08", "the checkpoint's path is a symbolic link to another file")
def test_what_a_link_in_the_place_of_the_checkpoint_leads_to_is_not_touched(follow, logs, tmp_path):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 10)
    agent.stop()
    target = tmp_path / "precious"
    target.write_text("precious")
    for suffix in (".json", ".new", ".old"):
        link = (agent.directory / "bus" / "ledger").with_suffix(suffix)
        link.unlink(missing_ok=True)
        link.symlink_to(target)
    agent.start()
    log.write(10)
    assert agent.verdict(logs, log) == KEPT
    agent.restart()
    assert target.read_text() == "precious"


@pytest.mark.scenario("D09", "a second agent is started over the same data directory")
def test_a_second_agent_over_the_same_directory_says_who_has_it(follow, logs):
    log = Log(logs / "a.log")
    agent = follow(logs / "*.log")
    done = subprocess.run(
        [*TAILRACE, "up", "--data", agent.directory, "--listen", "127.0.0.1:0", *agent.arguments],
        capture_output=True, check=False, env=environment(), timeout=60,
    )  # fmt: skip
    assert (done.returncode, f"process {agent.pid}" in done.stderr.decode()) == (1, True)
    log.write(10)
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("D11", "what was written by another version: the data says a version that is not known")
def test_a_checkpoint_of_a_later_version_costs_no_line(follow, logs):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 10)
    agent.stop()
    ledger = agent.directory / "bus" / "ledger.json"
    ledger.write_bytes(b'{"version":99,"places":[]}\n00000000\n')
    log.write(10)
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario(
    "D13", "a file vanishes while the agent is down; later another one gets its inode", others="vector#23076"
)
def test_what_is_remembered_of_a_vanished_file_does_not_spoil_a_later_one(follow, logs, tmp_path):
    log = Log(logs / "a.log")
    log.write(50)
    held = tmp_path / "held"  # until somebody else needs the inode
    held.hardlink_to(log.path)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 50)
    agent.stop()
    log.close()
    log.path.unlink()
    agent.start()
    agent.fence()
    agent.stop()
    inode = held.stat().st_ino
    held.unlink()
    later = Log(logs / "later.log")
    if later.path.stat().st_ino != inode:
        pytest.skip("this file system does not use an inode again")
    later.write(100)
    agent.start()
    assert agent.verdict(logs, log, later) == KEPT


@pytest.mark.scenario("D15", "told to stop while its disk is full")
def test_a_stop_with_a_full_disk_ends_in_time_and_nothing_is_taken_for_stored(follow, logs, small_disk):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log", name="disk/data")
    agent.comes_to(logs, 10)
    small_disk.fill()
    log.write(3000, payload="x" * 200)
    until(lambda: "cannot be written" in agent.problems)
    agent.stop()
    small_disk.free()
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("D16", "stopped in order with everything taken")
def test_after_a_stop_in_order_nothing_is_read_again(follow, logs):
    log = Log(logs / "a.log")
    agent = follow(logs / "*.log")
    for _ in range(4):
        log.write(500)
        agent.comes_to(logs, len(log.complete))
        assert agent.stop() == 0
        agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("D20", "the data directory comes back from a backup, older than the logs")
def test_a_data_directory_from_a_backup_goes_on_where_the_backup_was_made(follow, logs, tmp_path):
    log = Log(logs / "a.log")
    log.write(100)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 100)
    agent.stop()
    shutil.copytree(agent.directory, tmp_path / "backup")
    agent.start()
    log.write(100)
    agent.comes_to(logs, 200)
    log.shift()
    log.write(100)
    agent.stop()
    shutil.rmtree(agent.directory)
    (tmp_path / "backup").rename(agent.directory)
    agent.start()
    verdict = agent.verdict(logs, log)
    assert verdict == KEPT


@pytest.mark.scenario("D21", "a backlog of 300,000 lines", others="vector#26035, fluent-bit#5166")
def test_a_backlog_does_not_fill_the_memory(follow, logs):
    with (logs / "a.log").open("w") as file:
        for number in range(300_000):
            file.write(f"2026-11-20T08:00:00.{number % 1000:03d}Z INFO line {number} {'x' * 100}\n")
    agent = follow(logs / "*.log")
    until(lambda: agent.server.get("/api/v1/status")["records"] == 300_000, 60)
    assert agent.memory_peak_bytes < 500 * MIB
    assert agent.count(logs) == 300_000
