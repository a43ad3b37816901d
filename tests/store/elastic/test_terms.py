"""What of a record is searched: for whole batches the same as for each record by itself."""

from collections import Counter

import orjson
import pyarrow as pa
import pytest
from hypothesis import given

from tailrace.query.tokens import tokens
from tailrace.record import Batch
from tailrace.store.elastic.term import CUT
from tailrace.store.elastic.terms import terms, words
from tests.query.records import batch
from tests.query.strategies import batch_of, random_records


def terms_of(**record) -> set[str]:
    return set(terms(batch([record])).to_pylist()[0].split())


@given(random_records())
def test_a_batch_has_the_terms_that_its_records_have_alone(records):
    together = batch_of(records)
    alone = [terms(together.slice(row, row + 1))[0].as_py().split() for row in range(len(together))]
    assert [Counter(text.split()) for text in terms(together).to_pylist()] == [Counter(one) for one in alone]


@given(random_records())
def test_words_are_the_tokens_of_the_message_in_their_order(records):
    messages = batch_of(records).array("message")
    assert [text.split() for text in words(messages).to_pylist()] == [tokens(text) for text in messages.to_pylist()]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"status": 500}, {"500=status", "=status", "#status:k6x--------"}),
        ({"status": "500"}, {"500=status", "=status", "#status:k6x--------"}),
        ({"path": "/api/Pay"}, {"api=path", "pay=path", "=path"}),
        ({"ok": True, "gone": None}, {"true=ok", "=ok"}),
        ({"text": 'a "b"\nc\\d'}, {"a=text", "b=text", "c=text", "d=text", "=text"}),
        ({"text": "a,"}, {"a=text", "=text"}),
        ({"user": {"name": "Ann"}}, {"ann=user.name", "=user.name", "name~user", "ann~user", "=user"}),
        ({"tags": ["x", {"y": "z"}]}, {"x=", "z=", "x~tags", "y~tags", "z~tags", "=tags"}),
        ({"a b": "x"}, {"x=a%20;b", "=a%20;b"}),
        ({"user": {"a.b": "x"}}, {"x=", "x~user", "a~user", "b~user", "=user"}),
        ({"a.b": "x", "a": {"b": "y"}}, {"x=a.b", "=a.b", "y=", "y~a", "b~a", "=a"}),
        ({"message": "x"}, {"x="}),
        ({"": "x"}, {"x="}),
        ({}, set()),
    ],
)
def test_a_value_has_its_tokens_under_the_name_that_reaches_it(fields, expected):
    assert terms_of(fields=fields) == expected


def test_a_label_hides_a_field_of_its_name():
    found = terms_of(labels={"service": "shop"}, fields={"service": "mail", "host": "h"})
    assert found == {"shop=service", "=service", "mail=", "h=host", "=host"}


def test_the_trace_id_is_reached_by_its_name():
    assert terms_of(trace_id="4bf9-A") == {"4bf9=trace_id", "a=trace_id", "=trace_id"}


@pytest.mark.parametrize(
    "fields", [{"f": "x" * 300}, {"f": {"g": "x" * 300}}, {"f": {"x" * 300: 1}}, {"f": ["x" * 300]}]
)
def test_what_was_cut_says_so(fields):
    found = terms_of(fields=fields)
    assert CUT in found
    assert max(map(len, found)) <= 200


def test_a_long_word_of_a_message_is_cut_and_says_so():
    texts = pa.array(["a " + "x" * 300 + " b", "short", "错" * 300])
    cut, short, chinese = (text.split() for text in words(texts).to_pylist())
    assert cut == ["a", "x" * 100, CUT, "b"]
    assert short == ["short"]
    assert len(chinese) == 300


def test_shapes_of_other_lines_in_the_batch_do_not_matter():
    several = [{"fields": orjson.loads(text)} for text in (b'{"a":[1]}', b'{"a":[]}', b'{"a":{"b":1}}', b'{"a":"\\n"}')]
    together = terms(batch(several)).to_pylist()
    assert [set(text.split()) for text in together] == [terms_of(**one) for one in several]
    assert isinstance(batch(several), Batch)
