"""One followed file: what is given back comes again."""

import os
import subprocess
import sys

import pytest

from tailrace.limits import EVENT_QUIET_S, EVENT_S_MAX, HOLE_BYTES_MIN, PARTIAL_QUIET_S, PREFIX_BYTES
from tailrace.lines import Steps
from tailrace.record import Stream
from tailrace.sources import followed
from tailrace.sources.content import Plain
from tailrace.sources.followed import FollowedFile
from tailrace.sources.known import Known


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.log"


@pytest.fixture
def file(log):
    log.write_bytes(b"one\ntwo\n")
    fd = os.open(log, os.O_RDONLY)
    yield FollowedFile(Plain(fd), str(log), Stream.of({}), (1, 2), 3)
    os.close(fd)


def texts(lines):
    return None if lines is None else (lines.lines.to_pylist(), lines.positions.tolist(), lines.ended)


def append(log, data):
    with log.open("ab") as writer:
        writer.write(data)


def test_lines_that_were_given_back_come_again_as_ended_when_the_file_is_quiet(file):
    assert texts(file.read(0.0, 1)) == ([b"one", b"two"], [0, 4], False)
    file.give_back(4, 1, 0.0)
    assert texts(file.read(EVENT_QUIET_S / 2, 1)) is None
    assert texts(file.read(EVENT_QUIET_S, 1)) == ([b"two"], [4], True)
    assert (file.held, file.offset, file.lines) == (False, 8, 2)


def test_lines_that_were_given_back_wait_longer_while_they_may_go_on_in_a_file_that_was_not_found_yet(file):
    file.read(0.0, 1)
    file.give_back(4, 1, 0.0)
    assert file.read(EVENT_S_MAX - 0.1, 1, alone=False) is None
    assert texts(file.read(EVENT_S_MAX, 1, alone=False)) == ([b"two"], [4], True)


def test_lines_that_were_given_back_come_again_with_what_was_written_behind_them(file, log):
    file.read(0.0, 1)
    file.give_back(4, 1, 0.0)
    append(log, b"three\n")
    assert texts(file.read(0.1, 1)) == ([b"two", b"three"], [4, 8], False)
    assert not file.held


def test_lines_are_not_given_back_for_ever(file, log):
    now = 0.0
    while now <= EVENT_S_MAX:
        assert not file.read(now, 1).ended
        file.give_back(0, 2, now)
        append(log, b"more\n")
        now += EVENT_QUIET_S / 2
    assert file.read(now, 1).ended


def everything(file, now=0.0):
    found = []
    for _ in range(100):
        lines = file.read(now, 1)
        if lines is not None:
            found += lines.lines.to_pylist()
        elif not file.more:
            break
    return found


def test_a_hole_at_the_head_is_stepped_over_and_counted(file, log):
    with log.open("wb") as writer:
        writer.seek(5_000_000)
        writer.write(b"after\n")
    lines = file.read(0.0, 1) or file.read(0.0, 1)
    assert texts(lines) == ([b"after"], [5_000_000], False)
    assert file.hole_bytes == 5_000_000


def test_a_hole_in_the_middle_ends_a_line_and_begins_one(file, log):
    log.write_bytes(b"one\nhalf" + bytes(1000) + b"two\n")
    assert everything(file) == [b"one", b"half", b"two"]


def test_a_file_of_many_gigabytes_with_a_hole_has_right_places(file, log):
    with log.open("r+b") as writer:
        for place in ((1 << 31) - 4, (1 << 32) + 7, 1 << 40):
            writer.seek(place)
            writer.write(b"at\nend\n")
    places = []
    while (lines := file.read(0.0, 1)) is not None or file.more:
        places += lines.positions.tolist() if lines is not None else []
    begun = [(1 << 31) - 4, (1 << 32) + 7, 1 << 40]
    assert places == [0, 4, *(place + more for place in begun for more in (0, 3))]


def test_room_that_was_reserved_is_waited_for(file, log):
    log.write_bytes(b"one\npar" + bytes(100_000))
    assert everything(file) == [b"one"]
    with log.open("r+b") as writer:
        writer.seek(7)
        writer.write(b"tial\ntwo\n")
    assert everything(file, 1.0) == [b"partial", b"two"]
    assert file.hole_bytes == 0


def test_a_few_nuls_are_part_of_their_line(file, log):
    log.write_bytes(b"\0a\0b" + bytes(HOLE_BYTES_MIN - 1) + b"c\n")
    assert everything(file) == [b"\0a\0b" + bytes(HOLE_BYTES_MIN - 1) + b"c"]


def test_a_line_of_ten_megabytes_is_whole_between_its_neighbours(file, log):
    log.write_bytes(b"before\n" + b"x" * (10 << 20) + b"\nafter\n")
    assert everything(file) == [b"before", b"x" * (10 << 20), b"after"]


ENDLESS = """
import os, resource, sys
from tailrace.limits import LINE_BYTES_MAX
from tailrace.record import Stream
from tailrace.sources.content import Plain
from tailrace.sources.followed import FollowedFile
from tailrace.sources.known import Known
with open(sys.argv[1], "wb") as writer:
    for _ in range(256):
        writer.write(b"y" * (1 << 20))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = FollowedFile(Plain(os.open(sys.argv[1], os.O_RDONLY)), "x", Stream.of({}), (1, 2), 3)
lengths = []
while (lines := file.read(0.0, 1)) is not None or file.more:
    lengths += [len(line) for line in lines.lines.to_pylist()] if lines is not None else []
assert lengths == [LINE_BYTES_MAX] * (256 // 16 - 1), lengths  # the last one may go on
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 6 * LINE_BYTES_MAX >> 10
"""


def test_a_line_without_an_end_takes_bounded_memory(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS, str(tmp_path / "endless")], capture_output=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def fresh(log, encoding=""):
    fd = os.open(log, os.O_RDONLY)
    return FollowedFile(Plain(fd), str(log), Stream.of({}), (1, 2), 3, steps=Steps(encoding=encoding))


def read_all(file, now=0.0):
    found = []
    while (lines := file.read(now, 1)) is not None:
        found += zip(lines.positions.tolist(), lines.lines.to_pylist(), strict=True)
    return found


@pytest.mark.parametrize(
    ("mark", "encoding"),
    [(b"", "utf-16-le"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"), (b"\xff\xfe\0\0", "utf-32-le")],
)
def test_wide_lines_are_found_wherever_a_block_or_a_write_ends(log, mark, encoding, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 37)
    texts = ["日志ਊ", "", "a" * 50, "x\ry", "🎉🎉"]
    data = mark + "".join(text + "\r\n" for text in texts).encode(encoding)
    log.write_bytes(b"")
    file = fresh(log, "" if mark else encoding)
    found = []
    for place in range(0, len(data), 5):
        append(log, data[place : place + 5])
        found += read_all(file)
    assert [line.decode(encoding) for _, line in found] == texts
    assert [data[place:].decode(encoding)[:1] for place, _ in found] == ["日", "\r", "a", "x", "🎉"]
    os.close(file.content.fd)


def test_the_byte_order_mark_is_read_again_after_a_restart(log):
    data = "\ufeffeins\nzwei\n".encode("utf-16-be")
    log.write_bytes(data[:12])
    first = fresh(log)
    assert [line.decode("utf-16-be") for _, line in read_all(first)] == ["eins"]
    log.write_bytes(data)
    second = fresh(log)
    second.resume(first.known())
    assert [line.decode("utf-16-be") for _, line in read_all(second)] == ["zwei"]
    os.close(first.content.fd)
    os.close(second.content.fd)


def test_half_a_character_at_the_end_waits_for_the_other_half(log):
    log.write_bytes("ab".encode("utf-16-le") + b"\x0a")
    file = fresh(log, "utf-16-le")
    assert file.read(0.0, 1) is None
    assert file.read(PARTIAL_QUIET_S, 1).lines.to_pylist() == ["ab".encode("utf-16-le")]
    append(log, b"\0c\0\n\0")
    assert read_all(file, PARTIAL_QUIET_S + 1) == [(6, b"c\0")]
    os.close(file.content.fd)


def test_a_long_line_of_gbk_is_cut_between_characters(log, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    monkeypatch.setattr(followed, "LINE_BYTES_MAX", 1001)
    log.write_bytes(("支付" * 400 + "\n").encode("gbk"))
    file = fresh(log, "gbk")
    found = [file.read(0.0, 1) for _ in range(60)]
    assert "".join(line.decode("gbk") for lines in found if lines for line in lines.lines.to_pylist()) == "支付" * 400
    os.close(file.content.fd)


def test_from_the_end_the_next_line_of_a_wide_file_is_the_first(log):
    data = "ਊeins\nਊzwei\n".encode("utf-16-le")
    log.write_bytes(data)
    file = fresh(log, "utf-16-le")
    places = {file.line_after(offset, len(data)) for offset in range(len(data) + 1)}
    assert places == {0, len("ਊeins\n".encode("utf-16-le")), len(data)}
    os.close(file.content.fd)


def test_lines_that_wait_do_not_wait_for_a_line_longer_than_a_block(log, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 64)
    log.write_bytes(b"held\n" + b"x" * 500)
    file = fresh(log)
    assert not file.read(0.0, 1).ended
    file.give_back(0, 1, 0.0)
    assert texts(file.read(0.0, 1)) == ([b"held"], [0], True)
    os.close(file.content.fd)


class Hasty(Plain):
    """A file that is truncated and written anew as soon as a block of it was read."""

    __slots__ = ()

    def pread(self, length, offset):
        data = super().pread(length, offset)
        if length > PREFIX_BYTES:
            with open(f"/proc/self/fd/{self.fd}", "wb") as writer:
                writer.write(b"other\n" * 3)
        return data


@pytest.mark.parametrize("count", [2, 500])
def test_what_was_read_is_known_by_its_first_bytes_though_others_were_written_just_then(tmp_path, log, count):
    content = b"".join(b"line %d\n" % number for number in range(count))
    log.write_bytes(content)
    (tmp_path / "copy").write_bytes(content)
    fds = [os.open(path, os.O_RDONLY) for path in (log, tmp_path / "copy")]
    lines = FollowedFile(Hasty(fds[0]), str(log), Stream.of({}), (1, 2), 3).read(0.0, 1)
    assert Known.of(lines.origin).is_in(Plain(fds[1]))
    for fd in fds:
        os.close(fd)
