"""What was sent twice is left out, and nothing else is."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tailrace.bus.brokers import Place
from tailrace.bus.message import Encoded, decode, encode
from tailrace.bus.partition import Partition, Repeats, nothing
from tailrace.limits import KAFKA_SOURCES_MAX
from tailrace.pipeline.foreign import understand
from tailrace.record import Batch, Origin
from tests.batches import batch_of, messages_of


def joined(*encoded: Encoded) -> Encoded:
    return Encoded(
        [value for one in encoded for value in one.values],
        [headers for one in encoded for headers in one.headers],
        [time for one in encoded for time in one.times_ms],
    )


def decoded(encoded: Encoded):
    offsets = np.arange(len(encoded.values), dtype=np.int64)
    return decode(encoded.values, encoded.headers, offsets, encoded.times_ms, epoch=5, topic="t", understand=understand)


def of_log(first: int, count: int, source: str = "agent:7") -> Encoded:
    batch = batch_of([f"{source} {n}" for n in range(first, first + count)]).placed(7, first)
    return encode(batch, source=source)


def test_what_an_agent_sends_again_is_left_out():
    repeats = Repeats()
    first = repeats.leave_out(decoded(joined(of_log(0, 5), of_log(2, 5))))
    second = repeats.leave_out(decoded(of_log(4, 5)))
    assert messages_of([first, second]) == [f"agent:7 {n}" for n in range(9)]


def test_the_first_rows_of_a_push_that_was_cut_short_are_left_out_when_it_comes_whole():
    whole = encode(Batch(batch_of(["a", "b", "c"]).columns, origins=[Origin("push:k", 0, 3, 3)]))
    cut = Encoded(whole.values[:2], whole.headers[:2], whole.times_ms[:2])
    assert messages_of([Repeats().leave_out(decoded(joined(cut, whole)))]) == ["a", "b", "c"]


def test_records_without_an_origin_are_never_repeats():
    plain = encode(batch_of(["a", "b"]))
    assert messages_of([Repeats().leave_out(decoded(joined(plain, plain)))]) == ["a", "b", "a", "b"]


def test_the_source_that_was_silent_the_longest_is_forgotten_first(monkeypatch):
    monkeypatch.setattr("tailrace.bus.partition.KAFKA_SOURCES_MAX", 2)
    assert KAFKA_SOURCES_MAX > 2
    repeats = Repeats()
    for source in ("a", "b", "a", "c"):
        repeats.leave_out(decoded(of_log(0, 1, source)))
    again = repeats.leave_out(decoded(joined(of_log(0, 1, "a"), of_log(0, 1, "c"), of_log(0, 1, "b"))))
    assert messages_of([again]) == ["b 0"]


@given(st.lists(st.tuples(st.sampled_from(["a", "b"]), st.integers(0, 6), st.integers(1, 4)), max_size=12))
def test_of_each_source_only_what_is_beyond_all_before_is_kept(sent):
    repeats, seen, expected, found = Repeats(), {"a": -1, "b": -1}, [], []
    for source, first, count in sent:
        for n in range(first, first + count):
            if n > seen[source]:
                seen[source] = n
                expected.append(f"{source} {n}")
        found += messages_of([repeats.leave_out(decoded(of_log(first, count, source)))])
    assert found == expected


def test_a_stretch_without_records_is_a_batch_without_rows():
    batch = nothing(Partition(Place("t", 0), 5, 0, 9), 3, 9)
    assert (len(batch), batch.first.offset, batch.next.offset) == (0, 3, 9)
