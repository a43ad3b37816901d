import numpy as np
from hypothesis import given, settings

from tailrace.query import parse
from tailrace.query.plan import All, Always, InTime, Never, OfLevel, OfStream, Prefix, Some, Token
from tailrace.query.tokens import block_tokens

from . import reference
from .strategies import NOW_NS, batch_of, random_filters, random_records


@settings(max_examples=150, deadline=None)
@given(records=random_records(), wanted=random_filters())
def test_a_filter_means_what_the_reference_says(records, wanted):
    expected = [reference.matches(wanted, record) for record in records]
    assert wanted.matches(batch_of(records)).tolist() == expected


@settings(max_examples=150, deadline=None)
@given(wanted=random_filters())
def test_the_text_of_a_filter_parses_back_to_it(wanted):
    assert parse(str(wanted), NOW_NS).filter == wanted


def holds(need, batch, tokens):
    match need:
        case Always():
            return True
        case Never():
            return False
        case Token(text):
            return text in tokens
        case Prefix(text):
            return any(token.startswith(text) for token in tokens)
        case OfStream(test):
            return any(test(batch.streams[code]) for code in set(batch.stream_codes.tolist()))
        case InTime(first_ns, last_ns):
            times = batch.numpy("time")
            return bool(((times >= first_ns) & (times <= last_ns)).any())
        case OfLevel(levels):
            return bool(levels & set(batch.numpy("level").tolist()))
        case All(needs):
            return all(holds(one, batch, tokens) for one in needs)
        case Some(needs):
            return any(holds(one, batch, tokens) for one in needs)
    raise AssertionError(need)


@settings(max_examples=150, deadline=None)
@given(records=random_records(), wanted=random_filters())
def test_a_block_that_holds_a_match_holds_what_the_filter_needs(records, wanted):
    batch = batch_of(records)
    if wanted.matches(batch).any():
        assert holds(wanted.need(), batch, set(block_tokens(batch).to_pylist()))


def test_a_word_is_a_token_not_a_part_of_one():
    batch = batch_of_messages(["error", "errors", "an Error.", "terror"])
    assert found("error", batch) == [0, 2]


def test_a_word_with_punctuation_is_exact_text():
    batch = batch_of_messages(["from 10.0.0.1:80", "from 10.0.0.12", "10 0 0 1"])
    assert found("10.0.0.1", batch) == [0]


def test_any_substring_of_chinese_text_is_found():
    batch = batch_of_messages(["订单服务错误error发生", "订单", "服 务"])
    assert found("服务错", batch) == [0]
    assert found("error", batch) == [0]
    assert found("务", batch) == [0, 2]


def batch_of_messages(messages):
    plain = {"time_ns": 0, "observed_ns": 0, "level": 0, "labels": {}, "trace_id": None, "fields": None}
    return batch_of([{**plain, "message": message} for message in messages])


def found(query, batch):
    mask = parse(query, NOW_NS).filter.matches(batch)
    return np.flatnonzero(mask).tolist()
