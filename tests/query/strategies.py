"""Random records and random filters, made of few letters so that they meet. Reused by the tests of store and tail."""

from typing import Any

import orjson
from hypothesis import strategies as st

from tailrace.query.filters.equal import Equal
from tailrace.query.filters.everywhere import Everywhere
from tailrace.query.filters.exists import Exists
from tailrace.query.filters.field import Field
from tailrace.query.filters.level import PRESENT, Levels
from tailrace.query.filters.logic import Everything, Not, conjunction, disjunction
from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.range import Range
from tailrace.query.filters.regex import Regex
from tailrace.query.filters.time import Times
from tailrace.query.filters.wildcard import Wildcard
from tailrace.record import Batch, Stream

NOW_NS = 1_763_712_000_000_000_000
PIECES = ["error", "Error", "errors", "a", "b", "7", "42", "_", " ", " ", ".", "-", ":", '"', "\\", "\n", "\x00", "n"]
PIECES += [
    "错",
    "误",
    "错误",
    "é",
    "É",
    "K",
    "ſ",  # noqa: RUF001 - as meant
    "かな",
    "ー",
    "한국",
    "failed",
    "(",
    "*",
    "?",
    "/",
    "u0000",
    "\t",
    "[",
    "{",
    ",",
]
NAMES = ["service", "host", "order", "user.id", "user", "错误", "a b", "status"]
WORDS = ["error", "Error", "7", "a", "42", "错", "错误", "误", "é", "k", "10.0.0.1", "failed", "n", "-7", "1.5"]

texts = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
numbers = st.sampled_from([0, 1, 7, 42, -7, 1.5, 500, 1e300])
scalars = st.one_of(texts, numbers, st.booleans(), st.none(), st.sampled_from(WORDS))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["id", "a", "x\ny"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@st.composite
def random_records(draw: Any, max_size: int = 8) -> list[dict[str, Any]]:
    """Records as ``reference.py`` takes them; ``batch_of`` makes a batch of them."""
    one = st.fixed_dictionaries(
        {
            "time_ns": st.integers(NOW_NS - 5, NOW_NS + 5),
            "observed_ns": st.integers(NOW_NS - 5, NOW_NS + 5),
            "level": st.integers(0, 6),
            "labels": st.dictionaries(
                st.sampled_from(["service", "host", "status"]), texts.filter(bool) | st.sampled_from(WORDS), max_size=2
            ),
            "message": texts | st.sampled_from(WORDS),
            "trace_id": st.none() | texts | st.sampled_from(WORDS),
            "fields": st.none() | st.dictionaries(st.sampled_from([*NAMES, "message"]), values, max_size=3),
        }
    )
    return draw(st.lists(one, min_size=1, max_size=max_size))


def batch_of(records: list[dict[str, Any]]) -> Batch:
    """Return a batch of such records, which no log has taken yet."""
    streams = [Stream.of(record["labels"]).json for record in records]
    return Batch.of(
        time=[record["time_ns"] for record in records],
        observed=[record["observed_ns"] for record in records],
        level=[record["level"] for record in records],
        stream=_dictionary(streams),
        message=[record["message"] for record in records],
        trace_id=[record["trace_id"] for record in records],
        fields=[None if record["fields"] is None else orjson.dumps(record["fields"]).decode() for record in records],
    )


def _dictionary(streams: list[str]) -> Any:
    import pyarrow as pa

    return pa.array(streams, pa.string()).dictionary_encode()


_phrases = (texts.filter(bool) | st.sampled_from(WORDS)).map(Phrase)
_wildcards = st.sampled_from(["err*", "*rr?r", "*", "?", "fail*d", "错*", "*误", "a*", "*.b", "-?7"]).map(Wildcard)
_regexes = st.builds(Regex, st.sampled_from(["err", "[0-9]+", "E.*r", "错", "a|b", r"\.", "x?"]), st.booleans()).filter(
    lambda regex: not (regex.ignore_case and regex.pattern == "x")
)
_equals = st.lists(st.sampled_from(WORDS) | texts, min_size=1, max_size=3).map(lambda found: Equal(tuple(found)))
_bounds = st.sampled_from([-7.0, 0.0, 1.5, 7.0, 42.0, 500.0])
_ranges = st.one_of(
    st.builds(lambda low, opened: Range(low=low, low_open=opened), _bounds, st.booleans()),
    st.builds(lambda high, opened: Range(high=high, high_open=opened), _bounds, st.booleans()),
    st.tuples(_bounds, _bounds).map(lambda ends: Range(min(ends), max(ends))),
    st.just(Range()),
)
_text_values = st.one_of(_phrases, _wildcards.filter(lambda one: one.pattern != "*"), _regexes, _equals)
_names = st.sampled_from([*NAMES, "message", "trace_id"])
_moments = st.integers(NOW_NS - 6, NOW_NS + 6)
_leaf_filters = st.one_of(
    st.just(Everything()),
    st.builds(Field, st.just("message"), _text_values),
    st.builds(Field, _names, st.one_of(_text_values, _ranges, st.just(Exists()))),
    st.builds(Everywhere, _text_values),
    st.sets(st.sampled_from(sorted(PRESENT)), min_size=1).map(lambda found: Levels(frozenset(found))),
    st.tuples(st.sampled_from(["time", "observed"]), _moments, _moments).map(
        lambda made: Times(made[0], min(made[1:]), max(made[1:]))
    ),
)


def random_filters() -> st.SearchStrategy[Any]:
    """Filters of every kind, as the parser builds them; ``str`` of one is a query that parses back to it."""
    return st.recursive(
        _leaf_filters,
        lambda inner: st.one_of(
            inner.map(Not),
            st.lists(inner, min_size=2, max_size=3).map(conjunction),
            st.lists(inner, min_size=2, max_size=3).map(disjunction),
        ),
        max_leaves=5,
    )
