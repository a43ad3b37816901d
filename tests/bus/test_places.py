"""Where a record was read from travels with it."""

import numpy as np
import pytest

from tailrace.bus.message import Decoded, Encoded, decode, encode
from tailrace.bus.places import HEADER
from tailrace.pipeline.foreign import understand
from tailrace.record import Batch, Origin
from tests.batches import batch_of


def read_again(encoded: Encoded, headers=None) -> Decoded:
    offsets = np.arange(len(encoded.values), dtype=np.int64)
    given = headers or encoded.headers
    return decode(encoded.values, given, offsets, encoded.times_ms, epoch=5, topic="shop", understand=understand)


def test_the_origins_of_a_batch_come_back():
    origins = [Origin("file:ä b", 0, 20, 2), Origin("file:old", 5, 9, 0, "{}"), Origin("push:k", 3, 4, 1, '{"n":1}')]
    batch = Batch(batch_of(["a", "b", "c"]).columns, origins=origins)
    assert list(read_again(encode(batch)).batch.origins) == origins


def test_an_origin_without_rows_behind_the_last_record_comes_back():
    origins = [Origin("push:k", 3, 5, 2, "n"), Origin("file:old", 5, 9, 0)]
    batch = Batch(batch_of(["a", "b"]).columns, origins=origins)
    again = read_again(encode(batch)).batch.origins
    assert sorted(again, key=str) == sorted(origins, key=str)


def test_origins_whose_rows_cannot_be_told_are_known_when_the_last_row_is():
    batch = Batch(batch_of(["a", "b", "c"]).columns, origins=[Origin("push:k", 0, 1, 1)])
    encoded = encode(batch)
    assert read_again(encoded).batch.origins == (Origin("push:k", 0, 1, 1),)
    assert [len(own) for own in encoded.headers] == [1, 1, 2]


def test_each_row_says_the_place_it_comes_from():
    batch = Batch(batch_of(["a", "b", "c"]).columns, origins=[Origin("push:k", 7, 9, 2), Origin("push:m", 0, 1, 1)])
    again = read_again(encode(batch))
    assert [again.sources[code] for code in again.source] == ["push:k", "push:k", "push:m"]
    assert (again.first.tolist(), again.row.tolist()) == ([7, 7, 0], [0, 1, 0])


def test_records_of_a_log_have_their_offsets_as_places():
    batch = batch_of(["a", "b"]).placed(9, 41)
    again = read_again(encode(batch, source="agent:9.0"))
    assert again.first.tolist() == [41, 42]
    assert again.batch.origins == (Origin("agent:9.0", 41, 43, 2),)


def test_rows_without_an_origin_have_no_place():
    again = read_again(encode(batch_of(["a", "b"])))
    assert (again.source.tolist(), again.batch.origins) == ([-1, -1], ())


@pytest.mark.parametrize(
    "header", [b"2 0 1 0 1 x", b"1 0 1 0 1 ", b"1 5 5 0 1 x", b"1 0 1 1 1 x", b"1 -1 1 0 1 x", b"1 0 1 0 x", b"1x", b""]
)
def test_a_header_that_is_not_ours_makes_a_message_foreign_and_no_other(header):
    encoded = encode(batch_of(["a", "b"], source="push:k"))
    again = read_again(encoded, [[(HEADER, header)], encoded.headers[1]])
    assert again.own.tolist() == [False, True]
    assert (again.source.tolist(), again.row.tolist()[1]) == ([-1, 0], 1)
