"""When files are looked at."""

import math
import os

import pytest

from tailrace.record import Stream
from tailrace.sources.content import Plain
from tailrace.sources.followed import FollowedFile
from tailrace.sources.turns import Turns


@pytest.fixture
def files(tmp_path):
    made = []
    for number in range(3):
        fd = os.open(tmp_path / str(number), os.O_CREAT | os.O_RDWR)
        made.append(FollowedFile(Plain(fd), str(number), Stream.of({}), (1, number), 0))
    yield made
    for file in made:
        os.close(file.content.fd)


def test_a_file_is_due_once_at_the_time_that_was_said_last(files):
    turns = Turns()
    for when in (5.0, 1.0, 3.0):
        turns.put(files[0], when)
    assert turns.take(2.9, 9) == []
    assert turns.take(9.0, 9) == files[:1]
    assert turns.take(math.inf, 9) == []


def test_what_is_due_for_longest_comes_first_and_of_the_same_time_in_order(files):
    turns = Turns()
    for file, when in zip(files, (2.0, 1.0, 2.0), strict=True):
        turns.put(file, when)
    assert turns.next() == 1.0
    assert turns.take(2.0, 9) == [files[1], files[0], files[2]]
    assert turns.next() == math.inf


def test_of_more_files_than_are_asked_for_the_rest_stays_due(files):
    turns = Turns()
    for file in files:
        turns.put(file, 0.0)
    assert turns.take(1.0, 2) == files[:2]
    assert turns.next() == 0.0
    assert turns.take(1.0, 2) == files[2:]
