"""A record comes back from its message as it was, and nothing that lies on a topic breaks a reader."""

import random

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.bus.message import LABEL_NAMES, decode, encode
from tailrace.bus.places import HEADER, ORIGINS_HEADER
from tailrace.pipeline.foreign import understand
from tailrace.record import Batch, Level, Stream
from tests.batches import batch_of, messages_of

texts = st.text(st.characters(codec="utf-8"), max_size=20)
names = st.sampled_from([*LABEL_NAMES, "team", "event.created", "@timestamp", "línea", 'a"b', "message"]) | texts
labels = st.dictionaries(names.filter(bool), texts.filter(bool), max_size=4)
values = st.recursive(st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts, st.lists, max_leaves=4)
fields = st.none() | st.dictionaries(texts, values, max_size=3).map(lambda found: orjson.dumps(found).decode())
times = st.integers(-(2**63) + 1, 2**63 - 1)
rows = st.lists(
    st.tuples(
        times,
        times,
        st.integers(0, 6),
        labels,
        texts | st.just('"\\\x00\n,"event.created":"'),
        st.none() | st.integers(-(2**62), 2**62),
        st.none() | texts,
        fields,
    ),
    min_size=1,
    max_size=12,
)


def batch_with(found, origins=()) -> Batch:
    parts = [
        Batch.of(
            time=[time],
            observed=[observed],
            level=[level],
            stream=Stream.of(said),
            message=[message],
            position=[position],
            trace_id=[trace],
            fields=[parsed],
        )
        for time, observed, level, said, message, position, trace, parsed in found
    ]
    return Batch(Batch.concat(parts).columns, origins=origins)


def read_again(encoded, *, first=100, topic="shop"):
    offsets = np.arange(first, first + len(encoded.values), dtype=np.int64)
    return decode(
        encoded.values, encoded.headers, offsets, encoded.times_ms, epoch=5, topic=topic, understand=understand
    )


def read(values, headers=None, times_ms=None, topic="shop"):
    rows = len(values)
    headers = [None] * rows if headers is None else headers
    times_ms = [1_000] * rows if times_ms is None else times_ms
    offsets = np.arange(rows, dtype=np.int64)
    return decode(values, headers, offsets, times_ms, epoch=5, topic=topic, understand=understand)


@given(rows)
def test_every_column_comes_back_as_it_was(found):
    batch = batch_with(found)
    again = read_again(encode(batch))
    assert again.own.all()
    assert again.batch.columns.to_pylist() == batch.columns.to_pylist()


@given(rows)
def test_a_message_is_one_json_object_in_utf_8(found):
    for value, record in zip(encode(batch_with(found)).values, found, strict=True):
        parsed = orjson.loads(value)
        assert parsed["message"] == record[4]
        assert parsed.get("fields", {}) == orjson.loads(record[7] or "{}")
        assert b"\n" not in value


def test_a_message_says_its_things_by_the_names_of_ecs():
    stream = Stream.of({"service": "shop", "host": "web-1", "path": "/var/log/a.log", "pod": "p", "team": "blue"})
    batch = Batch.of(
        time=[1_795_161_600_123_456_789],
        observed=[1_795_161_601_000_000_000],
        level=[Level.ERROR],
        stream=stream,
        message=["payment failed"],
        position=[4711],
        trace_id=["4bf9"],
        fields=['{"user":7}'],
    )
    (value,) = encode(batch).values
    assert orjson.loads(value) == {
        "@timestamp": "2026-11-20T08:00:00.123456789Z",
        "log.level": "error",
        "host.name": "web-1",
        "log.file.path": "/var/log/a.log",
        "kubernetes.pod.name": "p",
        "service.name": "shop",
        "event.created": "2026-11-20T08:00:01.000000000Z",
        "log.offset": 4711,
        "trace.id": "4bf9",
        "labels": {"team": "blue"},
        "message": "payment failed",
        "fields": {"user": 7},
    }


def test_offsets_may_have_holes():
    encoded = encode(batch_of(["a", "b"]))
    offsets = np.array([4, 9], np.int64)
    batch = decode(
        encoded.values, encoded.headers, offsets, encoded.times_ms, epoch=5, topic="t", understand=understand
    ).batch
    assert (batch.first.offset, batch.next.offset) == (4, 10)


def test_the_timestamp_of_a_message_is_when_the_record_was_observed():
    assert encode(batch_of(["a"], time=-5, observed=1_234_567_890)).times_ms == [1_234]


def test_a_record_observed_before_1970_has_the_first_timestamp_that_kafka_can_keep():
    assert encode(batch_of(["a"], observed=-5)).times_ms == [1]


def test_foreign_json_is_understood_as_pushed_json_is():
    value = b'{"@timestamp":"2026-11-20T08:00:00Z","level":"warn","msg":"hot","service":"cpu","t":91}'
    (record,) = read([value]).batch.records()
    assert (record.message, record.level, record.time_ns) == ("hot", Level.WARN, 1_795_161_600_000_000_000)
    assert record.stream.labels == {"service": "cpu", "source": "kafka"}
    assert record.fields == {"t": 91}


def test_text_is_a_record_of_its_topic_with_the_time_of_the_topic():
    (record,) = read([b"just text"], times_ms=[1_234], topic="orders").batch.records()
    assert (record.message, record.time_ns) == ("just text", 1_234_000_000)
    assert record.stream.labels == {"service": "orders", "source": "kafka"}


def test_bytes_that_are_no_text_are_escaped_and_kept():
    (record,) = read([b"\xff\x00a"]).batch.records()
    assert (record.message, record.fields) == ("\\xff\x00a", {"raw_base64": "/wBh"})


def test_a_message_without_a_value_is_an_empty_record():
    (record,) = read([None]).batch.records()
    assert record.message == ""


def test_own_and_foreign_messages_stay_in_their_order():
    encoded = encode(batch_of(["a", "b"]))
    values = [b"x", encoded.values[0], b'{"message":"y"}', encoded.values[1]]
    again = read(values, [None, encoded.headers[0], [], encoded.headers[1]])
    assert messages_of([again.batch]) == ["x", "a", "y", "b"]
    assert again.own.tolist() == [False, True, False, True]


def test_our_json_without_our_header_is_foreign_and_says_the_same():
    (value,) = encode(batch_of(["a"])).values
    again = read([value])
    assert not again.own.any()
    (record,) = again.batch.records()
    assert (record.message, record.level, record.stream.labels["service"]) == ("a", Level.INFO, "shop")


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"message":"a"', b'"message":1'),
        (b'"message":"a"', b'"message":"\\ud800"'),
        (b'"message":"a"', b'"message":"a","more":1'),
        (b'"message":"a"', b'"message":"a","fields":[]'),
        (b'"message":"a"', b'"message":"a","fields":{"x":"\\ud800"}'),
        (b'"message":"a"', b'"message":"a","fields":{"x":"\xff"}'),
        (b'"message":"a"', b'"message":"a","fields":{"x":' + b"[" * 300 + b"]" * 300 + b"}"),
        (b'"message":"a"', b'"message":"a","fields":{"x":' + b"[" * 99_999),
        (b'"message":"a"', b'"message":"a","labels":{"service":"x"}'),
        (b'"log.offset":0', b'"log.offset":99999999999999999999'),
        (b'"log.offset":0', b'"log.offset":0.5'),
        (b"1970-01-01T00:00:00.000000000Z", b"1970-02-31T00:00:00.000000000Z"),
        (b"1970-01-01T00:00:00.000000000Z", b"9999-01-01T00:00:00.000000000Z"),
        (b'"log.level":"info"', b'"log.level":"loud"'),
        (b'"service.name":"shop"', b'"service.title":"shop"'),
    ],
)
def test_a_value_that_only_looks_like_ours_is_foreign(old, new):
    encoded = encode(batch_of(["a", "b"]))
    assert old in encoded.values[0]
    again = read([encoded.values[0].replace(old, new), encoded.values[1]], encoded.headers)
    assert again.own.tolist() == [False, True]
    assert len(list(again.batch.records())) == 2


def test_fields_that_another_program_has_written_are_written_as_ours():
    encoded = encode(batch_of(["a"]))
    value = encoded.values[0].replace(b'"message":"a"', b'"message":"a","fields":{ "\\u0061" :\n"\\/"}')
    batch = read([value], encoded.headers).batch
    assert batch.array("fields").to_pylist() == ['{"a":"/"}']


pieces = st.sampled_from(
    rb"""{"@timestamp":" 2026-11-20T08:00:00.123456789Z ","event.created":" ", "message":"a" } " "fields":{ "labels":{
    "log.level":"info" "log.offset": 1 [ ] \u""".split()
)


@given(
    st.lists(st.tuples(st.lists(pieces).map(b"".join) | st.binary(), st.sampled_from([b"1", b"1 0 1 0 1 s", b"?"]))),
    st.lists(st.binary(), max_size=3),
)
@example([(b'{"@timestamp":"', b"1")], [])
def test_nothing_on_a_topic_breaks_a_reader(found, noise):
    values = [value for value, _ in found] + noise
    headers = [[(HEADER, header), (ORIGINS_HEADER, value)] for value, header in found] + [
        [(HEADER, text)] for text in noise
    ]
    again = read(values, headers).batch
    again.columns.validate(full=True)
    for row in again.json_rows():
        orjson.loads(row)


@given(rows, st.randoms(use_true_random=False))
def test_no_changed_byte_breaks_a_reader(found, chance: random.Random):
    encoded = encode(batch_with(found))
    broken = []
    for value in encoded.values:
        changed = bytearray(value)
        for _ in range(chance.randint(1, 3)):
            changed[chance.randrange(len(changed))] = chance.choice(b'"\\{}[],: \n\xffa0')
        broken.append(bytes(changed))
    again = read(broken, encoded.headers).batch
    again.columns.validate(full=True)
    for row in again.json_rows():
        assert b"\n" not in row
        orjson.loads(row)
