"""Rows of the full-screen view: one line each, which never commands the terminal."""

import pytest

from tailrace.cli.held import Row
from tailrace.cli.lines import Highlights
from tailrace.cli.lines import compiled as pattern
from tailrace.cli.screen import Painter, around, details

RECORD = {
    "time": "2026-11-20T08:00:00.123456789Z",
    "level": "error",
    "service": "shop",
    "message": "payment failed\n\tat Main",
    "cursor": "7f-1",
    "fields": {"user.id": 7},
}


def painted(record, late="", painter=None):
    return (painter or Painter(Highlights("", []))).row(Row("record", record, 0, late))


def test_a_row_is_one_line_and_says_how_many_more_there_are():
    assert painted(RECORD).plain == "08:00:00.123 error shop payment failed  ⏎ 1 more"


def test_what_is_late_says_so():
    assert " late 12s payment" in painted(RECORD, "12s").plain


def test_who_speaks_is_a_column_in_which_chinese_takes_two():
    painter = Painter(Highlights("", []))
    painted({**RECORD, "service": "支付系统"}, painter=painter)
    assert "shop     payment" in painted(RECORD, painter=painter).plain


@pytest.mark.parametrize("make", [lambda record: painted(record).plain, lambda record: details(record).plain,
                                  lambda record: around([record], 0).plain])  # fmt: skip
def test_nothing_commands_the_terminal(make):
    evil = "\x1b]0;t\x07\r\u202e"
    record = {"time": evil, "level": evil, "service": evil, "message": evil, "fields": {evil: evil}, "cursor": "7f-1"}
    assert not set(evil[0] + "\x07\r\u202e") & set(make(record))


def test_square_brackets_are_text_and_no_markup():
    assert painted({**RECORD, "message": "[bold]x[/]"}).plain.endswith("[bold]x[/]")


def test_words_of_the_query_and_what_is_looked_for_are_marked():
    painter = Painter(Highlights("payment", ["failed"]))
    painter.found = pattern("/ai/")
    line = painted(RECORD, painter=painter)
    marked = {line.plain[span.start : span.end] for span in line.spans if span.style.bgcolor or span.style.bold}
    assert {"payment", "f", "ai", "led"} <= marked


def test_a_gap_says_what_is_missing_and_how_to_get_it():
    row = Row("gap", {"from": "7f-1", "to": "7f-9", "count": 8, "why": "slow"})
    line = Painter(Highlights("", [])).row(row).plain
    assert "8 records" in line
    assert "enter" in line


def test_details_show_json_pretty_and_everything_that_is_known():
    page = details({**RECORD, "message": '{"a":{"b":1}}'}).plain
    assert '{\n  "a": {\n    "b": 1\n  }\n}' in page
    assert "user.id" in page
    assert "7f-1" in page


def test_details_of_what_only_looks_like_json_are_the_text():
    assert "{not json" in details({**RECORD, "message": "{not json"}).plain


def test_the_lines_around_a_record_mark_it():
    page = around([{**RECORD, "message": "before"}, RECORD], 1).plain
    assert page.splitlines()[-1].startswith("▸ 08:00:00.123 error payment failed")
