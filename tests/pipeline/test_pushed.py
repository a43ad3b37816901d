import numpy as np
import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.limits import JSON_SHAPE_ROWS_MIN
from tailrace.lines import Lines
from tailrace.pipeline.pushed import process_json
from tailrace.record import Origin, Stream

keys = st.sampled_from(["message", "msg", "level", "time", "trace_id", "service", "host", "a", "b"])
values = st.text(max_size=5) | st.integers(-10, 10) | st.none() | st.booleans() | st.just([1, 2])


def processed(lines):
    given_lines = pa.array([line if isinstance(line, bytes) else orjson.dumps(line) for line in lines], pa.binary())
    places = np.arange(len(lines), dtype=np.int64)
    return process_json(Lines(given_lines, places, Stream.of({}), 7, Origin("push:k", 0, len(lines), len(lines))))


def plain(batch):
    return [(r.time_ns, r.level, r.message, r.stream.json, r.fields, r.trace_id) for r in batch.records()]


@settings(max_examples=50, deadline=None)
@given(records=st.lists(st.dictionaries(keys, values, max_size=4), max_size=6))
def test_records_together_are_what_they_are_one_by_one(records):
    together, _ = processed(records)
    assert plain(together) == [row for record in records for row in plain(processed([record])[0])]


def test_what_is_no_object_is_left_out_and_told():
    batch, errors = processed([{"message": "a"}, b"{", b"[1]", b"", b'"x"', {"message": "b"}])
    assert batch.array("message").to_pylist() == ["a", "b"]
    assert [index for index, _ in errors] == [1, 2, 4]


def test_what_is_no_object_among_many_lines_of_a_shape_is_left_out_and_told_and_their_order_is_kept():
    alike = [{"message": f"m{n}"} for n in range(2 * JSON_SHAPE_ROWS_MIN)]
    batch, errors = processed([*alike[:100], b"{", *alike[100:], {"message": 'a "word"'}, b"\xff"])
    assert batch.array("message").to_pylist() == [*(one["message"] for one in alike), 'a "word"']
    assert batch.array("position").to_pylist() == [*range(100), *range(101, len(alike) + 2)]
    assert [index for index, _ in errors] == [100, len(alike) + 2]


def nested(levels):
    return b'{"message":"m","a":' + b"[" * levels + b"]" * levels + b"}"


def test_a_record_that_is_nested_too_deeply_is_told_and_its_neighbours_kept():
    batch, errors = processed([{"message": "a"}, nested(900), {"message": "b"}, nested(100)])
    assert batch.array("message").to_pylist() == ["a", "b", "m"]
    assert errors == [(1, "nested deeper than 250 levels")]
