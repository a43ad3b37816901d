"""B. Files are renamed, copied, emptied, deleted, replaced and compressed, while the agent runs or is down."""

import gzip
import os
import random
import shutil

import pytest

from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import until

MUCH = 10_000_000


def on_a_used_inode(path, log: Log) -> None:
    """Replace a file by a new one that gets the inode of the old one, as ext4 gives it; skip where it never happens."""
    for _ in range(200):
        inode = path.stat().st_ino
        log.close()
        path.unlink()
        log.open()
        if path.stat().st_ino == inode:
            log.next_generation()
            return
    pytest.skip("this file system does not use an inode again")


def compress(path, *, remove: bool = True):
    """Compress a file as logrotate does."""
    packed = path.with_name(f"{path.name}.gz")
    with path.open("rb") as source, gzip.open(packed, "wb") as target:
        shutil.copyfileobj(source, target)
    if remove:
        path.unlink()
    return packed


@pytest.mark.scenario("B01", "renamed; the application writes into both the old and a new file")
@pytest.mark.parametrize("matched", ["wide", "narrow"])
def test_a_renamed_file_and_the_new_one_are_both_read(agent, place, matched):
    log = Log(place / matched / "app.log")
    log.write(20)
    agent.comes_to(place, 20)
    old = log.rename("app.log.1", reopen=False)
    late = Log(old, name="late")
    fresh = Log(log.path, name="fresh")
    for _ in range(10):
        late.write(2)
        fresh.write(2)
    assert agent.verdict(place, log, late, fresh) == KEPT


@pytest.mark.scenario("B02", "three rotations within a second, of three files")
def test_rapid_rotations_of_several_files_lose_no_generation(agent, place):
    logs = [Log(place / "wide" / f"{name}.log") for name in "abc"]
    for _ in range(3):
        for log in logs:
            log.write(50)
            log.shift()
    for log in logs:
        log.write(50)
    assert agent.verdict(place, *logs) == KEPT


@pytest.mark.scenario("B03", "renamed out of the glob with a thousand unread lines")
def test_a_file_that_is_renamed_out_of_the_glob_is_read_to_its_end(agent, place):
    log = Log(place / "narrow" / "app.log")
    log.write(1)
    agent.comes_to(place, 1)
    log.write(1000)
    log.rename("app.log.1")
    log.write(10)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("B06", "renamed, then deleted at once, with ten megabytes unread")
def test_a_file_that_is_deleted_unread_is_read_to_its_end(agent, place):
    log = Log(place / "wide" / "app.log")
    log.write(1)
    agent.comes_to(place, 1)
    log.write(MUCH // 1000, payload="x" * 900)
    log.rename("app.log.1").unlink()
    log.write(10)
    assert agent.verdict(place, log, seconds=60) == KEPT


@pytest.mark.scenario("B07", "deleted and made again under the same path: shorter, longer, of equal length")
@pytest.mark.parametrize("lines", [3, 40, 10])
def test_a_file_that_is_made_again_is_a_new_one(agent, place, lines):
    log = Log(place / "narrow" / "app.log")
    log.write(10, payload="a")
    agent.comes_to(place, 10)
    log.close()
    log.path.unlink()
    log.open()
    log.next_generation()
    log.write(lines, payload="b")
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario(
    "B08",
    "while the agent is down a file is deleted, and another content gets its inode and grows past the old offset",
    others=(
        "Agents that know files by inode skip the beginning: fluent-bit#1875, fluent-bit#4895, fluent-bit#8025, "
        "beats#1341, vector#23076, rsyslog#6292"
    ),
)
def test_another_content_under_a_used_inode_is_read_from_its_first_byte(follow, logs):
    log = Log(logs / "a.log")
    log.write(10)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 10)
    agent.stop()
    on_a_used_inode(log.path, log)
    log.write(60)
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario(
    "B10",
    "copied to `.1`, which the glob matches too, and truncated, again and again",
    others="Filebeat sent the copy again, whole (beats#39731)",
)
def test_the_copy_of_copytruncate_is_not_read_again(agent, place):
    log = Log(place / "wide" / "app.log")
    for generation in range(1, 5):
        log.write(50)
        agent.comes_to(place, len(log.complete))
        log.copy_truncate(f"app.log.{generation}")
        agent.fence()
    log.write(50)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("B10s", "copied to `.1` and truncated, and the older copies move on, as with logrotate")
@pytest.mark.parametrize("when", ["read", "unread"])
def test_copies_that_move_on_to_higher_numbers_are_not_read_again(agent, place, when):
    log = Log(place / "wide" / "app.log")
    for generation in range(1, 7):
        log.write(100 * generation)
        if when == "read":
            agent.comes_to(place, len(log.complete))
        for number in range(generation - 1, 0, -1):
            (place / "wide" / f"app.log.{number}").rename(place / "wide" / f"app.log.{number + 1}")
        if when == "unread":
            agent.comes_to(place, len(log.complete) - 100 * generation + 1)  # its beginning was read
        log.copy_truncate("app.log.1")
    log.write(50)
    assert agent.verdict(place, log) == KEPT


def copy_in_two_steps(agent, place, seen_bytes: int) -> Log:
    """Copy and truncate; the agent looks when so much of the copy is there."""
    log = Log(place / "wide" / "app.log")
    log.write(100)
    agent.comes_to(place, 100)
    data = log.path.read_bytes()
    with (place / "wide" / "app.log.1").open("wb", buffering=0) as copy:
        copy.write(data[:seen_bytes])
        agent.fence()
        copy.write(data[seen_bytes:])
    os.truncate(log.path, 0)
    log.next_generation()
    log.write(50)
    return log


@pytest.mark.scenario("B10e", "the copy of copytruncate is seen when it is still empty")
def test_a_copy_that_is_seen_empty_is_not_read_again(agent, place):
    log = copy_in_two_steps(agent, place, 0)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("B10h", "the copy of copytruncate is seen when it is half done")
def test_a_copy_that_is_seen_half_done_is_not_read_again(agent, place):
    log = copy_in_two_steps(agent, place, 1000)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("B10c", "copied and truncated while some of it is unread")
def test_what_only_the_copy_of_copytruncate_holds_is_read_from_it(agent, place):
    log = Log(place / "wide" / "app.log")
    for generation in range(1, 5):
        log.write(400)
        log.copy_truncate(f"app.log.{generation}")
        log.write(3)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario(
    "B11",
    "copied and truncated, and grown past the old offset before anybody looked",
    others="Agents that compare only the size read on in the middle: vlagent, Alloy, Fluentd, rsyslog, Fluent Bit",
)
def test_a_truncated_file_that_grew_past_the_old_offset_is_read_from_its_first_byte(agent, place):
    log = Log(place / "narrow" / "app.log")
    for generation in range(1, 6):
        log.write(5 * generation)
        agent.comes_to(place, len(log.complete))
        log.copy_truncate("app.old")
        log.write(40 * generation)
        agent.comes_to(place, len(log.complete))
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario(
    "B13",
    "two generations share their first two kilobytes, over a rename and over a truncation",
    others="Knowing files by their first bytes alone took the second for the first (otel#19765, otel#43693)",
)
@pytest.mark.parametrize("how", ["rename", "truncate"])
def test_generations_that_begin_alike_are_both_whole(agent, place, how):
    banner = b"".join(b"# %03d banner of the application\n" % number for number in range(70))
    log = Log(place / "wide" / "app.log")
    log.raw(banner)
    log.write(10)
    agent.comes_to(place, 80)
    if how == "rename":
        log.rename("app.log.1")
    else:
        log.copy_truncate("app.log.1")
    log.raw(banner)
    log.write(10)
    agent.comes_to(place, 160)
    agent.fence()
    found = agent.messages(place)
    assert [line for line in found if line.startswith("#")] == 2 * banner.decode().splitlines()
    assert [line for line in found if not line.startswith("#")] == log.complete


@pytest.mark.scenario(
    "B14",
    "three files with the same first line diverge, before, during and after a restart",
    others="A growing fingerprint mixes such files up, or waits (otel, Filebeat)",
)
def test_files_that_begin_alike_are_not_mixed_up(follow, logs):
    header = "2026-11-20T08:00:00Z INFO header of all\n"
    written = [Log(logs / f"{name}.log") for name in "abc"]
    for log in written:
        log.raw(header.encode())
    agent = follow(logs / "*.log")
    written[0].write(5)
    agent.comes_to(logs, 8)
    agent.stop()
    written[0].write(1)
    written[1].write(5)
    agent.start()
    written[2].write(5)
    for log in written:
        agent.comes_to(log.path, 1 + len(log.complete))
    agent.fence()
    for log in written:
        assert agent.messages(log.path) == [header.strip(), *log.complete]


@pytest.mark.scenario(
    "B15",
    "two files stay identical, byte by byte",
    others="The OpenTelemetry collector takes the second for the first, by design",
)
def test_identical_files_are_two(agent, place):
    for name in "ab":
        (place / "narrow" / f"{name}.log").write_text("same\nbytes\n")
    agent.comes_to(place, 4)
    agent.fence()
    for name in "ab":
        assert agent.messages(place / "narrow" / f"{name}.log") == ["same", "bytes"]


@pytest.mark.scenario("B17", "the last lines are cut off; then it grows again")
def test_a_file_that_was_cut_back_is_read_again_from_its_first_byte_and_nothing_is_torn(agent, place):
    log = Log(place / "narrow" / "app.log")
    log.write(10)
    agent.comes_to(place, 10)
    kept = "".join(f"{line}\n" for line in log.complete[:6]).encode()
    os.truncate(log.path, len(kept))
    agent.comes_to(place, 16)
    log.next_generation()
    log.write(5)
    verdict = agent.verdict(place, log)
    assert (verdict.lost, verdict.torn) == ([], [])
    assert verdict.doubled == log.complete[:6]


@pytest.mark.scenario("B19", "a symbolic link switches to another file; the first is still written")
def test_both_targets_of_a_link_that_switches_are_read(agent, place):
    first, second = Log(place / "first"), Log(place / "second")
    link = place / "narrow" / "current.log"
    link.symlink_to(first.path)
    first.write(10)
    agent.comes_to(place, 10)
    fresh = place / "fresh"
    fresh.symlink_to(second.path)
    fresh.rename(link)
    for _ in range(5):
        first.write(3)
        second.write(3)
    assert agent.verdict(place, first, second) == KEPT


@pytest.mark.scenario(
    "B21",
    "Kubernetes rotates a container's log in the middle of a split line, and compresses it",
    others="fluent-bit#2110, fluent-bit#11455",
)
def test_the_parts_of_a_container_line_are_joined_over_a_rotation(follow, logs):
    pod = logs / "pods" / "shop_checkout-1_0a1b" / "checkout"
    pod.mkdir(parents=True)
    log = pod / "0.log"
    link = logs / "containers" / "checkout-1_shop_checkout-c0ffee.log"
    link.parent.mkdir()
    link.symlink_to(log)
    at = "2026-11-20T08:00:00.{:09d}Z stdout {} {}\n"
    log.write_text(at.format(1, "F", "one"))
    agent = follow(logs / "containers" / "*.log")
    agent.comes_to(logs, 1)
    with log.open("a") as file:
        file.write(at.format(2, "P", "left ") + at.format(3, "P", "middle "))
    old = log.rename(pod / "0.log.20261120-080000")
    log.write_text(at.format(4, "F", "right") + at.format(5, "F", "two"))
    agent.comes_to(logs, 3)
    compress(old)
    agent.fence()
    assert agent.messages(logs) == ["one", "left middle right", "two"]


@pytest.mark.scenario(
    "B22",
    "while the agent is down the log is rotated twice and compressed, with a thousand unread lines",
    others="vector#22954, fluentd#3777, beats#45300; Alloy reads it all again under the new name",
)
def test_unread_lines_of_a_log_that_was_rotated_twice_and_compressed_come_once(follow, logs):
    log = Log(logs / "app.log")
    log.write(100)
    agent = follow(logs / "app.log*")
    agent.comes_to(logs, 100)
    agent.stop()
    log.write(1000)
    log.shift()
    log.write(100)
    log.shift()
    log.write(100)
    compress(logs / "app.log.2")
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario(
    "B23",
    "while the agent is down a file is renamed, and goes on under the other name",
    others="Alloy knows files by path, and reads it again",
)
def test_a_file_that_was_renamed_while_down_goes_on_where_it_was(follow, logs):
    log = Log(logs / "app.log")
    log.write(50)
    agent = follow(logs / "*.log")
    agent.comes_to(logs, 50)
    agent.stop()
    log.rename("other.log", reopen=False)
    log.write(50)
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("B24", "while the agent is down a log is rotated twice, both times out of the glob")
def test_all_generations_that_were_renamed_out_of_the_glob_while_down_are_read(follow, logs):
    log = Log(logs / "app.log")
    log.write(50)
    agent = follow(logs / "app.log")
    agent.comes_to(logs, 50)
    agent.stop()
    log.write(50)
    log.shift()
    log.write(50)
    log.shift()
    log.write(50)
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("B25", "a file is compressed while it is still being read")
def test_a_file_and_its_compressed_copy_are_one(agent, place):
    log = Log(place / "wide" / "app.log")
    log.write(1)
    agent.comes_to(place, 1)
    log.write(20_000, payload="x" * 300)
    compress(log.rename("app.log.1"))
    log.write(10)
    assert agent.verdict(place, log, seconds=60) == KEPT


@pytest.mark.scenario(
    "B26", "a compressed file is written piece by piece, has two members, and the agent restarts between"
)
def test_a_compressed_file_gives_all_its_lines_once_when_it_is_complete(follow, logs):
    log = Log(logs / "app.log.1")
    log.write(300)
    first = gzip.compress(log.path.read_bytes())
    log.path.write_bytes(b"")
    log.write(300)
    data = first + gzip.compress(log.path.read_bytes())
    log.close()
    log.path.unlink()
    agent = follow(logs / "app.log*")
    with (logs / "app.log.1.gz").open("ab", buffering=0) as packed:
        for cut in (12, len(first) // 2, len(first) + 5):
            packed.write(data[packed.tell() : cut])
            agent.fence()
        agent.restart()
        packed.write(data[packed.tell() :])
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("B26d", "a compressed file is damaged in the middle; its checksum is wrong")
@pytest.mark.parametrize("damaged", ["middle", "checksum"])
def test_a_damaged_compressed_file_gives_what_is_before_the_damage_and_says_so(follow, logs, damaged):
    log = Log(logs / "app.log.1")
    log.write(20_000)
    data = bytearray(gzip.compress(log.path.read_bytes()))
    log.close()
    log.path.unlink()
    begin, length = (len(data) // 2, 1000) if damaged == "middle" else (len(data) - 8, 4)
    data[begin : begin + length] = random.Random(1).randbytes(length)
    (logs / "app.log.1.gz").write_bytes(data)
    agent = follow(logs / "app.log*")
    until(lambda: "app.log.1.gz" in agent.problems)
    sound = 9_000 if damaged == "middle" else 20_000
    agent.comes_to(logs, sound)
    found = agent.messages(logs)
    assert found[:sound] == log.complete[:sound]


@pytest.mark.scenario("B28", "truncated while the agent can write nothing: its disk is full")
def test_a_file_that_is_truncated_while_nothing_can_be_taken_is_whole_afterwards(follow, logs, small_disk):
    log = Log(logs / "app.log")
    log.write(10)
    agent = follow(logs / "*.log", name="disk/data")
    agent.comes_to(logs, 10)
    small_disk.fill()
    log.write(3000, payload="x" * 200)
    until(lambda: "cannot be written" in agent.problems)
    log.copy_truncate("app.log.1.log")
    log.write(50)
    small_disk.free()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario(
    "B30", "the times of a file change, and nothing else", others="Filebeat sent it again (`resend_on_touch`)"
)
def test_a_touched_file_is_not_read_again(agent, place):
    log = Log(place / "narrow" / "app.log")
    log.write(10)
    agent.comes_to(place, 10)
    for seconds in (1_000_000_000, 2_000_000_000):
        os.utime(log.path, (seconds, seconds))
        agent.fence()
    log.path.touch()
    assert agent.verdict(place, log) == KEPT
