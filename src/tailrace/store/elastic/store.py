"""The cluster as a ``Store``.

Checkpoint   What the cluster holds completely is known by who writes it: ``committed`` says how far the indexers have
             committed (a callable, so that nothing here knows Kafka). A search may see what was written before the last
             refresh, so a snapshot takes the positions S first and then refreshes; records before S come from here,
             what is behind S from the log. All searches of ELASTIC_REFRESH_S share one S and one refresh.
             Without ``committed`` this store is written by ``add`` and ``flush`` alone, and keeps S in a document of
             its own (index STATE), which is written after the refresh.
Snapshot     A point in time over the indices of the days asked for, opened by the first scan. Records behind S are left
             out by every scan, for the cluster may hold some.
Scan         Pages in the order asked for, each from behind the last record of the page before; the cluster finds
             candidates, the filter judges them on columns. A page is as large as its answer may be: bytes, not rows.
Fails        when a shard does not answer: a search never answers with less. A cancelled scan closes its connection, and
             the cluster ends the search.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow.compute as pc

from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import TailraceError
from tailrace.limits import (
    DAY_NS,
    ELASTIC_BULK_BYTES,
    ELASTIC_DAYS_MAX,
    ELASTIC_KEEP_S,
    ELASTIC_LOGS_MAX,
    ELASTIC_PAGE_BYTES,
    ELASTIC_PAGE_ROWS_FIRST,
    ELASTIC_PAGE_ROWS_MAX,
    ELASTIC_REFRESH_S,
    ELASTIC_TOLD_LOGS_MAX,
)
from tailrace.query.filters import Filter
from tailrace.query.pipes.stats import Counted, Key
from tailrace.record import Batch, rfc3339
from tailrace.store import TIME_MAX_NS, TIME_MIN_NS, Progress, Search
from tailrace.store.elastic import document, groups, mapping
from tailrace.store.elastic.client import AnswerTooLarge, Client, NotThere, Rejected
from tailrace.store.elastic.compile import ALL, NONE, Dsl, all_of, compiled, none_of, some_of, times

STATE = "tailrace.state"
"""The index of what stores that are written by ``add`` remember, a document for each prefix."""
_SORTS = {
    "newest": ("time", "epoch", "offset"),
    "oldest": ("time", "epoch", "offset"),
    "arrival": ("epoch", "offset"),
    "arrival_newest": ("epoch", "offset"),
}


class ElasticStore:
    """Records in an Elasticsearch or OpenSearch cluster."""

    def __init__(
        self,
        client: Client,
        prefix: str,
        *,
        shards: int = 1,
        replicas: int = 1,
        retain_ns: int | None = None,
        committed: Callable[[], Position | None] | None = None,
    ) -> None:
        """Speak to nobody yet. ``committed`` returns how far the cluster was written completely; may raise."""
        self._client = client
        self.prefix = prefix
        self._shards, self._replicas, self._retain_ns = shards, replicas, retain_ns
        self._committed = committed
        self._lock = threading.Lock()
        self._seen: tuple[float, Position | None] | None = None
        self._installed = False
        self._added: dict[int, Cursor] = {}
        self._state: _State | None = None

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    # -- what is known -------------------------------------------------------------------------------------------

    @property
    def checkpoint(self) -> Position | None:
        """Every record before it is stored, and durable. Raises a TailraceError when nobody can tell."""
        return self._flushed().last if self._committed is None else self._committed()

    def held(self, since_ns: int = TIME_MIN_NS) -> list[tuple[Cursor, Cursor]]:
        """Return for each log the range from its first record here since then to the checkpoint; see the contract."""
        ends = self._visible()[1]
        grouped = {
            "logs": {
                "terms": {"field": "tailrace.epoch", "size": ELASTIC_LOGS_MAX},
                "aggs": {"first": {"min": {"field": "tailrace.offset"}}},
            }
        }
        body = {"size": 0, "query": times("time", since_ns, TIME_MAX_NS), "aggs": grouped}
        try:
            found = self._client.search(body, index=f"{self.prefix}-*").get("aggregations", {"logs": {"buckets": []}})
        except NotThere:
            return []
        firsts = {int(one["key"], 16): int(one["first"]["value"]) for one in found["logs"]["buckets"]}
        return [
            (Cursor(epoch, firsts[epoch]), Cursor(epoch, ends[epoch]))
            for epoch in sorted(firsts.keys() & ends.keys())
            if firsts[epoch] < ends[epoch]
        ]

    # -- writing -------------------------------------------------------------------------------------------------

    def add(self, batch: Batch) -> None:
        """Write the next batch of a log. Raises a TailraceError; then it may be added again."""
        state = self._flushed()
        end = self._added.get(batch.epoch) or state.ends.get(batch.epoch)
        if end is not None and batch.first < end:
            raise ValueError(f"a batch at {batch.first} was added behind {end}")
        if not self._installed:
            mapping.install(self._client, self.prefix, shards=self._shards, replicas=self._replicas)
            self._installed = True
        nowhere = np.full(len(batch), -1)
        ids = document.ids(batch, (), nowhere, nowhere, nowhere)
        actions = document.actions(self.prefix, document.days(batch, self._retain_ns), ids)
        lines = pc.binary_join_element_wise(actions, document.documents(batch), b"\n", b"")
        body: list[bytes] = []
        size = 0
        for line in lines.to_pylist():
            body.append(line)
            size += len(line)
            if size >= ELASTIC_BULK_BYTES:
                self._write(b"".join(body))
                body, size = [], 0
        if body:
            self._write(b"".join(body))
        self._added.pop(batch.epoch, None)
        self._added[batch.epoch] = batch.next  # the last one is the log that was added to last

    def flush(self) -> None:
        """Make what was added visible, and move the checkpoint behind it."""
        if not self._added:
            return
        last = list(self._added.values())[-1]
        ends = {**self._flushed().ends, **self._added}
        self._client.refresh(f"{self.prefix}-*")
        kept = {"checkpoint": str(Checkpoint.of(ends.values())), "last": str(last)}
        self._client.call("PUT", f"/{STATE}/_doc/{self.prefix}", kept)
        self._state, self._added = _State(ends, last), {}

    def _write(self, body: bytes) -> None:
        answer = self._client.bulk(body)
        for item in answer["items"] if answer["errors"] else ():
            result = item["create"]
            if result["status"] not in (201, 409):  # 409: it is there
                error = result["error"]
                raise Rejected(f"a record was refused: {error['reason']}", status=result["status"], kind=error["type"])

    def _flushed(self) -> _State:
        """Return how far was flushed, as the document of the state says."""
        if self._state is None:
            try:
                kept = self._client.call("GET", f"/{STATE}/_doc/{self.prefix}")["_source"]
                ends = {cursor.epoch: cursor for cursor in Checkpoint.parse(kept["checkpoint"]).cursors}
                self._state = _State(ends, Cursor.parse(kept["last"]))
            except NotThere:
                self._state = _State({}, None)
        return self._state

    # -- reading -------------------------------------------------------------------------------------------------

    @contextmanager
    def snapshot(self) -> Iterator[ElasticSnapshot]:
        """Return the store as it is now."""
        made = ElasticSnapshot(self._client, self.prefix, *self._visible())
        try:
            yield made
        finally:
            made.close()

    def _visible(self) -> tuple[Position | None, dict[int, int]]:
        """Return the checkpoint of which everything can be searched, and the offset of each log in it."""
        if self._committed is None:
            state = self._flushed()
            return state.last, {epoch: end.offset for epoch, end in state.ends.items()}
        with self._lock:
            if self._seen is None or time.monotonic() - self._seen[0] > ELASTIC_REFRESH_S:
                position = self._committed()
                self._client.refresh(f"{self.prefix}-*")
                self._seen = time.monotonic(), position
            position = self._seen[1]
        return position, {} if position is None else {cursor.epoch: cursor.offset for cursor in position.cursors}


@dataclass(frozen=True, slots=True)
class _State:
    """What a store that is written by ``add`` remembers: how far each log was flushed, and which one last."""

    ends: dict[int, Cursor]
    last: Cursor | None


@dataclass(slots=True)
class _Page:
    """One answer: its records, the epoch of each, and where the next page begins."""

    batch: Batch
    epochs: np.ndarray
    after: list[Any]
    rows: int


class ElasticSnapshot:
    """The store at one moment."""

    def __init__(self, client: Client, prefix: str, checkpoint: Position | None, ends: Mapping[int, int]) -> None:
        self.checkpoint = checkpoint
        self._client, self._prefix, self._ends = client, prefix, dict(ends)
        self._pits: dict[str, str | None] = {}

    def close(self) -> None:
        """Let go of the points in time."""
        for pit in self._pits.values():
            if pit is not None:
                with suppress(TailraceError):  # the cluster lets go of it by itself
                    self._client.close_point_in_time(pit)
        self._pits = {}

    def scan(self, search: Search, progress: Progress) -> Iterator[Batch]:
        """Yield what a search asks for; see the contract. Raises Cancelled, or a TailraceError of the cluster's."""
        progress.check()
        ranges = _ranges(search, self._ends)
        bounds = compiled(search.filter)
        within = _within(search, ranges)
        query = all_of([bounds.maybe, within])
        left = search.limit
        if not ranges or query == NONE or left == 0:
            return
        exact = bounds.exact
        if search.grouping is not None:
            counted = self._count(search, search.grouping.keys, bounds.surely, within, progress)
            if counted is not None:
                search.grouping.found.append(counted[0])
                query = all_of([query, none_of(counted[1])])
                if counted[1] == bounds.maybe:
                    return
                exact = False
        for page in self._pages(search, query, exact, progress):
            mask = _in_ranges(page, ranges)
            if not exact:
                mask &= _matching(page, search.filter)
            rows = np.flatnonzero(mask)[:left]
            progress.matched += len(rows)
            if len(rows):
                left = None if left is None else left - len(rows)
                few = page.batch if len(rows) == page.rows else page.batch.take(rows)
                yield from document.by_log(few, page.epochs[rows], in_order=search.order is not None)
            if left == 0:
                return

    def _pages(self, search: Search, query: Dsl, exact: bool, progress: Progress) -> Iterator[_Page]:
        index = self._indices(search)
        if self._pit(index) is None:
            return
        size = ELASTIC_PAGE_ROWS_FIRST
        if search.limit is not None:
            size = min(search.limit if exact else 2 * search.limit, ELASTIC_PAGE_ROWS_MAX)
        body: dict[str, Any] = {"query": query, "sort": _sort(search), "track_total_hits": False}
        if search.after is not None and search.order is not None:
            body["search_after"] = _after(search)
        while True:
            try:
                answer, answer_bytes = self._ask(index, {**body, "size": size}, progress)
            except AnswerTooLarge:
                if size == 1:
                    raise
                size = max(size // 8, 1)
                continue
            hits = answer["hits"]["hits"]
            progress.scanned_records += len(hits)
            if hits:
                batch, epochs = document.batch_of([hit["_source"] for hit in hits])
                yield _Page(batch, epochs, hits[-1]["sort"], len(hits))
            if len(hits) < size:
                return
            body["search_after"] = hits[-1]["sort"]
            fits = ELASTIC_PAGE_BYTES * len(hits) // answer_bytes
            size = max(min(4 * size, fits, ELASTIC_PAGE_ROWS_MAX), 1)

    def _pit(self, index: str) -> str | None:
        if index not in self._pits:
            self._pits[index] = self._client.open_point_in_time(index, ELASTIC_KEEP_S)
        return self._pits[index]

    def _ask(self, index: str, body: Mapping[str, Any], progress: Progress) -> tuple[Any, int]:
        """Return an answer about some indices, and how many bytes it had."""
        progress.check()
        pit = {"id": self._pit(index), "keep_alive": f"{ELASTIC_KEEP_S}s"}
        text = self._client.raw("POST", "/_search", {**body, "pit": pit}, _WHOLE, progress=progress)
        progress.scanned_bytes += len(text)
        answer = orjson.loads(text)
        self._pits[index] = answer.get("pit_id", pit["id"])
        return answer, len(text)

    def _count(
        self, search: Search, keys: Sequence[Key], surely: Dsl, within: Dsl, progress: Progress
    ) -> tuple[Counted, Dsl] | None:
        """Have the cluster count what surely matches; return the groups, and the query for what is in them."""
        sources = groups.sources(keys)
        index = self._indices(search)
        if sources is None or surely == NONE or self._pit(index) is None:
            return None
        counted = all_of([surely, sources.known])
        found = groups.count(
            sources, all_of([counted, within]), lambda body: self._ask(index, body, progress)[0], progress
        )
        return found, counted

    def _indices(self, search: Search) -> str:
        """Return the indices that may hold what a search asks for: those of its days, or all."""
        first, last = search.first_ns // DAY_NS, search.last_ns // DAY_NS
        if last - first >= ELASTIC_DAYS_MAX:
            return f"{self._prefix}-*"
        days = [document.index_name(self._prefix, day) for day in range(first, last + 1)]
        return ",".join([*days, f"{self._prefix}-undated-*"])


_WHOLE = {"allow_partial_search_results": "false"}


def _sort(search: Search) -> list[dict[str, Any]]:
    if search.order is None:
        return [{"_shard_doc": "asc"}]
    turn = "desc" if search.order in ("newest", "arrival_newest") else "asc"
    return [{f"tailrace.{name}": {"order": turn}} for name in _SORTS[search.order]]


def _after(search: Search) -> list[Any]:
    assert search.after is not None
    time_ns, cursor = search.after
    place = [f"{cursor.epoch:016x}", cursor.offset]
    return [time_ns, *place] if search.order in ("newest", "oldest") else place


def _ranges(search: Search, ends: Mapping[int, int]) -> dict[int, tuple[int, int]]:
    """Return for each log the offsets [first, next) that are asked for, and are here."""
    asked = {epoch: within for epoch in ends if (within := search.within(epoch)) is not None}
    found = {epoch: (first, min(behind, ends[epoch])) for epoch, (first, behind) in asked.items()}
    return {epoch: within for epoch, within in found.items() if within[0] < within[1]}


def _within(search: Search, ranges: Mapping[int, tuple[int, int]]) -> Dsl:
    """Return the query for the times and the logs of a search.

    What is behind the end of a log is little, so it is taken away; where each log begins is asked only when it does.
    Of very many logs the cluster is not told: the rows are looked at anyway.
    """
    moment = times("time", search.first_ns, search.last_ns)
    if search.first_ns >= 0 and moment != ALL:  # has the cluster pass over whole shards
        first, last = rfc3339(np.array([search.first_ns, search.last_ns], np.int64))
        moment = all_of([moment, {"range": {"@timestamp": {"gte": first, "lte": last}}}])
    if len(ranges) > ELASTIC_TOLD_LOGS_MAX:
        return moment
    logs: Dsl = {"terms": {"tailrace.epoch": [f"{epoch:016x}" for epoch in ranges]}}
    if search.start is not None:
        return all_of([moment, some_of([_of_log(epoch, *ends) for epoch, ends in ranges.items()])])
    behind = some_of([_of_log(epoch, end, None) for epoch, (_, end) in ranges.items()])
    return all_of([moment, logs, none_of(behind)])


def _of_log(epoch: int, first: int, behind: int | None) -> Dsl:
    ends = {"gte": first} if behind is None else {"gte": first, "lt": behind}
    return all_of([{"term": {"tailrace.epoch": f"{epoch:016x}"}}, {"range": {"tailrace.offset": ends}}])


def _in_ranges(page: _Page, ranges: Mapping[int, tuple[int, int]]) -> np.ndarray:
    assert page.batch.offsets is not None
    mask = np.zeros(page.rows, bool)
    for epoch in np.unique(page.epochs).tolist():
        if epoch in ranges:
            first, behind = ranges[epoch]
            mask |= (page.epochs == epoch) & (page.batch.offsets >= first) & (page.batch.offsets < behind)
    return mask


def _matching(page: _Page, wanted: Filter) -> np.ndarray:
    """Return which records of a page a filter means; it is asked once for each log, which a record's cursor names."""
    assert page.batch.offsets is not None
    mask = np.zeros(page.rows, bool)
    for epoch in np.unique(page.epochs).tolist():
        rows = np.flatnonzero(page.epochs == epoch)
        of_log = Batch(page.batch.take(rows).columns, epoch=epoch, offsets=page.batch.offsets[rows])
        mask[rows] = wanted.matches(of_log)
    return mask
