import io

import pytest

from tailrace.cli.terminal import escape, record_line, table, wants_colours


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


def test_no_part_of_a_record_commands_the_terminal():
    evil = "\x1b]0;title\x07\r\u202e"
    record = {"time": evil, "level": evil, "service": evil, "message": evil}
    shown = record_line(record, colours=False)
    assert not set("\x1b\x07\r\u202e") & set(shown)
    assert "\x1b]" not in record_line(record, colours=True)


def test_columns_are_aligned_and_escaped():
    assert table([["n", "name"], ["10", "a\x1b"]], right=frozenset({0})) == " n  name\n10  a\\e"


def test_a_tab_stays_a_tab():
    assert escape("a\tb") == "a\tb"
