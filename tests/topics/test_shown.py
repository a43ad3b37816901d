"""What messages of other programs look like, and that no match is missed by not decoding."""

import json
import time
from urllib.parse import quote

import numpy as np
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.limits import TOPIC_SHOWN_BYTES_MAX
from tailrace.query import parse
from tailrace.topics.shown import Messages, decode, matching


def messages(*values, keys=None, headers=None):
    count = len(values)
    return Messages(
        "orders",
        3,
        7,
        list(range(10, 10 + count)),
        [1_700_000_000_000 + n for n in range(count)],
        keys or [None] * count,
        values,
        headers or [None] * count,
    )


def found(query, given_messages, decoder="auto"):
    """The offsets of what a query finds."""
    batch = matching(parse(query, time.time_ns()), given_messages, decoder)
    return [] if batch.offsets is None else batch.offsets.tolist()


@pytest.mark.parametrize(
    ("value", "text", "how"),
    [
        (b'{"a": 1}', '{"a":1}', "json"),
        (b'{"a":"\\u8ba2\\u5355"}', '{"a":"订单"}', "json"),
        (b'"{\\"id\\":7}"', '{"id":7}', "json"),
        (b'{"p":"{\\"id\\":\\"[1,2]\\"}"}', '{"p":{"id":[1,2]}}', "json"),
        (b"%7B%22id%22%3A7%7D", '{"id":7}', "url"),
        (b"a=1&b=%E8%AE%A2+x", "a=1&b=订 x", "url"),
        (b"100% of it", "100% of it", "text"),
        (b"{broken", "{broken", "text"),
        (b"caf\xe9 is a place to be", "caf\\xe9 is a place to be", "raw"),
        (b"\xff\xfe\x00", "ff fe 00", "hex"),
        (None, "", "null"),
        (b"", "", "text"),
    ],
)
def test_a_value_is_read_by_the_first_decoder_that_fits(value, text, how):
    assert (decode(value, "auto")[0], decode(value, "auto")[2]) == (text, how)


@pytest.mark.parametrize(
    ("decoder", "value", "text", "how"),
    [
        ("json", b"{broken", "{broken", "raw"),
        ("text", b'{"a": 1}', '{"a": 1}', "text"),
        ("url", b"a+b%21", "a b!", "url"),
        ("hex", b"ab", "61 62", "hex"),
    ],
)
def test_a_decoder_that_is_asked_for_is_the_only_one(decoder, value, text, how):
    assert decode(value, decoder)[::2] == (text, how)


def test_a_message_that_is_nested_too_deep_is_shown_as_it_is():
    value = b"[" * 400 + b"]" * 400
    assert decode(value, "auto") == (value.decode(), None, "text")


def test_a_very_large_message_is_cut_and_says_so():
    text, _, how = decode(b"x" * (TOPIC_SHOWN_BYTES_MAX + 1), "auto")
    assert (len(text), how) == (TOPIC_SHOWN_BYTES_MAX, "cut")


def test_a_record_says_where_its_message_lies_and_what_stands_beside_it():
    batch = matching(
        parse("*", 0), messages(b'{"id":7}', keys=[b"k"], headers=[[("trace", b"4bf9"), ("none", None)]]), "auto"
    )
    (row,) = map(orjson.loads, batch.json_rows())
    assert row["fields"] == {
        "partition": 3,
        "offset": 10,
        "size": 8,
        "decoded": "json",
        "key": "k",
        "headers": {"trace": "4bf9", "none": None},
        "value": {"id": 7},
    }
    assert (row["message"], row["service"], row["source"]) == ('{"id":7}', "orders", "kafka")
    assert (row["time"], row["cursor"]) == ("2023-11-14T22:13:20.000000000Z", "7-10")


@pytest.mark.parametrize(
    ("query", "offsets"),
    [
        ("订单", [10, 11]),
        ("refund", [12]),
        ("key:k2", [11]),
        ("headers.trace:4bf9", [12]),
        ("*:4bf9", [12]),
        ("value.id:>7", [13]),
        ("not 订单", [12, 13, 14]),
        ("partition:3 offset:14", [14]),
        ("size:>1000", []),
        ("decoded:hex", [14]),
        ("NOT_THERE", []),
    ],
)
def test_a_query_looks_into_values_keys_and_headers(query, offsets):
    some = messages(
        '{"a":"订单"}'.encode(),
        b'{"a":"\\u8ba2\\u5355"}',
        b"say%20refund",
        b'{"id":8}',
        b"\xff\xfe\x00",
        keys=[b"k1", b"k2", None, None, b"\xff"],
        headers=[None, None, [("trace", b"4bf9")], None, None],
    )
    assert found(query, some) == offsets


WORDS = st.sampled_from(
    ["refund", "Refund", "\u017ftra\u00dfe", "\u212a", "\u0130d", "订单", "单", "a_b", "42", "be", "x1", "café", "key"]
)
TEXTS = st.lists(WORDS, min_size=1, max_size=4).map(" ".join)


@st.composite
def values(draw):
    text = draw(TEXTS)
    way = draw(st.sampled_from(["plain", "json", "escaped", "twice", "url", "latin", "bytes"]))
    if way == "json":
        return json.dumps({"a": text}, ensure_ascii=False).encode()
    if way == "escaped":
        return json.dumps({"a": text}).encode()
    if way == "twice":
        return json.dumps({"in": json.dumps({"a": text})}).encode()
    if way == "url":
        return quote(json.dumps({"a": text})).encode()
    if way == "latin":
        return text.encode("latin-1", "replace")
    return text.encode() if way == "plain" else draw(st.binary(max_size=12))


@given(
    st.lists(st.tuples(values(), st.none() | TEXTS.map(str.encode)), max_size=12),
    WORDS,
    st.sampled_from(["", "key:", "*:"]),
)
@settings(max_examples=150, deadline=None)
def test_what_is_not_decoded_could_not_have_matched(some, word, where):
    given_messages = messages(*(value for value, _ in some), keys=[key for _, key in some])
    query = f'{where}"{word}"'
    one_by_one = [offset for at, offset in enumerate(given_messages.offsets) if _means(query, given_messages, at)]
    assert found(query, given_messages) == one_by_one


def _means(query, given_messages, row):
    """What the filter says of one message that was decoded without asking first."""
    from tailrace.topics.shown import _records

    batch = _records(given_messages, np.array([row]), "auto")
    return bool(parse(query, 0).filter.matches(batch)[0])
