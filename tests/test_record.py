"""Records, streams and batches."""

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cursor import Cursor
from tailrace.record import Batch, Level, Stream, rfc3339
from tests.batches import batch_of, messages_of


def one(fields: str | None = None, labels: dict[str, str] | None = None, **values) -> Batch:
    return Batch.of(
        time=[values.get("time", 0)],
        observed=[0],
        level=[values.get("level", 0)],
        stream=Stream.of(labels or {}),
        message=[values.get("message", "")],
        trace_id=[values.get("trace_id")],
        fields=[fields],
    ).placed(0x7F3A, 1042)


def test_equal_streams_are_one_object_whatever_the_order_of_their_labels():
    assert Stream.of({"b": "2", "a": "1"}) is Stream.of({"a": "1", "b": "2"})


def test_an_empty_label_is_no_label():
    assert Stream.of({"service": "shop", "host": ""}).labels == {"service": "shop"}


def test_columns_of_another_shape_are_a_programmers_fault():
    with pytest.raises(ValueError, match="not the columns"):
        Batch(pa.RecordBatch.from_pydict({"time": [1]}))


def test_a_record_prints_as_the_contract_says():
    batch = one(
        '{"order":42,"user":{"id":7}}', {"service": "checkout"}, level=5, message='say "hi"\n', trace_id="4bf9", time=1
    )
    assert orjson.loads(batch.json_rows()[0]) == {
        "time": "1970-01-01T00:00:00.000000001Z",
        "level": "error",
        "message": 'say "hi"\n',
        "service": "checkout",
        "trace_id": "4bf9",
        "fields": {"order": 42, "user": {"id": 7}},
        "observed": "1970-01-01T00:00:00.000000000Z",
        "cursor": "7f3a-1042",
    }


def test_what_is_absent_is_left_out_of_the_json():
    assert set(orjson.loads(one().json_rows()[0])) == {"time", "message", "observed", "cursor"}


def test_a_view_of_a_row_has_everything():
    (record,) = one('{"a":1}', {"service": "shop"}, level=4, message="m").records()
    assert (record.level, record.fields, record.cursor) == (Level.WARN, {"a": 1}, Cursor(0x7F3A, 1042))


@pytest.mark.parametrize(
    ("fields", "name", "text"),
    [
        ('{"order":42}', "order", "42"),
        ('{"user":{"id":7}}', "user.id", "7"),
        ('{"user.id":8}', "user.id", "8"),
        ('{"a":"text"}', "a", "text"),
        ('{"a":true}', "a", "true"),
        ('{"a":1.5}', "a", "1.5"),
        ('{"a":null}', "a", None),
        ('{"a":[1,2]}', "a", "[1,2]"),
        ('{"a":{"b":1}}', "a", '{"b":1}'),
        ('{"b":"a"}', "a", None),
        ('{"a":{"b":1}}', "a.b.c", None),
        ('{"a\\"b":1}', 'a"b', "1"),
        (None, "a", None),
    ],
)
def test_a_field_is_looked_up_in_the_text(fields, name, text):
    assert one(fields).column(name).to_pylist() == [text]


def test_a_label_wins_over_a_field_of_the_same_name():
    assert one('{"service":"inner"}', {"service": "outer"}).column("service").to_pylist() == ["outer"]


def test_a_field_fills_in_where_a_stream_has_no_such_label():
    joined = Batch.concat([one('{"service":"inner"}'), one(None, {"service": "outer"})])
    assert joined.column("service").to_pylist() == ["inner", "outer"]


def test_the_level_is_a_word_or_missing():
    assert Batch.concat([one(level=5), one()]).column("level").to_pylist() == ["error", None]


def test_joined_batches_keep_rows_streams_cursors_and_origins():
    left = batch_of(["a"], source="file:1", service="x").placed(1, 10)
    right = batch_of(["b", "c"], source="file:2", service="y").placed(1, 20)
    joined = Batch.concat([left, right])
    assert messages_of([joined]) == ["a", "b", "c"]
    assert joined.column("service").to_pylist() == ["x", "y", "y"]
    assert joined.offsets is not None
    assert joined.offsets.tolist() == [10, 20, 21]
    assert [origin.source for origin in joined.origins] == ["file:1", "file:2"]


def test_a_filter_keeps_the_cursors_of_its_rows():
    kept = batch_of(["a", "b", "c"]).placed(1, 10).filter(np.array([True, False, True]))
    assert (messages_of([kept]), kept.next) == (["a", "c"], Cursor(1, 13))


def test_a_batch_that_no_log_has_taken_has_no_cursors():
    with pytest.raises(ValueError, match="no log"):
        batch_of(["a"]).json_rows()


@given(st.integers(-(10**18), 9 * 10**18))
def test_a_time_keeps_its_nanoseconds(nanoseconds):
    (text,) = rfc3339(np.array([nanoseconds], np.int64))
    assert np.datetime64(text[:-1], "ns").astype(np.int64) == nanoseconds
    assert len(text) == 30


@given(st.text(), st.dictionaries(st.text(min_size=1), st.integers(0, 100)))
def test_any_text_survives_the_json(message, fields):
    batch = one(orjson.dumps(fields).decode(), message=message.encode("utf-8", "replace").decode())
    again = orjson.loads(batch.json_rows()[0])
    assert (again["message"], again.get("fields")) == (batch.array("message")[0].as_py(), fields)
