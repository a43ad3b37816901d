"""Messages of other programs become records, one for one."""

import numpy as np
import orjson
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tailrace.pipeline.foreign import understand
from tailrace.record import Batch, Stream

TOPIC = Stream.of({"source": "kafka", "service": "orders"})
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def read(*values: bytes) -> Batch:
    return understand(pa.array(values, pa.binary()), TOPIC, np.arange(1, len(values) + 1) * 1_000_000)


def test_an_object_says_itself_who_speaks_and_when():
    (record,) = read(b'{"ts":"2026-11-20T08:00:00Z","msg":"a","host":"web-1","service":"shop"}').records()
    assert record.time_ns == 1_795_161_600_000_000_000
    assert record.stream.labels == {"host": "web-1", "service": "shop", "source": "kafka"}


def test_many_objects_of_one_shape_have_each_their_own_time_of_the_topic():
    batch = read(*(b'{"msg":"line %d","n":%d}' % (n, n) for n in range(1000)))
    assert batch.numpy("time").tolist() == [n * 1_000_000 for n in range(1, 1001)]
    assert batch.array("message").to_pylist() == [f"line {n}" for n in range(1000)]


def test_an_object_that_is_not_one_is_text():
    batch = read(b"[1]", b'{"a":', b"{}", b"1", b"", b'{"a":"\\ud800"}')
    assert batch.array("message").to_pylist() == ["[1]", '{"a":', "{}", "1", "", '{"a":"\\ud800"}']


def test_a_record_that_tailrace_has_shown_keeps_when_it_was_observed():
    row = b'{"time":"2026-11-20T08:00:00Z","message":"a","observed":"2026-11-20T08:00:01Z","cursor":"7-1"}'
    (record,) = read(row).records()
    assert record.observed_ns == 1_795_161_601_000_000_000


@given(
    st.lists(
        st.binary() | JSON.map(lambda value: orjson.dumps(str(value))) | JSON.map(repr).map(str.encode), min_size=1
    )
)
def test_whatever_it_is_there_is_a_record_for_each(values):
    batch = read(*values)
    assert len(batch) == len(values)
    batch.columns.validate(full=True)
    assert [record.stream.labels["source"] for record in batch.records()] == ["kafka"] * len(values)
