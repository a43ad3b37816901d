"""Which files are found, which are left out, and that it is told why."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile

import pytest

from tailrace.errors import ConfigError
from tailrace.sources.entry import Entry, start_offset
from tailrace.sources.file import FileSource
from tailrace.sources.find import Finder
from tailrace.sources.globs import Fence
from tailrace.sources.inotify import Watch
from tests.sources.reader import Reader, write


@pytest.fixture
def finder():
    watches = []

    def make(*entries, exclude=()):
        watches.append(Watch())
        made = Finder(entries, Fence(exclude), watches[-1])
        made.scan(None)
        return made

    yield make
    for watch in watches:
        watch.close()


def paths(finder, root):
    return sorted(one.path.removeprefix(f"{root}/") for one in finder.found.values())


@pytest.fixture
def tree(tmp_path):
    for name in ("a.log", "b.txt", ".hidden.log", "x/c.log", "x/y/d.log", ".git/e.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        write(tmp_path / name, b"text\n")
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.log", ["a.log"]),
        ("**/*.log", ["a.log", "x/c.log", "x/y/d.log"]),
        ("*/*.log", ["x/c.log"]),
        ("x/**", ["x/c.log", "x/y/d.log"]),
        ("x", ["x/c.log", "x/y/d.log"]),
        ("[ab].*", ["a.log", "b.txt"]),
        (".hidden.log", [".hidden.log"]),
        (".*.log", [".hidden.log"]),
        ("x/../a.log", ["a.log"]),
        ("absent/*.log", []),
    ],
)
def test_a_pattern_finds(finder, tree, pattern, found):
    made = finder(Entry(f"{tree}/{pattern}"))
    assert paths(made, tree) == found
    entry = made.entry_of(f"{tree}/{found[0]}") if found else None
    assert (entry is not None) == bool(found)


@pytest.mark.parametrize(
    ("exclude", "found"),
    [
        (("c.*",), ["a.log", "x/y/d.log"]),
        (("{tree}/x/*",), ["a.log"]),
        (("{tree}/x",), ["a.log"]),
        (("{tree}/**/y/*.log",), ["a.log", "x/c.log"]),
        (("?.log",), []),
    ],
)
def test_what_is_excluded_is_not_found(finder, tree, exclude, found):
    entry = Entry(f"{tree}/**/*.log", exclude=tuple(one.format(tree=tree) for one in exclude))
    assert paths(finder(entry), tree) == found


def test_what_one_entry_excludes_another_may_find(finder, tree):
    made = finder(Entry(f"{tree}/*.log", exclude=("a.*",)), Entry(f"{tree}/a.*"))
    assert paths(made, tree) == ["a.log"]


def test_what_is_excluded_is_never_opened(tree, monkeypatch):
    opened = []
    real = os.open
    monkeypatch.setattr("os.open", lambda path, *more, **named: opened.append(path) or real(path, *more, **named))
    reader = Reader(Entry(f"{tree}/**/*.log", exclude=("c.log",)), Entry(str(tree / "x"), exclude=("c.log",)))
    reader.until(2)
    reader.crash()
    assert str(tree / "a.log") in opened
    assert str(tree / "x" / "c.log") not in opened


def test_a_scan_finds_nothing_new_where_nothing_changed_and_what_changed_where_it_did(finder, tree):
    made = finder(Entry(f"{tree}/**/*.log"))
    for path in (tree, tree / "x", tree / "x" / "y"):
        os.utime(path, (1, 1))
    made.scan(None)
    before = made.found
    assert not made.scan(set())
    assert made.found is before
    write(tree / "x" / "new.log", b"")
    assert made.scan(set())
    assert "x/new.log" in paths(made, tree)


def test_directories_that_lead_into_each_other_end(finder, tree):
    (tree / "x" / "loop").symlink_to(tree)
    assert len(finder(Entry(f"{tree}/**/*.log")).found) == 3


def test_directories_may_come_go_and_come_again(tmp_path):
    reader = Reader(Entry(f"{tmp_path}/logs/**/*.log"))
    reader.step(0)
    for count in range(1, 4):
        (tmp_path / "logs" / "deep" / "deeper").mkdir(parents=True)
        reader.step(0)
        write(tmp_path / "logs" / "deep" / "deeper" / "app.log", b"%d\n" % count)
        assert len(reader.until(count)) == count
        shutil.rmtree(tmp_path / "logs")
        reader.step()
    reader.crash()


def test_a_directory_that_takes_the_place_of_another_is_watched(tmp_path):
    (tmp_path / "app" / "logs").mkdir(parents=True)
    write(tmp_path / "app" / "logs" / "app.log", b"one\n")
    reader = Reader(Entry(f"{tmp_path}/app/logs/*.log"))
    reader.until(1)
    (tmp_path / "app").rename(tmp_path / "app.old")
    (tmp_path / "app" / "logs").mkdir(parents=True)
    write(tmp_path / "app" / "logs" / "app.log", b"two\n")
    reader.source._scan_at = 0.0
    assert reader.until(2) == [b"one", b"two"]
    write(tmp_path / "app" / "logs" / "new.log", b"three\n")
    assert reader.until(3)[2:] == [b"three"]
    reader.crash()


def test_what_is_no_log_is_left_out_and_it_is_told_why(tmp_path):
    write(tmp_path / "app.log", b"one\n")
    os.mkfifo(tmp_path / "app.log.fifo")
    (tmp_path / "app.log.dir").mkdir()
    (tmp_path / "app.log.gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "app.log.null").symlink_to("/dev/zero")
    write(tmp_path / "app.log.xz", b"packed\n")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "app.log.sock"))
        reader = Reader(Entry(str(tmp_path / "app.log*")))
        assert reader.until(1) == [b"one"]
    why = {path.rpartition(".")[2]: reason for path, reason in reader.source.skipped.items()}
    assert why == {
        "fifo": "a pipe",
        "dir": "a directory",
        "gone": "leads nowhere",
        "null": "a file of the kernel",
        "xz": "compressed in a way that is not read; gzip is",
        "sock": "a socket",
    }
    reader.crash()


def test_a_link_that_leads_nowhere_is_followed_when_it_does(tmp_path):
    (tmp_path / "app.log").symlink_to(tmp_path / "data" / "real")
    reader = Reader(Entry(str(tmp_path / "app.log")))
    reader.step(0)
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "real", b"one\n")
    reader.source._scan_at = 0.0
    assert reader.until(1) == [b"one"]
    reader.crash()


DENIED = """
import os, sys
from pathlib import Path
from tests.sources.reader import Reader, write
from tailrace.sources.entry import Entry
if os.getuid() == 0:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
root = Path(sys.argv[1])
write(root / "app.log", b"one\\n")
os.chmod(root / "app.log", 0)
reader = Reader(Entry(str(root / "*.log")))
for _ in range(3):
    reader.step(0)
    reader.source._scan_at = 0.0
    assert ["Permission denied" in why for why in reader.source.problems.values()] == [True]
os.chmod(root / "app.log", 0o644)
assert reader.until(1) == [b"one"]
assert reader.source.problems == {}
"""


def test_a_file_that_denies_access_is_told_once_and_read_when_it_no_longer_does():
    with tempfile.TemporaryDirectory() as folder:  # where somebody who is not root may go
        os.chmod(folder, 0o777)
        done = subprocess.run([sys.executable, "-c", DENIED, folder], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


MANY = """
import resource, sys
from pathlib import Path
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
from tests.sources.reader import Reader, write
from tailrace.sources.entry import Entry
root = Path(sys.argv[1])
reader = Reader(Entry(str(root / "*.log")))
for turn in range(4):
    for number in range(200):
        write(root / f"{number}.log", b"".join(b"%d-%d-%d\\n" % (turn, number, line) for line in range(3)))
    if turn == 2:
        for number in range(100):
            (root / f"{number}.log").rename(root / f"{number}.log.1")
    for _ in range(5):  # each of them has a deadline
        reader.until(600 * (turn + 1))
    if turn == 1:
        reader.restart()
assert len(reader.lines) == len(set(reader.lines)) == 2400, len(reader.lines)
assert len(reader.source.files) <= 50
assert not reader.source.problems
"""


def test_with_100_descriptors_200_files_are_read_once_and_none_is_forgotten(tmp_path):
    done = subprocess.run([sys.executable, "-c", MANY, str(tmp_path)], capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_a_file_by_its_path_and_by_a_link_is_read_once_and_still_when_the_link_is_gone(tmp_path):
    write(tmp_path / "real.txt", b"one\n")
    (tmp_path / "link.log").symlink_to(tmp_path / "real.txt")
    reader = Reader(Entry(f"{tmp_path}/*.log"), Entry(f"{tmp_path}/*.txt"))
    assert reader.until(1) == [b"one"]
    (tmp_path / "link.log").unlink()
    write(tmp_path / "real.txt", b"two\n")
    assert reader.until(2) == [b"one", b"two"]
    reader.crash()


def test_an_empty_file_holds_nothing_until_it_does(tmp_path):
    write(tmp_path / "app.log", b"")
    reader = Reader(Entry(f"{tmp_path}/*.log"))
    assert reader.until(0) == []
    write(tmp_path / "app.log", b"first\n")
    assert reader.until(1) == [b"first"]
    reader.restart()
    assert reader.until(1) == [b"first"]
    reader.crash()


def test_start_words_are_checked():
    assert start_offset("10MB", 11 << 20) == 1 << 20
    with pytest.raises(ConfigError, match="no place to start"):
        Entry("x", start="10")


def test_a_link_that_is_turned_while_it_is_looked_at_leads_to_nothing_that_is_not_allowed(tmp_path, monkeypatch):
    (tmp_path / "allowed").mkdir()
    write(tmp_path / "allowed" / "good", b"good\n")
    write(tmp_path / "secret", b"secret\n")
    link = tmp_path / "allowed" / "app.log"
    link.symlink_to("good")
    resolve = os.path.realpath
    turns = []

    def turned_behind(path, *more):
        found = resolve(path, *more)
        if os.fspath(path) == str(link) and not turns:
            turns.append(link.unlink())
            link.symlink_to(tmp_path / "secret")
        return found

    monkeypatch.setattr(os.path, "realpath", turned_behind)
    source = FileSource([Entry(str(link))], allow=[str(tmp_path / "allowed")])
    try:
        assert [lines for _, lines in source.poll()] == []
        assert turns
        assert source.files == []
    finally:
        source.close()
