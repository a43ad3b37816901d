"""Positions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput

cursors = st.builds(Cursor, st.integers(0, 2**64 - 1), st.integers(0, 10**17))


@given(cursors)
def test_a_cursor_prints_and_parses_back(cursor):
    assert Cursor.parse(str(cursor)) == cursor


@given(st.lists(cursors, min_size=1))
def test_a_checkpoint_prints_and_parses_back(some):
    checkpoint = Checkpoint.of(some)
    assert Checkpoint.parse(str(checkpoint)) == checkpoint


def test_a_cursor_prints_as_hexadecimal_epoch_and_offset():
    assert str(Cursor(0x7F3A, 1042)) == "7f3a-1042"


@pytest.mark.parametrize("text", ["", "7f3a", "7f3a-", "-1", "7F3A-1", "x-1", "7f3a-1 ", "7f3a--1", "7f3a-" + "1" * 30])
def test_what_is_not_a_cursor_is_refused_with_a_cure(text):
    with pytest.raises(BadInput) as refused:
        Cursor.parse(text)
    assert refused.value.cure


def test_cursors_of_one_log_are_ordered():
    assert Cursor(1, 5) < Cursor(1, 6) <= Cursor(1, 6)


def test_cursors_of_different_logs_cannot_be_compared():
    with pytest.raises(ValueError, match="different logs"):
        assert Cursor(1, 5) < Cursor(2, 6)


def test_the_difference_of_two_cursors_is_a_number_of_records():
    assert (Cursor(1, 9) + 3) - Cursor(1, 5) == 7


def test_a_checkpoint_keeps_the_furthest_cursor_of_each_log():
    checkpoint = Checkpoint.of([Cursor(1, 5), Cursor(2, 1), Cursor(1, 9), Cursor(1, 7)])
    assert (checkpoint.get(1), checkpoint.get(2), checkpoint.get(3)) == (Cursor(1, 9), Cursor(2, 1), None)
