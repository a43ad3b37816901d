import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.pipeline.fields import Column, numeric, objects, placed, with_stream

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
STREAMS = ("", "stdout", "stderr")


@given(st.lists(st.tuples(TEXT, st.none() | TEXT, st.none() | st.integers(-(10**17), 10**17).map(str)), max_size=6))
def test_objects_are_what_orjson_writes(rows):
    columns = [
        Column(name, pa.array([row[place] for row in rows], pa.string()), number=name == "c")
        for place, name in enumerate("abc")
    ]
    meant = [
        {
            name: int(value) if name == "c" else value
            for name, value in zip("abc", row, strict=True)
            if value and value != "-"
        }
        for row in rows
    ]
    assert objects(columns, len(rows)).to_pylist() == [orjson.dumps(one).decode() if one else None for one in meant]


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", True),
        ("-7", True),
        ("1.50", True),
        ("007", False),
        ("1e5", False),
        ("", False),
        ("9" * 19, False),
        ("1.", False),
    ],
)
def test_only_numbers_that_lose_nothing_are_numbers(text, number):
    assert numeric(pa.array([text])).to_pylist() == [number]


def test_a_value_that_is_no_number_is_written_as_text():
    assert objects([Column("n", pa.array(["1", "x"]), number=True)], 2).to_pylist() == ['{"n":1}', '{"n":"x"}']


def test_texts_of_some_rows_are_put_among_nulls():
    assert placed(pa.array(["a", "b"]), np.array([1, 3]), 4).to_pylist() == [None, "a", None, "b"]


def test_the_stream_is_added_to_fields_and_to_none():
    known = pa.array(['{"a":1}', None, '{"b":2}'])
    assert with_stream(known, np.array([1, 2, 0]), STREAMS).to_pylist() == [
        '{"stream":"stdout","a":1}',
        '{"stream":"stderr"}',
        '{"b":2}',
    ]


def test_a_stream_of_the_lines_own_is_kept():
    known = ['{"stream":"orders"}', '{"a":{"stream":1}}']
    assert with_stream(known, np.array([1, 1]), STREAMS).to_pylist() == [
        '{"stream":"orders"}',
        '{"stream":"stdout","a":{"stream":1}}',
    ]
