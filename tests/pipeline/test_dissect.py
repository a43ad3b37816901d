import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.pipeline.dissect import Template, dissect
from tailrace.pipeline.timestamp import Text


def dissected(template, *lines):
    text = Text.of(pa.array(lines, pa.string()))
    read: list[dict | None] = [None] * len(lines)
    for rows, columns in dissect([Template(template)], text, text.begins, np.ones(len(lines), bool)):
        for place, row in enumerate(rows.tolist()):
            read[row] = {column.name: column.values[place].as_py() for column in columns}
    return read


def test_fields_stand_between_literals():
    assert dissected("{a} - {b}: ", "x - y: rest") == [{"a": "x", "b": "y"}]


def test_a_line_that_does_not_fit_has_none():
    assert dissected("{a}: ", "x: y", "no colon", "", "two words: y") == [{"a": "x"}, None, None, None]


def test_a_starred_field_may_hold_spaces_or_nothing():
    assert dissected('"{a*}" {b}', '"one two" 3', '"" 4') == [{"a": "one two", "b": "3"}, {"a": "", "b": "4"}]


def test_a_number_that_is_none_means_that_the_line_does_not_fit():
    assert dissected("{a:int} ", "12 x", "1x x", "- x", "007 x") == [{"a": "12"}, None, {"a": "-"}, None]


def test_a_quotation_mark_behind_a_backslash_ends_nothing():
    assert dissected('"{a*}" ', r'"say \"hi\" " x', r'"ends \\" y') == [{"a": r"say \"hi\" "}, {"a": r"ends \\"}]


def test_a_tilde_is_one_space_or_more():
    assert dissected("{a}~{b}", "x    y", "x y") == [{"a": "x", "b": "y"}] * 2


def test_an_optional_end_may_be_missing_or_of_another_kind():
    assert dissected("{a}]{t?:float}", "x] 0.25", "y]", 'z] "other"') == [
        {"a": "x", "t": "0.25"},
        {"a": "y", "t": ""},
        {"a": "z", "t": ""},
    ]


def test_two_fields_side_by_side_are_refused():
    with pytest.raises(ValueError, match="between"):
        Template("{a}{b}")


@given(st.lists(st.tuples(*[st.text('ab\u00e9"\\', min_size=1, max_size=4)] * 3), max_size=6))
def test_what_is_joined_is_taken_apart_again(rows):
    lines = [" | ".join(row) for row in rows]
    assert dissected("{a} | {b} | {c}", *lines) == [dict(zip("abc", row, strict=True)) for row in rows]
