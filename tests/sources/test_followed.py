"""One followed file: what is given back comes again."""

import os

import pytest

from tailrace.limits import EVENT_QUIET_S, EVENT_S_MAX
from tailrace.record import Stream
from tailrace.sources.content import Plain
from tailrace.sources.followed import FollowedFile


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


def test_lines_that_were_given_back_come_again_with_what_was_written_behind_them(file, log):
    file.read(0.0, 1)
    file.give_back(4, 1, 0.0)
    append(log, b"three\n")
    assert texts(file.read(0.1, 1)) == ([b"two", b"three"], [4, 8], False)


def test_lines_are_not_given_back_for_ever(file, log):
    now = 0.0
    while now <= EVENT_S_MAX:
        assert not file.read(now, 1).ended
        file.give_back(0, 2, now)
        append(log, b"more\n")
        now += EVENT_QUIET_S / 2
    assert file.read(now, 1).ended
