"""Files that are closed because there is nothing to read in them."""

import os

import pytest

from tailrace.record import Stream
from tailrace.sources.content import Plain
from tailrace.sources.entry import Entry
from tailrace.sources.find import Found
from tailrace.sources.followed import FollowedFile
from tailrace.sources.parked import Parked, dispensable
from tests.sources.reader import write


@pytest.fixture
def opened(tmp_path):
    fds = []

    def one(name):
        write(tmp_path / name, b"line\n")
        fds.append(os.open(tmp_path / name, os.O_RDONLY))
        status = os.fstat(fds[-1])
        return FollowedFile(Plain(fds[-1]), str(tmp_path / name), Stream.of({}), (status.st_dev, status.st_ino), 0)

    yield one
    for fd in fds:
        os.close(fd)


def put(parked, file, *, copy=False):
    parked.put(file.key, file.path, file.content.fd, copy=copy)
    return Found(file.path, file.key, Entry(file.path), told=True)


def test_a_file_is_left_alone_until_its_size_or_time_of_change_is_another(tmp_path, opened):
    parked = Parked()
    found = put(parked, opened("a"))
    assert not parked.differs(found, sweep=True)
    write(tmp_path / "a", b"more\n")
    assert parked.differs(found, sweep=True)


def test_a_change_that_the_kernel_would_have_told_is_not_looked_for(tmp_path, opened):
    parked = Parked()
    found = put(parked, opened("a"))
    write(tmp_path / "a", b"more\n")
    assert not parked.differs(found, sweep=False)
    assert parked.among({found.path, "other"}) == [found.key]


def test_copies_are_looked_at_again_when_an_original_is_gone(opened):
    parked = Parked()
    copy, quiet = put(parked, opened("a.1"), copy=True), put(parked, opened("b"))
    gone = put(parked, opened("a"))
    assert parked.take_absent({copy.key, quiet.key}) == [gone.path]
    assert parked.sizes() == [(quiet.path, 5)]


def test_a_file_that_was_not_looked_at_since_it_was_opened_makes_no_room(opened):
    fresh, read = opened("a"), opened("b")
    read.read(0.0, 0)
    read.acked = read.offset
    assert dispensable([fresh, read]) == [read]


def test_quiet_files_make_room_before_those_that_had_their_turn_and_nobody_else_does(opened):
    quiet, turned, unread, flying = (opened(name) for name in "abcd")
    quiet.size = quiet.offset = quiet.acked = 5
    turned.size = flying.size = 5
    flying.offset = 5
    unread.opened = 2**63
    assert dispensable([turned, unread, flying, quiet]) == [quiet, turned]
