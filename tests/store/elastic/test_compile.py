"""Filters as two queries. That they find the right records is shown by tests/contract/test_clusters.py."""

import importlib
import pkgutil

import pytest

from tailrace.query import filters, parse
from tailrace.query.filters.equal import Equal
from tailrace.query.filters.field import Field
from tailrace.query.filters.logic import Not, conjunction
from tailrace.query.filters.phrase import Phrase
from tailrace.store.elastic.compile import ALL, FILTERS, NONE, VALUES, Bounds, all_of, compiled, none_of, some_of
from tests.query.strategies import NOW_NS

WITHOUT = {"Filter", "Value"}
"""The contracts."""


def bounds(text: str) -> Bounds:
    return compiled(parse(text, NOW_NS).filter)


def test_every_filter_and_every_value_is_known_to_the_cluster():
    modules = [
        importlib.import_module(f"{filters.__name__}.{one.name}") for one in pkgutil.iter_modules(filters.__path__)
    ]
    made = {
        thing
        for module in [filters, *modules]
        for name, thing in vars(module).items()
        if isinstance(thing, type) and thing.__module__ == module.__name__ and name not in WITHOUT
    }
    assert {one for one in made if hasattr(one, "matches")} <= FILTERS.keys()
    assert {one for one in made if hasattr(one, "mask")} <= VALUES.keys()


def test_a_filter_that_nobody_knows_means_everything_perhaps():
    assert compiled(object()) == Bounds(NONE, ALL)
    assert compiled(Field("message", object())) == Bounds(NONE, ALL)


@pytest.mark.parametrize(
    "text",
    ["*", "error", "错误失败", "错", "pay*", "service:checkout", "status:500", "status:>=500", "user.id:[1 TO 5]",
     "f:*", "*:word", "level:>=warn", "time:5m", "error (a or not level:info)", "trace_id:4bf9"],
)  # fmt: skip
def test_these_are_exact(text):
    assert bounds(text).exact


@pytest.mark.parametrize(
    "text", ["10.0.0.1", '"payment failed"', "service:=checkout", "/time out/", "f:错误失败", "*fail?d"]
)
def test_these_are_judged_by_reading(text):
    found = bounds(text)
    assert not found.exact
    assert found.maybe != ALL


def test_not_turns_the_two_queries_round():
    inner, outer = bounds('"payment failed"'), bounds('not "payment failed"')
    assert outer == Bounds(none_of(inner.maybe), none_of(inner.surely))


def test_a_part_that_is_not_exact_leaves_the_others_as_they_are():
    found = bounds('level:error "payment failed"')
    assert found.maybe == all_of([bounds("level:error").maybe, bounds('"payment failed"').maybe])
    assert found.surely == NONE


def test_a_query_that_would_be_too_large_is_widened():
    many = Field("f", Equal(tuple(f"a b{n}" for n in range(2_000))))
    assert compiled(many) == Bounds(NONE, ALL)
    assert compiled(conjunction([many, Field("message", Phrase("a"))])).maybe == bounds("a").maybe
    deep = Field("message", Phrase("a"))
    for _ in range(40):
        deep = conjunction([Not(deep), Field("message", Phrase("b"))])
    assert compiled(deep).surely != ALL


def test_a_long_token_is_looked_for_by_its_beginning():
    found = bounds("a" * 300)
    assert not found.exact
    assert found.maybe == {"term": {"tailrace.words": "a" * 100}}


def test_all_and_none_are_left_out():
    one = {"term": {"a": "b"}}
    assert all_of([ALL, one, ALL]) == one == some_of([NONE, one])
    assert all_of([one, NONE]) == NONE
    assert some_of([one, ALL]) == ALL
    assert all_of([]) == ALL == none_of(NONE)
