"""A block comes back as it was sent, and nothing that is wrong with one gets through or breaks anything."""

import random
import struct
import zlib

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import BadInput, Damaged, TailraceError, TooLarge, Unsupported
from tailrace.limits import (
    BATCH_ROWS_MAX,
    BLOCK_DECODED_BYTES_MAX,
    BLOCK_STREAM_BYTES_MAX,
    LABELS_MAX,
    LINE_BYTES_MAX,
    MIB,
)
from tailrace.record import Batch, Stream
from tailrace.ship.block import decode, encode, mark_of, source_of, zstd

texts = st.text(st.characters(codec="utf-8"), max_size=20)
fields = st.none() | st.dictionaries(texts, texts | st.integers(0, 99) | st.lists(texts, max_size=2), max_size=3).map(
    lambda found: orjson.dumps(found).decode()
)
rows = st.lists(
    st.tuples(
        st.integers(-(2**63) + 1, 2**63 - 1),
        st.integers(0, 6),
        texts,
        st.none() | st.integers(0, 2**62),
        st.none() | texts,
        fields,
        st.sampled_from(["shop", "host", "línea"]),
    ),
    min_size=1,
    max_size=30,
)


def batch_of(found, epoch=7, first=100):
    time, level, message, position, trace_id, parsed, service = zip(*found, strict=True)
    one = [
        Batch.of(
            time=[time[n]],
            observed=[n],
            level=[level[n]],
            stream=Stream.of({"service": service[n]}),
            message=[message[n]],
            position=[position[n]],
            trace_id=[trace_id[n]],
            fields=[parsed[n]],
        )
        for n in range(len(time))
    ]
    return Batch.concat(one).placed(epoch, first)


def block_of(batch, **more):
    named = {"branch": 0, "after": None, "host": "web-1", "end": batch.next.offset + 5, **more}
    return encode(batch, batch.first.offset, batch.next.offset, **named)


@given(rows, st.data())
def test_records_come_back_as_they_were(found, data):
    batch = batch_of(found)
    start = data.draw(st.integers(0, len(batch) - 1))
    batch = batch.slice(start, data.draw(st.integers(start + 1, len(batch))))
    block = decode(block_of(batch))
    assert block.batch.columns.to_pylist() == batch.columns.to_pylist()
    assert (block.host, block.waiting) == ("web-1", 5)
    (origin,) = block.batch.origins
    assert origin.source == source_of(7, 0)
    assert (origin.first, origin.next, origin.rows) == (batch.first.offset, batch.next.offset, len(batch))
    assert origin.note == mark_of(batch)


def sample(**more):
    parsed = '{"a":1}'
    return batch_of([(1, 3, f"line {n}", n, None, parsed, "shop") for n in range(50)], **more)


def resealed(whole):
    """Give a block that was changed the checksum that it should have, so that only its content is wrong."""
    return zstd.compress(whole[:8] + struct.pack("<I", zlib.crc32(whole[12:])) + whole[12:])


@given(st.integers(0, 10_000), st.integers(1, 4))
def test_a_block_that_was_tampered_with_is_refused_or_well_formed(seed, changes):
    chance = random.Random(seed)
    whole = bytearray(zstd.decompress(block_of(sample())))
    for _ in range(changes):
        at = chance.randrange(8, len(whole))
        whole[at] = chance.randrange(256)
    try:
        block = decode(resealed(bytes(whole)))
    except TailraceError:
        return
    block.batch.columns.validate(full=True)
    assert len(block.batch.placed(7, 0).json_rows()) == 50
    assert all(orjson.loads(row) for row in block.batch.placed(7, 0).json_rows())


@given(st.integers(0, 2000))
def test_a_block_that_is_cut_off_is_damaged(size):
    whole = block_of(sample())
    with pytest.raises((Damaged, Unsupported)):
        decode(whole[: size % len(whole)])


def test_bytes_that_changed_on_the_way_are_damaged_and_say_nothing_about_the_records():
    whole = bytearray(zstd.decompress(block_of(sample())))
    whole[-1] ^= 1
    with pytest.raises(Damaged):
        decode(zstd.compress(bytes(whole)))


def test_the_longest_line_whose_bytes_are_no_text_fits():
    batch = batch_of([(1, 3, r"\xe9" * LINE_BYTES_MAX, 0, None, None, "shop")])
    assert decode(block_of(batch)).batch.nbytes >= 64 * MIB


def test_a_small_body_that_becomes_huge_is_too_large():
    with pytest.raises(TooLarge):
        decode(zstd.compress(bytes(BLOCK_DECODED_BYTES_MAX + 1)))


def test_a_block_of_a_newer_version_is_not_supported():
    whole = zstd.decompress(block_of(sample()))
    with pytest.raises(Unsupported):
        decode(resealed(b"TRBLOCK2" + whole[8:]))


def test_more_records_than_places_are_refused():
    batch = sample()
    with pytest.raises(BadInput):
        decode(encode(batch, 100, 149, branch=0, after=None, host="", end=0))


def test_more_records_than_a_frame_of_the_bus_holds_are_too_many():
    count = BATCH_ROWS_MAX + 1
    batch = Batch.of(
        time=[1] * count, observed=[1] * count, level=[0] * count, stream=Stream.of({"a": "b"}), message=["x"] * count
    ).placed(7, 0)
    with pytest.raises(TooLarge):
        decode(block_of(batch))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ('{"a":[{}', "{}]},{}"),
        ('{"a":"x', 'y"},{}'),
        ('{"a":1', '"b":2},{}'),
        ("[1]", "{}"),
        ("1", "{}"),
        ("", "{}"),
        ("{}{}", "{}"),
        ('{"a":' * 300 + "1" + "}" * 300, "{}"),
    ],
)
def test_fields_that_are_not_an_object_each_are_refused(one, two):
    batch = batch_of([(1, 3, "m", 0, None, text, "shop") for text in (one, two)])
    with pytest.raises(BadInput):
        decode(block_of(batch))


@pytest.mark.parametrize(
    "labels",
    [
        {f"label{n}": "x" for n in range(2 * LABELS_MAX + 1)},
        {"path": "x" * BLOCK_STREAM_BYTES_MAX},
    ],
)
def test_streams_with_too_many_or_too_long_labels_are_refused(labels):
    batch = Batch.of(time=[1], observed=[1], level=[0], stream=Stream.of(labels), message=["x"]).placed(7, 0)
    with pytest.raises(BadInput):
        decode(block_of(batch))


def test_a_batch_whose_dictionary_is_larger_than_it_carries_only_its_own_streams():
    batch = batch_of([(1, 3, "m", 0, None, None, name) for name in ("shop", "host", "línea")]).slice(1, 2)
    meta_length = struct.unpack_from("<I", zstd.decompress(block_of(batch)), 12)[0]
    assert meta_length < 100
    assert decode(block_of(batch)).batch.streams[0].labels == {"service": "host"}


def test_another_last_record_has_another_mark():
    one, two = sample(), batch_of([(1, 3, "line 48", 0, None, None, "shop")] * 50)
    assert mark_of(one) != mark_of(two)
