"""Many lines of a shape together give, value for value and byte for byte, what each line gives alone."""

import json
from datetime import UTC

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.limits import JSON_SHAPE_ROWS_MIN
from tailrace.pipeline import json_columns
from tailrace.pipeline.json_columns import Columns
from tailrace.pipeline.parse_json import parse
from tailrace.record import Stream

OBSERVED_NS = 1_795_000_000_000_000_000
STREAM = Stream.of({"host": "h", "path": "/var/log/a.log"})

KEYS = "message msg log time ts level severity_number trace_id trace service host pod fields a b"
keys = st.sampled_from(KEYS.split(" ")) | st.text(max_size=3)
words = st.text(max_size=6) | st.sampled_from(["info", "ERROR", "2026-11-20T08:00:00Z", "2026-11-20 08:00:00.5", ""])
numbers = st.integers() | st.integers(0, 60) | st.floats(allow_nan=False, allow_infinity=False)
scalars = words | numbers | st.booleans() | st.none()
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3), max_leaves=6
)
ways = st.sampled_from(
    [
        lambda record: json.dumps(record, ensure_ascii=False, separators=(",", ":")),
        lambda record: json.dumps(record, ensure_ascii=False),
        json.dumps,
        lambda record: json.dumps(record, ensure_ascii=False, separators=(" ,  ", " :")) + " ",
    ]
)


def together(lines):
    return json_columns.read_all(pa.array(lines, pa.string()), STREAM, OBSERVED_NS, UTC)


def alone(lines):
    parsed = parse(pa.array(lines, pa.string()).cast(pa.binary()), STREAM)
    return json_columns.read_parsed(parsed, np.arange(len(lines)), OBSERVED_NS, UTC)


def plain(read: Columns):
    streams = [read.streams[code].json for code in read.codes]
    times = np.where(read.ok, read.time, 0).tolist()
    texts = zip(read.message.to_pylist(), read.trace_id.to_pylist(), read.fields.to_pylist(), strict=True)
    return list(zip(times, read.level.tolist(), streams, texts, strict=True))


def alike(draw, record):
    """Draw another record of the same shape, most of the time."""
    if isinstance(record, dict):
        return {key: alike(draw, value) for key, value in record.items()}
    if isinstance(record, list):
        return [alike(draw, value) for value in record]
    kind = words if isinstance(record, str) else numbers if type(record) in (int, float) else scalars
    return draw(st.just(record) | kind)


@st.composite
def blocks(draw):
    """Draw lines of a few shapes and some others, mixed."""
    written: list[str] = []
    for record in draw(st.lists(st.dictionaries(keys, values, max_size=6), min_size=1, max_size=3)):
        way = draw(ways)
        variants = [way(record), *(way(alike(draw, record)) for _ in range(draw(st.integers(0, 6))))]
        count = draw(st.sampled_from([3, JSON_SHAPE_ROWS_MIN // 2 + 7, JSON_SHAPE_ROWS_MIN + 5]))
        written += [variants[n % len(variants)] for n in range(count)]
    written += draw(st.lists(st.sampled_from(["", "text", "{", "[1]", '{"a":01}', '{"a":1,"a":2}', "{}", '{"a":tru}'])))
    order = np.random.default_rng(draw(st.integers(0, 99))).permutation(len(written))
    return [written[place] for place in order]


@settings(max_examples=150, deadline=None)
@given(lines=blocks())
def test_lines_together_are_what_they_are_alone(lines):
    assert plain(together(lines)) == plain(alone(lines))


TOKENS = (
    "0 -0 1 -1 10 01 00 +1 1.0 1.5 1.50 -1.25 0.0 -0.0 0.1 0.0001 0.00001 0.000001 .5 5. 1e5 1E5 1e-7 1.0e3 "
    "123456789012345678 1234567890123456789 12345678901234567890 99999999999999999999999 123456789.123456 "
    "1234567890.123456 123456789.1234567 0.1234567 0.001234 true false null nul True NaN Infinity - 0x1 1_000 1-1"
)


@pytest.mark.parametrize("token", TOKENS.split(" "))
def test_a_value_without_quotes_is_what_json_says_it_is(token):
    lines = ['{"message":"m","n":7}'] * JSON_SHAPE_ROWS_MIN + ['{"message":"m","n":' + token + "}"]
    assert plain(together(lines)) == plain(alone(lines))


@pytest.mark.parametrize("key", ["time", "ts", "level", "severity_number"])
@pytest.mark.parametrize(
    "token", [*TOKENS.split(" "), "1795000000", "1795000000.25", "1795000000123", '"30"', '"x"', '""']
)
def test_a_time_or_level_without_quotes_is_what_it_is_alone(key, token):
    lines = ['{"message":"m","' + key + '":' + token + "}"] * (JSON_SHAPE_ROWS_MIN + 1)
    assert plain(together(lines)) == plain(alone(lines))


def test_lines_of_the_usual_shape_are_not_parsed_one_by_one():
    record = {
        "time": "2026-11-20T08:00:00.123Z",
        "level": "info",
        "message": "ünï",
        "service": "shop",
        "n": 1,
        "u": {"id": "x"},
    }
    lines = [orjson.dumps({**record, "n": n}).decode() for n in range(JSON_SHAPE_ROWS_MIN)]
    (read,) = json_columns.read(pa.array(lines), STREAM, OBSERVED_NS, UTC, overrides=False)
    assert len(read.rows) == len(lines)
    assert read.fields[1].as_py() == '{"n":1,"u":{"id":"x"}}'
    assert read.message[1].as_py() == "ünï"


def test_fields_of_which_no_value_differs_are_those_of_each_line():
    lines = ['{"a": [], "message": "m"}'] * JSON_SHAPE_ROWS_MIN
    assert plain(together(lines)) == plain(alone(lines))


def test_lines_that_are_slices_of_a_larger_array_are_read():
    lines = pa.array(['{"message":"' + str(n) + '"}' for n in range(3 * JSON_SHAPE_ROWS_MIN)])
    part = lines.slice(JSON_SHAPE_ROWS_MIN, JSON_SHAPE_ROWS_MIN + 1)
    read = json_columns.read_all(part, STREAM, OBSERVED_NS, UTC)
    assert read.message.to_pylist() == [str(n) for n in range(JSON_SHAPE_ROWS_MIN, 2 * JSON_SHAPE_ROWS_MIN + 1)]
    assert pc.all(pc.is_null(read.fields)).as_py()
