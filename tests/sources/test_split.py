"""Blocks of bytes into lines."""

import sys

from tailrace.sources.split import split


def test_a_block_is_let_go_of_with_its_lines():
    block = b"one\ntwo\n" * 1000
    before = sys.getrefcount(block)
    split(block, 10)
    assert sys.getrefcount(block) == before


def test_lines_begin_where_they_are_told_to_begin():
    block = b"one\r\n\ntwo\nthr"
    lines, begins, taken = split(block, 10)
    assert (lines.to_pylist(), begins.tolist(), taken) == ([b"one", b"", b"two"], [0, 5, 6], 10)


def test_of_too_many_lines_the_others_are_left():
    lines, _, taken = split(b"one\ntwo\nthree\n", 2)
    assert (lines.to_pylist(), taken) == ([b"one", b"two"], 8)


def test_a_line_that_comes_alone_is_a_line():
    lines, begins, taken = split(b"one\ntw", 10)
    assert (lines.to_pylist(), begins.tolist(), taken) == ([b"one"], [0], 4)


def test_a_lone_line_is_taken_without_its_carriage_return():
    lines, begins, taken = split(b"one\r\n", 10)
    assert (lines.to_pylist(), begins.tolist(), taken) == ([b"one"], [0], 5)
