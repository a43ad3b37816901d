"""Groups that the cluster counts by itself: by time, level, stream, trace id, and the labels that are keywords.

Everything is one composite aggregation, whose counts are exact however many shards there are; its pages are of
ELASTIC_GROUPS_PAGE groups. The cluster counts a record only if its group is known from the index alone: the value of a
label that a stream does not have may be a parsed field's, so such records are left to be read. Steps of time are cut in
milliseconds, finer ones are left to be read, and so is what happened before 1970.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tailrace.bus.message import LABEL_NAMES
from tailrace.errors import TooLarge
from tailrace.limits import ELASTIC_GROUPS_PAGE, ELASTIC_STREAMS_PAGE, GROUPS_MAX
from tailrace.query.pipes.stats import STREAM, Counted, Key
from tailrace.store import Progress
from tailrace.store.elastic.compile import Dsl, all_of, none_of, some_of
from tailrace.store.elastic.term import term_name

_MS_NS = 1_000_000
_KEYWORDS = {"level": "log.level", "trace_id": "trace.id", **LABEL_NAMES}
_SPAN = {
    name: {"top_hits": {"size": 1, "_source": False, "sort": [{"tailrace.time": {"order": order}}]}}
    for name, order in (("first", "asc"), ("last", "desc"))
}


@dataclass(frozen=True, slots=True)
class Sources:
    """What the cluster is asked to group by, and the query for records of which it knows the group."""

    keys: tuple[Key, ...]
    asked: list[Dsl]
    known: Dsl


def sources(keys: Sequence[Key]) -> Sources | None:
    """Return how the cluster groups by these keys; None when it cannot."""
    asked: list[Dsl] = []
    known: list[Dsl] = []
    for number, key in enumerate(keys):
        if key == STREAM:
            source: Dsl = {"terms": {"field": "tailrace.stream"}}
            known.append({"exists": {"field": "tailrace.stream"}})
        elif key.name == "time" and key.step is not None and int(key.step) % _MS_NS == 0:
            span = f"{int(key.step) // _MS_NS}ms"
            source = {"date_histogram": {"field": "@timestamp", "fixed_interval": span}}
            known.append({"range": {"tailrace.time": {"gte": 0}}})
        elif key.step is None and key.name in _KEYWORDS:
            field = _KEYWORDS[key.name]
            source = {"terms": {"field": field, "missing_bucket": True}}
            if key.name != "level":
                without = none_of({"term": {"tailrace.terms": f"={term_name(key.name)}"}})
                known.append(some_of([{"exists": {"field": field}}, without]))
        else:
            return None
        asked.append({f"k{number}": source})
    return Sources(tuple(keys), asked, all_of(known))


def count(wanted: Sources, query: Dsl, ask: Callable[[Mapping[str, Any]], Any], progress: Progress) -> Counted:
    """Return the groups of what a query finds. Raises TooLarge for too many, and what ``ask`` raises."""
    if not wanted.keys:
        answer = ask({"size": 0, "query": query, "track_total_hits": True})
        total = answer["hits"]["total"]["value"]
        progress.matched += total
        return Counted((), (), pa.array([total] if total else [], pa.int64()))
    spans = wanted.keys == (STREAM,)
    size = ELASTIC_STREAMS_PAGE if spans else ELASTIC_GROUPS_PAGE
    composite: dict[str, Any] = {"size": size, "sources": wanted.asked}
    body: dict[str, Any] = {"size": 0, "query": query, "track_total_hits": False}
    body["aggs"] = {"groups": {"composite": composite, **({"aggs": _SPAN} if spans else {})}}
    found: list[Any] = []
    while True:
        groups = ask(body)["aggregations"]["groups"]
        found += groups["buckets"]
        if len(found) > GROUPS_MAX:
            raise TooLarge(f"more than {GROUPS_MAX} groups", cure="Narrow the query or the time.")
        if len(groups["buckets"]) < size or "after_key" not in groups:
            break
        composite["after"] = groups["after_key"]
    progress.matched += sum(one["doc_count"] for one in found)
    columns = [_column(key, [one["key"][f"k{number}"] for one in found]) for number, key in enumerate(wanted.keys)]
    times = [pa.array([_moment(one[name]) for one in found], pa.int64()) for name in _SPAN] if spans else (None, None)
    return Counted(wanted.keys, tuple(columns), pa.array([one["doc_count"] for one in found], pa.int64()), *times)


def _column(key: Key, values: list[Any]) -> pa.Array:
    if key.name == "time":
        return pa.array([value * _MS_NS for value in values], pa.int64())
    return pa.array(values, pa.string())


def _moment(hits: Any) -> int:
    return int(hits["hits"]["hits"][0]["sort"][0])
