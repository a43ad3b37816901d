"""The follower on real files: what was whole on disk comes once, in order."""

import gzip
import os
import shutil
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tailrace.sources import file as file_module
from tailrace.sources import followed
from tailrace.sources.entry import Entry
from tests.sources.reader import DEADLINE_S, Reader, write


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.log"


@pytest.fixture
def reader(tmp_path):
    made = Reader(Entry(str(tmp_path / "app.log*")))
    yield made
    made.crash()


def test_lines_come_without_their_ends_and_with_their_places(log, reader):
    write(log, b"one\r\ntwo\rtwo\n\nfour\n")
    assert reader.until(4) == [b"one", b"two\rtwo", b"", b"four"]
    assert reader.positions == [0, 5, 13, 14]


def test_a_line_waits_for_its_newline(log, reader):
    write(log, b"first\npar")
    assert reader.until(1) == [b"first"]
    write(log, b"tial\n")
    assert reader.until(2) == [b"first", b"partial"]


def test_a_last_line_without_newline_comes_when_the_file_is_quiet_and_its_rest_is_a_record(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "PARTIAL_QUIET_S", 0.05)
    write(log, b"half")
    assert reader.until(1) == [b"half"]
    write(log, b"\nnext\n")
    assert reader.until(2) == [b"half", b"next"]


def test_a_newline_that_comes_after_a_restart_is_no_line(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "PARTIAL_QUIET_S", 0.05)
    write(log, b"half")
    reader.until(1)
    reader.restart()
    write(log, b"\nnext\n")
    assert reader.until(2) == [b"half", b"next"]


def test_a_byte_order_mark_is_left_out(log, reader):
    write(log, b"\xef\xbb\xbfone\n")
    assert reader.until(1) == [b"one"]
    assert reader.positions == [3]


def test_a_long_line_is_cut_and_its_neighbours_are_whole(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    monkeypatch.setattr(followed, "LINE_BYTES_MAX", 1000)
    write(log, b"before\n" + b"x" * 2500 + b"\nafter\n")
    assert reader.until(5) == [b"before", b"x" * 1000, b"x" * 1000, b"x" * 500, b"after"]


def test_a_long_line_is_cut_between_characters(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    monkeypatch.setattr(followed, "LINE_BYTES_MAX", 1000)
    text = "日志" * 300
    write(log, text.encode() + b"\n")
    assert "".join(line.decode() for line in reader.until(2)) == text


def test_a_line_longer_than_a_block_is_whole(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    write(log, b"a\n" + b"y" * 999 + b"\nb\n")
    assert reader.until(3) == [b"a", b"y" * 999, b"b"]


def test_rename_rotation_reads_both_files(log, reader):
    write(log, b"a1\n")
    reader.until(1)
    with log.open("ab") as old:
        log.rename(log.with_suffix(".log.1"))
        write(log, b"b1\n")
        old.write(b"a2\n")
        old.flush()
        assert sorted(reader.until(3)) == [b"a1", b"a2", b"b1"]


def test_generations_found_together_come_oldest_first(tmp_path, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    for number, name in enumerate(("app.log.3", "app.log.2", "app.log.1", "app.log")):
        write(tmp_path / name, b"".join(b"line %03d\n" % (number * 50 + line) for line in range(50)))
        os.utime(tmp_path / name, ns=(0, min(number, 2) * 10**9))  # the last two changed in one tick of the clock
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    assert reader.until(200) == [b"line %03d" % number for number in range(200)]


def test_the_rest_of_a_rotated_file_comes_before_the_new_one(tmp_path, log, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    write(log, b"line 000\n")
    reader = Reader(Entry(str(tmp_path / "*.log*")))
    reader.until(1)
    write(log, b"".join(b"line %03d\n" % number for number in range(1, 60)))
    log.rename(log.with_name("app.log.1"))
    write(log, b"".join(b"line %03d\n" % number for number in range(60, 80)))
    assert reader.until(80) == [b"line %03d" % number for number in range(80)]


def test_a_rotated_file_whose_given_back_lines_came_holds_up_no_newer_one(log, reader):
    reader.hold = lambda rows: rows // 2
    write(log, b"one\ntwo\n")
    reader.until(1)
    reader.hold = lambda _: 0
    write(log, b"three\n")
    reader.until(3)
    log.rename(log.with_suffix(".log.1"))
    write(log, b"four\n")
    assert reader.until(4) == [b"one", b"two", b"three", b"four"]


def test_lines_that_a_rotated_file_has_given_back_come_before_the_new_one(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "EVENT_QUIET_S", 0.3)
    reader.hold = lambda rows: rows // 2
    write(log, b"one\ntwo\n")
    reader.until(1)
    log.rename(log.with_suffix(".log.1"))
    write(log, b"three\n")
    assert reader.until(3) == [b"one", b"two", b"three"]


def test_a_file_that_was_renamed_out_of_the_glob_is_read_to_its_end(tmp_path, log):
    reader = Reader(Entry(str(log)))
    write(log, b"a1\n")
    reader.until(1)
    with log.open("ab") as old:
        log.rename(tmp_path / "elsewhere")
        old.write(b"a2\n")
        old.flush()
        assert reader.until(2) == [b"a1", b"a2"]
    reader.crash()


def test_a_deleted_file_is_read_to_its_end(log, reader):
    write(log, b"a1\n")
    reader.until(1)
    with log.open("ab") as old:
        log.unlink()
        old.write(b"a2\na3\n")
        old.flush()
        assert reader.until(3) == [b"a1", b"a2", b"a3"]


def test_a_deleted_and_recreated_file_is_a_new_one(log, reader):
    for count in (3, 1, 5):
        before = len(reader.lines)
        write(log, b"same\n" * count)
        assert len(reader.until(before + count)) == before + count
        log.unlink()


def test_a_truncated_file_begins_again(log, reader):
    write(log, b"old one\nold two\n")
    reader.until(2)
    write(log, b"new\n", "wb")
    assert reader.until(3) == [b"old one", b"old two", b"new"]


def test_a_truncated_file_that_grew_past_the_offset_begins_again(log, reader):
    write(log, b"old one\n")
    reader.until(1)
    write(log, b"new one\nnew two\nnew three\n", "wb")
    assert reader.until(4)[1:] == [b"new one", b"new two", b"new three"]


def test_a_truncated_file_that_grew_to_the_same_size_begins_again(log, reader):
    write(log, b"old one\n")
    reader.until(1)
    write(log, b"new one\n", "wb")
    assert reader.until(2) == [b"old one", b"new one"]


def test_the_copy_of_copytruncate_is_not_read_again(tmp_path, log, reader):
    write(log, b"one\ntwo\n")
    reader.until(2)
    (tmp_path / "app.log.1").write_bytes(log.read_bytes())
    reader.until(2)
    os.truncate(log, 0)
    write(log, b"three\n")
    assert reader.until(3) == [b"one", b"two", b"three"]
    reader.restart()
    write(log, b"four\n")
    assert reader.until(4) == [b"one", b"two", b"three", b"four"]


def test_what_only_the_copy_of_copytruncate_holds_is_read_from_it(tmp_path, log, reader):
    write(log, b"one\ntwo\n")
    reader.until(2)
    reader.crash()
    write(log, b"three\n")
    (tmp_path / "app.log.1").write_bytes(log.read_bytes())
    write(log, b"four\n", "wb")
    reader.start()
    assert sorted(reader.until(4)) == [b"four", b"one", b"three", b"two"]


def test_reading_goes_on_at_the_byte_after_a_restart(log, reader):
    write(log, b"one\ntw")
    reader.until(1)
    reader.restart()
    write(log, b"o\nthree\n")
    assert reader.until(3) == [b"one", b"two", b"three"]


def test_a_file_renamed_while_down_is_finished_and_the_new_one_begun(tmp_path, log):
    reader = Reader(Entry(str(log)))
    write(log, b"one\n")
    reader.until(1)
    reader.crash()
    write(log, b"two\n")
    log.rename(tmp_path / "app.log.1")
    write(log, b"three\n")
    reader.start()
    assert sorted(reader.until(3)) == [b"one", b"three", b"two"]
    assert set(reader.paths) == {str(log)}
    reader.crash()


def test_a_known_file_that_is_renamed_just_before_it_is_opened_is_not_read_again(tmp_path, log, monkeypatch):
    write(log, b"one\ntwo\n")
    reader = Reader(Entry(str(tmp_path / "*.log*")))
    reader.until(2)
    reader.crash()
    opened = os.open

    def rename_first(path, *arguments):
        if path == str(log) and not log.with_name("app.log.1").exists():
            log.rename(log.with_name("app.log.1"))
            write(log, b"three\n")
        return opened(path, *arguments)

    monkeypatch.setattr("tailrace.sources.find.os.open", rename_first)
    reader.start()
    assert reader.until(3) == [b"one", b"two", b"three"]


def test_other_content_under_the_same_inode_is_read_from_its_first_byte(log, reader):
    write(log, b"x" * 1000 + b"\n")
    reader.until(1)
    reader.crash()
    write(log, b"y" * 2000 + b"\nlast\n", "wb")
    reader.start()
    assert reader.until(3)[1:] == [b"y" * 2000, b"last"]


def test_files_that_begin_alike_are_not_mixed_up_over_a_restart(tmp_path, reader):
    paths = [tmp_path / f"app.log-{name}" for name in "abc"]
    for path in paths:
        write(path, b"# banner\n")
    reader.until(3)
    reader.restart()
    for path in paths:
        write(path, path.name.encode() + b"\n")
    assert sorted(reader.until(6)[3:]) == [path.name.encode() for path in paths]


def test_a_new_file_is_read_from_its_first_byte_even_when_others_start_at_their_end(tmp_path):
    write(tmp_path / "old.log", b"before\n")
    reader = Reader(Entry(str(tmp_path / "*.log"), start="end"))
    reader.step(0)
    write(tmp_path / "old.log", b"after\n")
    write(tmp_path / "new.log", b"new\n")
    assert sorted(reader.until(2)) == [b"after", b"new"]
    reader.crash()


def test_a_size_from_the_end_starts_at_a_line(tmp_path, log):
    write(log, b"".join(b"%07d\n" % number for number in range(200)))
    reader = Reader(Entry(str(log), start="1KB"))
    assert reader.until(128)[0] == b"0000072"
    reader.crash()


def test_a_file_is_followed_once_by_all_its_names(tmp_path, log):
    write(log, b"one\n")
    (tmp_path / "link.log").symlink_to(log)
    reader = Reader(Entry(str(log)), Entry(str(tmp_path / "*.log")), Entry(str(tmp_path)))
    assert reader.until(1) == [b"one"]
    reader.crash()


def test_a_directory_gives_its_text_files_at_any_depth_and_never_what_is_excluded(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "own").mkdir()
    write(tmp_path / "own" / "x.log", b"ours\n")
    write(tmp_path / "binary", b"\0\1\2\n")
    reader = Reader(Entry(str(tmp_path)), exclude=[str(tmp_path / "own")])
    reader.step(0)
    write(tmp_path / "a" / "b" / "x.log", b"deep\n")
    assert reader.until(1) == [b"deep"]
    reader.crash()


def test_more_files_than_descriptors_are_all_read_once(tmp_path, monkeypatch):
    for number in range(40):
        write(tmp_path / f"{number}.log", b"%d\n" % number)
    reader = Reader(Entry(str(tmp_path / "*.log")))
    monkeypatch.setattr(file_module, "files_max", lambda: 10)
    end = time.monotonic() + DEADLINE_S
    while len(reader.lines) < 40 and time.monotonic() < end:
        reader.source._scan_at = 0
        reader.step()
    assert sorted(map(int, reader.lines)) == list(range(40))
    assert len(reader.source.files) <= 10
    reader.crash()


def test_polling_alone_finds_everything(tmp_path, log):
    reader = Reader(Entry(str(log)))
    reader.source._watch.watch = lambda *_: False
    write(log, b"one\n")
    assert reader.until(1) == [b"one"]
    write(log, b"two\n")
    assert reader.until(2) == [b"one", b"two"]
    reader.crash()


@settings(max_examples=30, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
class RandomWriter(RuleBasedStateMachine):
    """A writer that appends, rotates, truncates and deletes against a reader that is random, too.

    It gives lines back, acknowledges late, and crashes with what was not acknowledged.
    """

    def __init__(self):
        super().__init__()
        import tempfile

        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name, "app.log")
        self.reader = Reader(Entry(f"{self.folder.name}/app.log"))
        self.file = self.path.open("ab", buffering=0)
        self.number = self.rotations = 0
        self.partial = b""
        self.wanted: list[bytes] = []
        self.rotated_while_down = False
        self.taken = self.deleted = False
        self.up = True
        self.quiet_s, followed.EVENT_QUIET_S = followed.EVENT_QUIET_S, 0.02

    @precondition(lambda self: self.up)
    @rule(steps=st.integers(1, 3), acknowledging=st.booleans(), held=st.floats(0, 1))
    def read(self, steps, acknowledging, held):
        self.reader.hold = lambda rows: int(rows * held)
        self.reader.acknowledging = acknowledging
        for _ in range(steps):
            self.reader.step()

    @rule(count=st.integers(1, 50), pad=st.integers(0, 3000))
    def append(self, count, pad):
        for _ in range(count):
            self.number += 1
            line = b"%d %s" % (self.number, b"x" * pad)
            self.file.write(line + b"\n")
            self.wanted.append(self.partial + line)
            self.partial = b""

    @rule()
    def append_half_a_line(self):
        self.file.write(b"half-")
        self.partial += b"half-"

    @precondition(lambda self: not self.partial)
    @rule()
    def rename(self):
        if self.up and self.reader.ledger:
            self.see()
        elif self.up:
            self.drain()  # a log of which nothing was ever taken is known to nobody after a crash
        elif not self.taken and not self.rotated_while_down:
            return  # nothing of the log was ever taken, so nobody knows that there is one
        self.rotated_while_down |= not self.up
        self.taken = False
        self.path.rename(self.next_generation())
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    @precondition(lambda self: self.up and not self.partial)
    @rule(seen=st.booleans())
    def truncate(self, seen):
        self.drain()
        os.truncate(self.path, 0)
        self.taken = False
        if seen:
            self.drain()

    @precondition(lambda self: not self.partial)
    @rule(which=st.integers(0, 5), seen_bytes=st.integers(0, 2000))
    def compress_a_generation(self, which, seen_bytes):
        generations = sorted(set(self.path.parent.glob("app.log.*")) - set(self.path.parent.glob("*.gz")))
        if not generations:
            return
        old = generations[which % len(generations)]
        packed = old.with_name(old.name + ".gz")
        data = gzip.compress(old.read_bytes())
        write(packed, data[:seen_bytes])
        if self.up:
            self.reader.step()
        write(packed, data[seen_bytes:])
        shutil.copystat(old, packed)
        old.unlink()

    @precondition(lambda self: self.up and not self.partial)
    @rule()
    def copy_and_truncate(self):
        self.see()
        self.next_generation().write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)
        self.taken = False
        self.drain()

    @precondition(lambda self: self.up and not self.partial)
    @rule(count=st.integers(0, 20))
    def delete_with_unread_lines(self, count):
        self.drain()
        for _ in range(count):
            self.append(1, 0)
        self.path.unlink()
        self.taken, self.deleted = False, True
        self.file.close()
        self.file = self.path.open("ab", buffering=0)

    @precondition(lambda self: self.up)
    @rule()
    def crash(self):
        if self.deleted:
            self.drain()  # what is deleted cannot be found again
        self.reader.crash()
        self.up = False

    @precondition(lambda self: not self.up)
    @rule()
    def start(self):
        self.reader.start()
        self.up = True
        self.rotated_while_down = False
        self.drain()

    def next_generation(self) -> Path:
        self.rotations += 1
        return Path(f"{self.path}.{self.rotations}")

    def see(self):
        """Have the present file opened, and its beginning read: what comes and goes unseen cannot be kept."""
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end and not self.seen():
            self.reader.step()

    def seen(self) -> bool:
        here = self.path.stat()
        empty = here.st_size == len(self.partial)
        open_ = {file.key: file.offset for file in self.reader.source.files}
        return open_.get((here.st_dev, here.st_ino), -1) >= (0 if empty else 1)

    def drain(self):
        """Have everything read and acknowledged, and the present file opened."""
        self.reader.acknowledging = True
        self.reader.until(len(self.wanted))
        self.deleted = False
        self.taken = os.fstat(self.file.fileno()).st_size > len(self.partial)
        self.see()

    @invariant()
    def nothing_came_twice(self):
        assert len(set(self.reader.lines)) == len(self.reader.lines)

    def teardown(self):
        if not self.up:
            self.start()
        self.drain()
        try:
            assert sorted(self.reader.lines) == sorted(self.wanted)
        finally:
            followed.EVENT_QUIET_S = self.quiet_s
            self.reader.crash()
            self.file.close()
            self.folder.cleanup()


TestRandomWriter = RandomWriter.TestCase
