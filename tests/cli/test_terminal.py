import io

import pytest

from tailrace.cli.terminal import columns, escape, padded, table, wants_colours


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(monkeypatch, environment, wanted):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wants_colours(Terminal()) is wanted
    assert not wants_colours(io.StringIO())


def test_columns_are_aligned_and_escaped():
    assert table([["n", "name"], ["10", "a\x1b"]], right=frozenset({0})) == " n  name\n10  a\\e"


def test_a_tab_stays_a_tab():
    assert escape("a\tb") == "a\tb"


def test_a_wide_character_takes_two_columns_and_a_combining_mark_none():
    assert (columns("订单"), columns("e\u0301"), columns("a\u200bb"), columns("abc")) == (4, 1, 2, 3)


def test_chinese_and_latin_cells_end_in_the_same_column():
    lines = table([["name", "n"], ["订单", "1"], ["shop", "2"]]).splitlines()
    assert {columns(line[:-1]) for line in lines} == {6}
    assert padded("订单", 6) == "订单  "


@pytest.mark.parametrize(
    "char", ["\x00", "\x1b", "\x7f", "\x85", "\x9b", "\u061c", "\u200e", "\u2028", "\u202e", "\u2066"]
)
def test_the_fast_way_through_escape_lets_nothing_pass(char):
    assert char not in escape(f"a{char}b")
