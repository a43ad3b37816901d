"""Many queries over one batch find what each finds by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.query import parse, together
from tailrace.query.filters.field import Field
from tailrace.query.filters.phrase import Phrase
from tailrace.query.found import Found, look
from tailrace.query.query import Query
from tailrace.query.together import Plan, look_together
from tailrace.record import Batch
from tests.query.records import batch as batch_with
from tests.query.records import messages
from tests.query.strategies import NOW_NS, PIECES, WORDS, batch_of, random_filters, random_records, texts

PIPES = ["", "", "", " | fields host, message", " | drop service", " | where error", " | fields level | where a"]


@pytest.fixture(autouse=True, scope="module")
def however_few() -> Iterator[None]:
    """Look at a few queries together, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "TOGETHER_QUERIES_MIN", 1)
        yield


def found_together(asked: list[Query], batch: Batch) -> list[Found]:
    return [found for some in look_together([Plan(query) for query in asked], batch) for found in some]


def offsets(found: list[Found]) -> list[list[int]]:
    return [one.offsets.tolist() for one in found]


def parsed(*queries: str) -> list[Query]:
    return [parse(text, NOW_NS) for text in queries]


def same(one: Found, other: Found) -> bool:
    columns = [(one.offsets, other.offsets), (one.levels, other.levels), (one.hashes, other.hashes)]
    return one.records == other.records and all(
        mine.dtype == theirs.dtype and np.array_equal(mine, theirs) for mine, theirs in columns
    )


@st.composite
def queries(draw: Any) -> list[Query]:
    """More than are needed to look at them together; some have parts in common."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=3, max_size=3))
    filters = [str(one) for one in draw(st.lists(random_filters(), min_size=3, max_size=4))]
    asked = [*words, f"{words[0]} or {words[1]}", *filters, *(f"{word} ({filters[0]})" for word in words[:2])]
    return parsed(*(text + draw(st.sampled_from(PIPES)) for text in asked))


@settings(max_examples=100, deadline=None)
@given(records=random_records(max_size=12), others=random_records(), asked=queries())
def test_queries_find_together_what_each_finds_by_itself(records, others, asked):
    plans = [Plan(query) for query in asked]
    # The second batch meets plans that remember the streams of the first.
    for batch in (batch_of(records).placed(7, 100), batch_of(others).placed(7, 200)):
        found = [one for some in look_together(plans, batch) for one in some]
        for query, one in zip(asked, found, strict=True):
            assert same(one, look(query, batch)), str(query)


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(texts | st.sampled_from(WORDS), min_size=1, max_size=10),
    words=st.lists(st.sampled_from([*PIECES, *WORDS]) | texts.filter(bool), min_size=4, max_size=12),
)
def test_a_word_is_found_exactly_where_its_filter_finds_it(lines, words):
    batch = messages(*lines).placed(7, 0)
    asked = [Query(Field("message", Phrase(word))) for word in words]
    expected = [np.flatnonzero(query.filter.matches(batch)).tolist() for query in asked]
    assert offsets(found_together(asked, batch)) == expected


def test_a_few_rows_of_many_are_looked_at_alone():
    batch = messages(*["pear"] * 50, "apple tart", "apple pie", *["pear"] * 50).placed(7, 0)
    asked = parsed('"apple pie"', "/app.e/ tart", "apple /pie/", "nothing /pear/")
    assert offsets(found_together(asked, batch)) == [[51], [50], [51], []]


def test_prefixes_longer_than_are_looked_up_are_told_apart():
    batch = messages("internationalisation", "internationalization", "intern").placed(7, 0)
    asked = parsed("internationalis*", "internationaliz*", "inter*", "i*")
    assert offsets(found_together(asked, batch)) == [[0], [1], [0, 1, 2], [0, 1, 2]]


def test_levels_times_and_streams_that_are_not_in_a_batch_are_not_found():
    batch = batch_with(
        {"level": level, "labels": {"service": name}, "message": "m"} for level, name in [(3, "a"), (5, "b")]
    )
    asked = parsed("level:error", "level:fatal", "service:a", "service:c", "time:<2020-01-01", "time:>2020-01-01")
    assert offsets(found_together(asked, batch.placed(7, 0))) == [[1], [], [0], [], [], [0, 1]]


def test_a_record_that_several_queries_find_is_encoded_once():
    batch = messages("apple", "apple pear").placed(7, 0)
    apple, pear, both, _ = found_together(parsed("apple", "pear", "apple pear", "level:error"), batch)
    assert apple.records[1] is pear.records[0] is both.records[0]


def test_what_is_found_is_handed_over_before_it_is_too_much(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "TOGETHER_ROWS", 5)
    batch = messages(*["a b"] * 3).placed(7, 0)
    asked = parsed("a", "nothing", "b", "a b", "*")
    some = list(look_together([Plan(query) for query in asked], batch))
    assert [offsets(one) for one in some] == [[[0, 1, 2], [], [0, 1, 2]], [[0, 1, 2], [0, 1, 2]], []]


def test_streams_that_were_judged_are_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "TOGETHER_STREAMS", 2)
    plans = [Plan(query) for query in parsed("service:s1", "service:s7", "host:h", "service:s2 m")]
    for number in range(0, 10, 2):
        names = [f"s{number}", f"s{number + 1}"]
        batch = batch_with({"labels": {"service": name}, "message": "m"} for name in names).placed(7, 0)
        found = [one for some in look_together(plans, batch) for one in some]
        assert offsets(found) == [[row for row in (0, 1) if names[row] == name] for name in ("s1", "s7", "", "s2")]


def test_masks_that_would_take_too_much_are_made_again(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(together, "TOGETHER_MASKS_BYTES", 0)
    batch = messages("a 1", "a 2", "b 1").placed(7, 0)
    asked = parsed("a /1/", "b /1/", "a /2/", "b /2/")
    assert offsets(found_together(asked, batch)) == [[0], [2], [1], []]
