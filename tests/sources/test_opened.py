"""Open files are found by what they are, where they are, and what log they are of."""

import pytest

from tailrace.record import Stream
from tailrace.sources.content import Plain
from tailrace.sources.followed import FollowedFile
from tailrace.sources.generations import family
from tailrace.sources.opened import Opened


@pytest.fixture
def opened():
    return Opened()


def file(path, inode=1, first_path="", real=""):
    made = FollowedFile(Plain(-1), path, Stream.of({}), (1, inode), 0)
    made.first_path = first_path or path
    made.real = real
    return made


def test_a_file_is_found_by_each_of_its_names_logs_and_by_its_path(opened):
    one = file("/logs/new.log", first_path="/logs/old.log", real="/pods/0.log")
    opened.add(one)
    assert [list(opened.of(family(path))) for path in one.paths] == [[one]] * 3
    assert opened.at({"/logs/new.log", "/logs/old.log"}) == [one]
    assert (one in opened, opened.has((1, 1)), len(opened)) == (True, True, 1)


def test_what_was_removed_is_found_by_nothing(opened):
    one = file("/logs/a.log")
    opened.add(one)
    opened.remove(one)
    assert (one in opened, opened.has((1, 1)), list(opened), opened.at({"/logs/a.log"})) == (False, False, [], [])
    assert list(opened.of(family("/logs/a.log"))) == []


def test_another_file_at_the_same_path_stays_when_the_first_is_removed(opened):
    old, new = file("/logs/a.log", 1), file("/logs/a.log", 2)
    for one in (old, new):
        opened.add(one)
    opened.remove(old)
    assert opened.at({"/logs/a.log"}) == [new]


def test_a_file_that_has_another_ones_inode_is_not_it(opened):
    opened.add(file("/logs/a.log"))
    assert file("/logs/b.log") not in opened
