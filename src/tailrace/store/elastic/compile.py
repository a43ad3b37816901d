"""Filters as queries of the cluster: for each filter two, between which the truth lies.

``surely`` finds only records that the filter means, ``maybe`` finds all of them and perhaps others. Where both are the
same query the filter is exact, and the cluster may count what it means. Otherwise what lies between the two is read and
judged by ``Filter.matches``. *not* exchanges them, *and* and *or* go through both, so a part that is not exact does not
spoil its neighbours: ``level:error "10.0.0.1"`` reads records of that level that hold those tokens side by side.

What makes a filter exact is the index (``terms.py``): one token, one run of Chinese, the beginning of a word, a level,
a time, a number in a range, whether there is a value. Not exact are several tokens (what stands between them is not
indexed), a whole value (nor is its case), and regular expressions. A filter that is in neither table means everything
as far as the cluster knows: right, and slow. A query that would be larger than the cluster takes is widened likewise.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from tailrace.bus.message import LABEL_NAMES
from tailrace.limits import ELASTIC_CLAUSES_MAX, ELASTIC_DEPTH_MAX, ELASTIC_STREAM_CHARS_MAX, ELASTIC_TOKEN_CHARS_MAX
from tailrace.query.filters import Filter
from tailrace.query.filters.equal import Equal
from tailrace.query.filters.everywhere import Everywhere
from tailrace.query.filters.exists import Exists
from tailrace.query.filters.field import ATTRIBUTES, Field
from tailrace.query.filters.level import Levels
from tailrace.query.filters.logic import And, Everything, Not, Or
from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.range import Range
from tailrace.query.filters.regex import Regex
from tailrace.query.filters.time import Times
from tailrace.query.filters.value import Value
from tailrace.query.filters.wildcard import Wildcard
from tailrace.query.times import TIME_MAX_NS, TIME_MIN_NS
from tailrace.query.tokens import CJK, LATIN, fold, run_tokens, runs, tokens
from tailrace.record import LEVEL_NAMES
from tailrace.store.elastic.term import CUT, number_term, term_name, term_token
from tailrace.store.search import OneStream

Dsl = dict[str, Any]
"""A query in the cluster's language."""

ALL: Dsl = {"match_all": {}}
NONE: Dsl = {"match_none": {}}
_WORDS, _TERMS = "tailrace.words", "tailrace.terms"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Two queries: what ``surely`` finds the filter means, and what it means ``maybe`` finds."""

    surely: Dsl
    maybe: Dsl

    @property
    def exact(self) -> bool:
        """Whether the filter means just what the queries find."""
        return self.surely == self.maybe


UNKNOWN = Bounds(NONE, ALL)


def all_of(queries: Sequence[Dsl]) -> Dsl:
    """Return the query for what all of these find."""
    kept = [query for query in queries if query != ALL]
    if NONE in kept:
        return NONE
    if not kept:
        return ALL
    return kept[0] if len(kept) == 1 else {"bool": {"filter": kept}}


def some_of(queries: Sequence[Dsl]) -> Dsl:
    """Return the query for what at least one of these finds."""
    kept = [query for query in queries if query != NONE]
    if ALL in kept:
        return ALL
    if not kept:
        return NONE
    return kept[0] if len(kept) == 1 else {"bool": {"should": kept, "minimum_should_match": 1}}


def none_of(query: Dsl) -> Dsl:
    """Return the query for what this one does not find."""
    if query in (ALL, NONE):
        return NONE if query == ALL else ALL
    return {"bool": {"must_not": [query]}}


def compiled(one: Filter) -> Bounds:
    """Return what the cluster can tell about a filter."""
    known = FILTERS.get(type(one))
    bounds = UNKNOWN if known is None else known(one)
    return UNKNOWN if _too_large(bounds.maybe) or _too_large(bounds.surely) else bounds


def _too_large(query: Dsl) -> bool:
    clauses, depth = _extent(query)
    return clauses > ELASTIC_CLAUSES_MAX or depth > ELASTIC_DEPTH_MAX


def _extent(query: Dsl) -> tuple[int, int]:
    """Return how many clauses a query has, and how deep they lie."""
    if "bool" not in query:
        return 1, 0
    inner = [_extent(one) for key in ("filter", "should", "must_not") for one in query["bool"].get(key, ())]
    return 1 + sum(clauses for clauses, _ in inner), 1 + max(depth for _, depth in inner)


# -- where a value is looked for -----------------------------------------------------------------------------------


class _Place(Protocol):
    """Tokens of some texts of a record; ``ordered`` when the index knows which of them are neighbours."""

    ordered: bool

    def token(self, text: str) -> Dsl: ...

    def like(self, pattern: str) -> Dsl:
        """Return the query for a token like this; ``*`` is anything. Tokens have neither ``*`` nor ``?``."""
        ...

    def neighbours(self, texts: list[str]) -> Dsl: ...

    def there(self) -> Bounds:
        """Return what is known of there being a text at all."""
        ...

    def between(self, value: Range) -> Bounds: ...

    def equal(self, texts: tuple[str, ...]) -> Dsl:
        """Return a query for texts that surely are one of these."""
        ...


class _Message:
    ordered = True

    def token(self, text: str) -> Dsl:
        return {"term": {_WORDS: text}}

    def like(self, pattern: str) -> Dsl:
        return _like(_WORDS, pattern)

    def neighbours(self, texts: list[str]) -> Dsl:
        if len(texts) == 1:
            return self.token(texts[0])
        return {"match_phrase": {_WORDS: {"query": " ".join(texts)}}}

    def there(self) -> Bounds:
        return Bounds(ALL, ALL)

    def between(self, value: Range) -> Bounds:  # noqa: ARG002 - numbers of messages are not indexed
        return UNKNOWN

    def equal(self, texts: tuple[str, ...]) -> Dsl:  # noqa: ARG002
        return NONE


class _Named:
    ordered = False

    def __init__(self, name: str) -> None:
        self._label = LABEL_NAMES.get(name)
        self._name = name
        self._term = term_name(name)

    def token(self, text: str) -> Dsl:
        return {"terms": {_TERMS: [f"{text}={self._term}", f"{text}~{self._term}"]}}

    def like(self, pattern: str) -> Dsl:
        return some_of([_like(_TERMS, f"{pattern}={self._term}"), _like(_TERMS, f"{pattern}~{self._term}")])

    def neighbours(self, texts: list[str]) -> Dsl:
        return all_of([self.token(text) for text in dict.fromkeys(texts)])

    def there(self) -> Bounds:
        query = {"term": {_TERMS: f"={self._term}"}}
        return Bounds(query, query)

    def between(self, value: Range) -> Bounds:
        low, high = number_term(self._name, value.low), number_term(self._name, value.high)
        ends = {"gt" if value.low_open else "gte": low, "lt" if value.high_open else "lte": high}
        query = {"range": {_TERMS: ends}}
        return Bounds(query, query)

    def equal(self, texts: tuple[str, ...]) -> Dsl:
        short = [text for text in texts if text and len(text) < 500]
        return {"terms": {self._label: short}} if self._label and short else NONE


class _Anywhere:
    ordered = False

    def __init__(self) -> None:
        self._message = _Message()

    def token(self, text: str) -> Dsl:
        return some_of([self._message.token(text), {"prefix": {_TERMS: f"{text}="}}])

    def like(self, pattern: str) -> Dsl:
        return some_of([self._message.like(pattern), _like(_TERMS, f"{pattern}=*")])

    def neighbours(self, texts: list[str]) -> Dsl:
        if len(texts) == 1:
            return self.token(texts[0])
        elsewhere = all_of([{"prefix": {_TERMS: f"{text}="}} for text in dict.fromkeys(texts)])
        return some_of([self._message.neighbours(texts), elsewhere])

    def there(self) -> Bounds:
        return UNKNOWN

    def between(self, value: Range) -> Bounds:  # noqa: ARG002 - any number of any field
        return UNKNOWN

    def equal(self, texts: tuple[str, ...]) -> Dsl:  # noqa: ARG002
        return NONE


def _like(name: str, pattern: str) -> Dsl:
    if pattern.endswith("*") and "*" not in pattern[:-1] and "?" not in pattern:
        return {"prefix": {name: pattern[:-1]}}
    return {"wildcard": {name: {"value": pattern}}}


# -- values ----------------------------------------------------------------------------------------------------------


def _token(place: _Place, token: str) -> Bounds:
    """Return the query for a whole token; a long one is indexed in part."""
    if len(token) < ELASTIC_TOKEN_CHARS_MAX:
        query = place.token(token)
        return Bounds(query, query)
    return Bounds(NONE, place.token(term_token(token)))


def _part(place: _Place, pattern: str) -> Bounds:
    """Return the query for a token that is like a pattern; of long tokens only the beginning is known."""
    found = place.like(pattern)
    if len(pattern) >= ELASTIC_TOKEN_CHARS_MAX:
        return UNKNOWN
    if pattern.find("*") == len(pattern) - 1:
        return Bounds(found, found)
    cut = {"terms": {_TERMS: [CUT]}}, {"term": {_WORDS: CUT}}
    return Bounds(all_of([found, *map(none_of, cut)]), some_of([found, *cut]))


def _pieces(place: _Place, text: str, *, starts: bool, ends: bool) -> list[Dsl]:
    """Return what a text must hold to contain this one.

    ``starts`` and ``ends`` say that no Latin word character may stand beside that end. A run of Chinese may always go
    on there: only its pairs are certain.
    """
    folded = fold(text)
    certain: list[str] = []
    found: list[Dsl] = []
    whole = runs(folded)
    for kind, start, stop in whole:
        run = folded[start:stop]
        if kind == CJK:
            made = run_tokens(CJK, run)
            certain += made if stop < len(folded) else made[:-1]
            if stop == len(folded) and len(run) == 1:
                found.append(place.like(run + "*"))
            continue
        first, last = start > 0 or starts, stop < len(folded) or ends
        if first and last:
            certain.append(run)
        else:
            found.append(_part(place, ("" if first else "*") + run + ("" if last else "*")).maybe)
    if any(len(token) >= ELASTIC_TOKEN_CHARS_MAX for token in certain):
        found += [_token(place, token).maybe for token in certain]
    elif certain:
        found.append(place.neighbours(certain))
    return found


def _phrase(value: Phrase, place: _Place) -> Bounds:
    folded = fold(value.text)
    found = runs(folded)
    maybe = all_of([place.there().maybe, *_pieces(place, folded, starts=True, ends=True)])
    if len(found) == 1 and found[0][1:] == (0, len(folded)):
        kind = found[0][0]
        if kind == LATIN:
            return _token(place, folded)
        if len(folded) == 1:
            return _part(place, folded + "*")
        if len(folded) == 2 or place.ordered:
            query = place.neighbours(run_tokens(CJK, folded)[:-1])
            return Bounds(query, query)
    return Bounds(NONE, maybe)


def _wildcard(value: Wildcard, place: _Place) -> Bounds:
    folded = fold(value.pattern)
    body = folded.strip("*")
    if runs(body) == [(LATIN, 0, len(body))] and folded in (f"{body}*", f"*{body}*", f"*{body}"):
        return _part(place, folded)
    pieces = re.split(r"[*?]+", value.pattern)
    last = len(pieces) - 1
    needed = [place.there().maybe]
    for number, piece in enumerate(pieces):
        if piece:
            needed += _pieces(place, piece, starts=number == 0, ends=number == last)
    return Bounds(NONE, all_of(needed))


_PLAIN = re.compile(r"[A-Za-z0-9_ ,:;=@#%&~!<>\"'/-]+")


def _regex(value: Regex, place: _Place) -> Bounds:
    needed = [place.there().maybe]
    # RE2 ignores the case of more letters than folding does: with k and s a token may be another.
    if _PLAIN.fullmatch(value.pattern) and not (value.ignore_case and re.search("[ksKS]", value.pattern)):
        needed += _pieces(place, value.pattern, starts=False, ends=False)
    return Bounds(NONE, all_of(needed))


def _equal(value: Equal, place: _Place) -> Bounds:
    def holds(text: str) -> Dsl:
        made = tokens(text)
        if any(len(token) >= ELASTIC_TOKEN_CHARS_MAX for token in made):
            return all_of([_token(place, token).maybe for token in dict.fromkeys(made)])
        return place.neighbours(made) if made else ALL

    maybe = all_of([place.there().maybe, some_of([holds(text) for text in value.texts])])
    return Bounds(place.equal(value.texts), maybe)


VALUES: dict[type[Any], Callable[[Any, Any], Bounds]] = {
    Equal: _equal,
    Exists: lambda _, place: place.there(),
    Phrase: _phrase,
    Range: lambda value, place: place.between(value),
    Regex: _regex,
    Wildcard: _wildcard,
}
"""What is known of a value in a place, by its type."""


# -- filters ---------------------------------------------------------------------------------------------------------


def _value(value: Value, place: _Place) -> Bounds:
    known = VALUES.get(type(value))
    return UNKNOWN if known is None else known(value, place)


def _field(one: Field) -> Bounds:
    if one.name == "message":
        return _value(one.value, _Message())
    if one.name != "trace_id" and (one.name in ATTRIBUTES or not one.name):
        return UNKNOWN
    return _value(one.value, _Named(one.name))


def _levels(one: Levels) -> Bounds:
    query = {"terms": {"log.level": [LEVEL_NAMES[level] for level in sorted(one.levels)]}}
    return Bounds(query, query)


def times(name: str, first_ns: int, last_ns: int) -> Dsl:
    """Return the query for first_ns <= ``name`` (``time`` or ``observed``) <= last_ns."""
    ends: dict[str, int] = {}
    if first_ns > TIME_MIN_NS:
        ends["gte"] = first_ns
    if last_ns < TIME_MAX_NS:
        ends["lte"] = last_ns
    return {"range": {f"tailrace.{name}": ends}} if ends else ALL


def _times(one: Times) -> Bounds:
    query = times(one.name, one.first_ns, one.last_ns)
    return Bounds(query, query)


def _stream(one: OneStream) -> Bounds:
    if len(one.json) > ELASTIC_STREAM_CHARS_MAX:
        return Bounds(NONE, none_of({"exists": {"field": "tailrace.stream"}}))
    query = {"term": {"tailrace.stream": one.json}}
    return Bounds(query, query)


def _and(one: And) -> Bounds:
    inner = [compiled(part) for part in one.filters]
    return Bounds(all_of([part.surely for part in inner]), all_of([part.maybe for part in inner]))


def _or(one: Or) -> Bounds:
    inner = [compiled(part) for part in one.filters]
    return Bounds(some_of([part.surely for part in inner]), some_of([part.maybe for part in inner]))


def _not(one: Not) -> Bounds:
    inner = compiled(one.inner)
    return Bounds(none_of(inner.maybe), none_of(inner.surely))


FILTERS: dict[type[Any], Callable[[Any], Bounds]] = {
    And: _and,
    Everything: lambda _: Bounds(ALL, ALL),
    Everywhere: lambda one: _value(one.value, _Anywhere()),
    Field: _field,
    Levels: _levels,
    Not: _not,
    OneStream: _stream,
    Or: _or,
    Times: _times,
}
"""What is known of a filter, by its type."""
