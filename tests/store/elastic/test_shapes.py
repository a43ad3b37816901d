"""Texts of JSON taken apart into shapes and values."""

import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tailrace.store.elastic.shapes import shape_of, take_apart
from tests.query.strategies import values


@given(st.lists(st.dictionaries(st.sampled_from(["a", "b c", "错"]), values, min_size=1), min_size=1))
def test_shape_and_values_are_all_of_a_text(objects):
    texts = [orjson.dumps(one).decode() for one in objects]
    taken = take_apart(pa.array(texts))
    given_back, at = [], 0
    for shape, count in zip(taken.shapes.to_pylist(), taken.counts.tolist(), strict=True):
        for value in taken.values.to_pylist()[at : at + count]:
            shape = shape.replace("\x02", value, 1)  # noqa: PLW2901 - filled, value by value
        given_back.append(shape)
        at += count
    cleaned = [orjson.loads(text.replace("\x01", "?")) for text in given_back if "\x01" not in text]
    assert cleaned == [one for one, text in zip(objects, given_back, strict=True) if "\x01" not in text]


def test_lines_that_differ_only_in_their_values_have_one_shape():
    texts = [
        '{"user":{"id":7},"tags":["a","b"]}',
        '{"user":{"id":"x, y"},"tags":[null,{}]}',
        '{"user":{"id":{}},"tags":[]}',
    ]
    shapes = take_apart(pa.array(texts)).shapes
    assert len(shapes.dictionary) == 3
    assert take_apart(pa.array(texts[:1] * 5)).shapes.dictionary.to_pylist() == [
        '{"user":{"id":\x02},"tags":[\x02,\x02]}'
    ]


def test_a_shape_knows_what_reaches_its_values():
    (shape,) = take_apart(pa.array(['{"user":{"id":7,"a.b":1},"t":[2]}'])).shapes.dictionary.to_pylist()
    places = shape_of(shape, frozenset()).places
    assert [(place.name, place.around) for place in places] == [("user.id", ("user",)), ("", ("user",)), ("", ("t",))]
    hidden = shape_of(shape, frozenset({"user"})).places
    assert [(place.name, place.around) for place in hidden] == [("user.id", ()), ("", ()), ("", ("t",))]


def test_a_name_with_an_escape_is_left_to_be_parsed():
    (shape,) = take_apart(pa.array(['{"a\\nb":{"c":1}}'])).shapes.dictionary.to_pylist()
    assert not shape_of(shape, frozenset()).good
