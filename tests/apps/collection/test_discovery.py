"""A. Which files are followed, and where reading begins."""

import os
import socket
import stat

import pytest

from tailrace.limits import MIB
from tests.apps.collection.oracle import KEPT, Log
from tests.apps.programs import until


@pytest.mark.scenario("A01", "a file appears in an empty directory, later it grows")
def test_a_new_file_is_read_from_its_first_byte_and_as_it_grows(agent, place):
    log = Log(place / "narrow" / "a.log")
    log.write(2)
    agent.comes_to(place, 2)
    log.write(1)
    assert agent.verdict(place, log) == KEPT
    assert {record["path"] for record in agent.records(place)} == {str(log.path)}


@pytest.mark.scenario("A02", "`start = end`: a file is there already and grows")
def test_what_stood_there_before_is_left_out_when_reading_starts_at_the_end(follow, logs):
    before = Log(logs / "a.log")
    before.write(3)
    agent = follow(logs / "*.log", "--start", "end")
    agent.fence()
    after = Log(logs / "a.log", name="after")
    after.write(1)
    assert agent.verdict(logs, after) == KEPT
    assert agent.messages(logs) == after.complete


@pytest.mark.scenario("A03", "`start = end`: a file appears later, with lines in it")
def test_a_later_file_is_read_from_its_first_byte_although_others_start_at_their_end(follow, logs):
    agent = follow(logs / "*.log", "--start", "end")
    agent.fence()
    log = Log(logs / "new.log")
    log.write(2)
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario("A04", "`start = end`: lines are written while the agent is down")
def test_a_known_place_goes_before_start_at_the_end(follow, logs):
    log = Log(logs / "a.log")
    agent = follow(logs / "*.log", "--start", "end")
    agent.fence()
    log.write(2)
    agent.comes_to(logs, 2)
    agent.stop()
    log.write(3)
    agent.start()
    assert agent.verdict(logs, log) == KEPT


@pytest.mark.scenario(
    "A05",
    "a new file holds nine bytes and gets no more",
    others="Filebeat 9 waits until a file has 1,024 bytes (beats#44780)",
)
def test_one_short_line_does_not_wait_for_more(agent, place):
    (place / "narrow" / "short.log").write_bytes(b"nine byt\n")
    until(lambda: agent.messages(place) == ["nine byt"])


@pytest.mark.scenario(
    "A07", "an empty file stays empty for a while", others="rsyslog lost the first line (rsyslog#4648)"
)
def test_an_empty_file_is_no_record_and_its_first_line_is_one(agent, place):
    log = Log(place / "narrow" / "a.log")
    agent.fence()
    assert agent.count(place) == 0
    log.write(2)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("A08", "two globs match the same file; a directory is excluded")
def test_a_file_that_two_globs_match_is_read_once_and_an_excluded_one_never(follow, logs):
    (logs / "not").mkdir()
    log, excluded = Log(logs / "a.log"), Log(logs / "not" / "b.log")
    log.write(5)
    excluded.write(5)
    agent = follow(logs / "*.log", logs / "**" / "a*", logs / "**", TAILRACE_COLLECT__EXCLUDE=str(logs / "not"))
    assert agent.verdict(logs, log) == KEPT
    assert not [path for path in agent.open_files if path == str(excluded.path)]


@pytest.mark.scenario("A09", "a file is matched by its path and by a symbolic link; the link goes away")
def test_a_file_and_a_link_to_it_are_one_and_it_stays_followed_without_the_link(agent, place):
    log = Log(place / "narrow" / "real.log")
    link = place / "deep" / "link.log"
    link.symlink_to(log.path)
    log.write(3)
    assert agent.verdict(place, log) == KEPT
    link.unlink()
    log.write(3)
    assert agent.verdict(place, log) == KEPT


@pytest.mark.scenario("A11", "directories appear below `**`, are deleted and made again")
def test_directories_that_come_and_go_are_followed_at_any_depth(agent, place):
    written = []
    for depth in ("deep/one", "deep/one/two/three", "deep/four"):
        (place / depth).mkdir(parents=True)
        written.append(Log(place / depth / "a.log", name=depth))
        written[-1].write(5)
    assert agent.verdict(place, *written) == KEPT
    written[2].close()
    written[2].path.unlink()
    (place / "deep" / "four").rmdir()
    agent.fence()
    (place / "deep" / "four").mkdir()
    written.append(Log(place / "deep" / "four" / "a.log", name="again"))
    written[-1].write(5)
    assert agent.verdict(place, *written) == KEPT


@pytest.mark.scenario("A19", "the first log appears in a directory that a glob reaches, and that was empty")
def test_the_first_log_of_a_directory_is_found_at_once(follow, logs):
    (logs / "app").mkdir()
    agent = follow(logs / "*" / "*.log")
    agent.fence()
    log = Log(logs / "app" / "a.log")
    log.write(5)
    assert agent.verdict(logs, log, seconds=4) == KEPT


@pytest.mark.scenario("A12", "a file may not be read at first")
def test_a_file_that_may_not_be_read_is_said_once_and_read_when_it_may(follow, logs):
    under = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search") if os.geteuid() == 0 else ()
    log = Log(logs / "a.log")
    log.write(5)
    log.path.chmod(0)
    agent = follow(logs / "*.log", under=under)
    until(lambda: "Permission denied" in agent.problems)
    for _ in range(3):
        agent.fence()
    assert agent.said.count("Permission denied") <= 1
    log.path.chmod(0o644)
    assert agent.verdict(logs, log) == KEPT
    until(lambda: agent.problems == "")


@pytest.mark.scenario("A13", "a dangling link, a pipe, a directory, a socket and a device have names like logs")
def test_what_is_no_file_is_left_alone_and_blocks_nobody(agent, place):
    narrow = place / "narrow"
    (narrow / "dangling.log").symlink_to(narrow / "nowhere")
    os.mkfifo(narrow / "pipe.log")
    (narrow / "directory.log").mkdir()
    (narrow / "device.log").symlink_to("/dev/zero")
    if os.geteuid() == 0:
        os.mknod(narrow / "node.log", 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    log = Log(narrow / "a.log")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.open(narrow, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{here}/s.log")
        os.close(here)
        log.write(5)
        assert agent.verdict(place, log) == KEPT
    held = {path for path in agent.open_files if path.startswith(str(narrow))}
    assert held == {str(log.path), str(narrow / "quiet.log")}


@pytest.mark.scenario(
    "A16",
    "200 files, 100 descriptors",
    others="Filebeat dropped the state of files that it could not open, and read them again",
)
def test_more_files_than_descriptors_are_all_read_once_and_go_on_after_a_restart(follow, logs):
    written = [Log(logs / f"{number}.log", name=f"{number}") for number in range(200)]
    for log in written:
        log.write(3)
    agent = follow(logs / "*.log", under=("prlimit", "--nofile=100"))
    assert agent.verdict(logs, *written) == KEPT
    for log in written:
        log.write(2)
    assert agent.verdict(logs, *written) == KEPT
    assert len(agent.open_files) <= 100
    agent.restart()
    for log in written[::7]:
        log.write(1)
    assert agent.verdict(logs, *written) == KEPT


@pytest.mark.scenario("A17", "10,000 idle files; any of them gets a line")
def test_ten_thousand_idle_files_cost_little_and_a_new_line_in_any_is_found(follow, logs):
    for number in range(10_000):
        (logs / f"{number}.log").write_text(f"first of {number}\n")
    agent = follow(logs / "*.log", "--start", "end")
    until(lambda: agent.server.get("/api/v1/status")["files"] > 0)
    late = Log(logs / "late.log")
    late.write(1)
    agent.comes_to(logs, 1)
    written = [Log(logs / f"{number}.log", name=f"{number}") for number in (0, 9_999, 4_321)]
    for log in written:
        log.write(1)
    assert agent.verdict(logs, late, *written) == KEPT
    assert len(agent.open_files) < 10_000
    assert agent.memory_peak_bytes < 400 * MIB


@pytest.mark.scenario("A18", "the kernel reports no changes (as on NFS): files are renamed and written")
def test_without_any_report_of_the_kernel_nothing_is_missed(follow, logs, root):
    alone = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
    agent = follow(logs / "*.log*", under=("unshare", "--user", "--map-root-user", "sh", "-c", alone, "sh"))
    assert "anon_inode:inotify" not in agent.open_files
    log = Log(logs / "app.log")
    for _ in range(3):
        log.write(20)
        log.shift()
        log.write(20)
        agent.comes_to(logs, len(log.complete))
    assert agent.verdict(logs, log) == KEPT
