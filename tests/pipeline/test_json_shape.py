import orjson
import pyarrow as pa
import pytest

from tailrace.limits import JSON_SHAPE_ROWS_MIN, JSON_SHAPES_MAX
from tailrace.pipeline.json_shape import Block, Shape, rows_by_shape


def rows_of(lines):
    return list(rows_by_shape(pa.array(lines, pa.string())))


def test_values_are_told_from_keys_and_nested_ones_from_plain_ones():
    shape = Shape.of(b'{"a": "x", "b": {"c": -1, "d": ["y", null]}, "e": true}')
    assert [shape.line[value.start : value.end] for value in shape.values] == [b"x", b"-1", b"y", b"null", b"true"]
    pairs = [(pair.key, shape.line[pair.start : pair.end], pair.value) for pair in shape.pairs]
    nested = b'"b": {"c": -1, "d": ["y", null]}'
    assert pairs == [("a", b'"a": "x"', 0), ("b", nested, None), ("e", b'"e": true', 4)]
    assert shape.literal(0, shape.values[0].start) == b'{"a":"'


@pytest.mark.parametrize(
    "line",
    ["{", "[1]", "{}", '{"a":[1,2]}', '{"a":1,"a":2}', '{"a":"\\n"}', '{"a":1e5}', '{"a":1.50}', '{"a":"x" "b":1}'],
)
def test_a_line_whose_borders_quotes_do_not_tell_is_no_template(line):
    assert Shape.of(line.encode()) is None


@pytest.mark.parametrize(
    "other",
    [
        '{"key":"v","other":2}',
        '{"key":"v","numbex":2}',
        '{"key":"v" "number":2}',
        '{"key":"v","number":}',
        '{"key":"v","number":2} ',
        '{"kéy":"v","number":2}',
        '{"key":"\\v","number":2}',
        '{"key":"\tv","number":2}',
        '{"key":"v","number":2',
        '"key":"v","number":2}}',
        '{"key":","number":"","":2}',
        "",
    ],
)
def test_a_line_that_differs_in_a_byte_between_its_values_has_another_shape(other):
    lines = ['{"key":"v","number":1}'] * JSON_SHAPE_ROWS_MIN
    (found,) = rows_of([*lines, other, '{"key":"a longer one, with {}[]:","number":-123}'])
    assert found.rows.tolist() == [*range(JSON_SHAPE_ROWS_MIN), JSON_SHAPE_ROWS_MIN + 1]
    assert found.texts(0)[-1].as_py() == "a longer one, with {}[]:"
    assert found.texts(1)[-1].as_py() == "-123"


def test_lines_of_several_shapes_are_found_each_with_their_own():
    lines = [orjson.dumps({f"key{n % 3}": n, "message": "m"}).decode() for n in range(3 * JSON_SHAPE_ROWS_MIN)]
    found = rows_of(lines)
    assert sorted(rows.rows.tolist()[:2] for rows in found) == [[0, 3], [1, 4], [2, 5]]


def test_shapes_beyond_their_bound_are_left_out():
    shapes = JSON_SHAPES_MAX + 2
    lines = [orjson.dumps({f"key{n % shapes}": n}).decode() for n in range(shapes * JSON_SHAPE_ROWS_MIN)]
    assert 0 < len(rows_of(lines)) < shapes


def test_few_lines_are_left_to_the_parser():
    assert rows_of(['{"message":"m"}'] * (JSON_SHAPE_ROWS_MIN - 1)) == []


def test_a_value_without_quotes_is_canonical_or_not_in_each_row():
    tokens = ["1", "-0", "1.5", "1.50", "x", "null", "01"]
    lines = ['{"n":' + token + "}" for token in tokens]
    found = Shape.of(b'{"n":7}').fit(Block.of(pa.array(lines)), pa.array(range(len(lines))).to_numpy())
    assert found.canonical(0).tolist() == [True, False, True, False, False, True, False]
