"""The calls that ask for what was: search and stats, histogram, facets, streams, context.

Every answer is made by a thread of the pool (pool.py) and streams. ``next`` of a search is a token: the position of
its last record in the order, and the end of the log and the clock of its first page, so that page two of a search over
a log that grows is the page behind page one.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from tailrace.api import JSON, NDJSON, Call, Record, parameters
from tailrace.cursor import Cursor
from tailrace.errors import BadInput, TailraceError
from tailrace.limits import (
    BUCKETS_MAX,
    CONTEXT_ROWS_MAX,
    FACET_VALUES_MAX,
    SEARCH_CHUNK_ROWS,
    SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX,
)
from tailrace.query import Query, parse
from tailrace.query.times import parse_duration, parse_span
from tailrace.record import Batch, rfc3339
from tailrace.store import TIME_MAX_NS, TIME_MIN_NS, Cancelled, Order, Progress, Search
from tailrace.store.pool import Answer, Pool, Work
from tailrace.store.search import History

Text = Annotated[str, Meta(description="The query; empty for everything.")]
From = Annotated[str, Meta(description="Not before: a time, or how long ago, like 15m.")]
To = Annotated[str, Meta(description="Not after.")]
Limit = Annotated[int, Meta(ge=1, le=SEARCH_LIMIT_MAX, description="Rows of the answer at most.")]
Values = Annotated[int, Meta(ge=1, le=FACET_VALUES_MAX, description="Values at most, the most frequent first.")]
Context = Annotated[int, Meta(ge=0, le=CONTEXT_ROWS_MAX, description="Records on this side.")]


class Range(Struct, forbid_unknown_fields=True):
    """Which records."""

    q: Text = ""
    from_: From | None = msgspec.field(name="from", default=None)
    to: To | None = None


class SearchParameters(Range):
    """Which records, in which order, how many."""

    limit: Limit = SEARCH_LIMIT_DEFAULT
    order: Annotated[Order, Meta(description="By time, or by arrival.")] = "newest"
    after: Annotated[str, Meta(description="`next` of the page before.")] | None = None


class HistogramParameters(Range):
    """Which records, counted in how many buckets."""

    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX, description="About so many, of a round span.")] = 60
    span: Annotated[str, Meta(description="Instead of buckets: the span of each, like 1m.")] | None = None
    by: Annotated[str, Meta(description="Count apart by the value of this field.")] | None = None


class ValuesParameters(Range, kw_only=True):
    """The values of which field."""

    field: Annotated[str, Meta(min_length=1, description="A label, an attribute or a parsed field.")]
    limit: Values = 10


class FieldsParameters(Range):
    """How many values of each field."""

    values: Values = 5


class ContextParameters(Struct, forbid_unknown_fields=True):
    """The lines around which record."""

    cursor: Annotated[str, Meta(description="The record's cursor.")]
    before: Context = 10
    after: Context = 10


class Stats(Struct):
    """What a search did."""

    matched: int
    scanned_records: int
    scanned_bytes: int
    took_ms: float


class Found(Struct):
    """Records, the token of the next page, and whether all was looked at. With pipes, rows as in ``Counted``."""

    records: list[Record]
    next: str | None
    stats: Stats
    complete: bool


class Counted(Struct):
    """Rows of an aggregate: objects whose keys the query names."""

    records: list[dict[str, Any]]
    next: None
    stats: Stats
    complete: bool


class Row(Struct):
    """One line of a streamed answer is a record or a row; the last is ``{"end": ...}``."""

    end: dict[str, Any] | None = None
    error: dict[str, Any] | None = None


class Series(Struct):
    """Counts of one value, a bucket each; ``value`` is null without ``by``, and for records that have none."""

    value: str | None
    counts: list[int]


class Histogram(Struct):
    """Counts over time: bucket n begins at ``start`` + n * ``span_ns``; ``total`` counts all series."""

    start: str
    start_ns: int
    span_ns: int
    total: int
    series: list[Series]
    stats: Stats
    complete: bool


class Value(Struct):
    """A value and how many records have it."""

    value: str
    count: int


class FieldValues(Struct):
    """The most frequent values of a field; ``distinct`` may be a lower bound when the answer is not complete."""

    field: str
    count: int
    distinct: int
    values: list[Value]


class Fields(Struct):
    """The fields of the records, the most frequent first."""

    fields: list[FieldValues]
    stats: Stats
    complete: bool


class StreamCount(Struct):
    """Who speaks, how much, and when last."""

    labels: dict[str, str]
    count: int
    last: str


class Streams(Struct):
    """Who is speaking, the most talkative first."""

    streams: list[StreamCount]
    stats: Stats
    complete: bool


class Around(Struct):
    """The records around one in its own stream, in their order; ``index`` is its place among them."""

    records: list[Record]
    index: int


CALLS = {
    "search": Call(
        "GET", "/api/v1/search", "Records that match", takes=SearchParameters, gives={JSON: Found, NDJSON: Row}
    ),
    "stats": Call(
        "GET", "/api/v1/stats", "Any aggregating query", takes=SearchParameters, gives={JSON: Counted, NDJSON: Row}
    ),
    "histogram": Call(
        "GET", "/api/v1/histogram", "Counts over time", takes=HistogramParameters, gives={JSON: Histogram}
    ),
    "fields": Call(
        "GET", "/api/v1/fields", "Fields with values and counts", takes=FieldsParameters, gives={JSON: Fields}
    ),
    "values": Call("GET", "/api/v1/values", "Top values of a field", takes=ValuesParameters, gives={JSON: FieldValues}),
    "streams": Call("GET", "/api/v1/streams", "Who is speaking", takes=Range, gives={JSON: Streams}),
    "context": Call(
        "GET",
        "/api/v1/context",
        "The lines around a record in its stream",
        takes=ContextParameters,
        gives={JSON: Around},
    ),
}


@dataclass(frozen=True, slots=True)
class Page:
    """What all pages of one search share, and behind which (time, offset) this one begins."""

    now_ns: int
    stop: Cursor
    after: tuple[int, int] | None = None

    def token(self, last: tuple[int, int]) -> str:
        """Return the token of the page behind ``last``."""
        plain = msgspec.json.encode((self.now_ns, str(self.stop), last))
        return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()

    @staticmethod
    def of(token: str) -> Page:
        """Read a token. Raises BadInput."""
        try:
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            now_ns, stop, after = msgspec.json.decode(plain, type=tuple[int, str, tuple[int, int]])
        except (ValueError, msgspec.DecodeError) as error:
            raise BadInput("after is not the token of a page", cure="Send `next` of the page before.") from error
        return Page(now_ns, Cursor.parse(stop), after)


def question(given: Range, now_ns: int) -> tuple[Query, int, int]:
    """Return the query and the bounds of time, from the parameters and the text. Raises QueryError."""
    query = parse(given.q, now_ns)
    first, last = query.times()
    first = TIME_MIN_NS if first is None else first
    last = TIME_MAX_NS if last is None else last
    if given.from_:
        first = max(first, parse_span(given.from_, now_ns)[0])
    if given.to:
        last = min(last, parse_span(given.to, now_ns)[1])
    return query, first, last


def stats_of(progress: Progress) -> Stats:
    """Return what was done so far."""
    took_ms = round((time.monotonic() - progress.started) * 1000, 1)
    return Stats(progress.matched, progress.scanned_records, progress.scanned_bytes, took_ms)


def search(history: History, given: SearchParameters, *, lines: bool, aggregate: bool = False) -> Work:
    """Return the work of a search: chunks of JSON, or of one row per line and the end."""

    def work(progress: Progress) -> Iterator[bytes]:
        page = Page.of(given.after) if given.after else Page(time.time_ns(), history.next)
        query, first, last = question(given, page.now_ns)
        if aggregate and not query.is_aggregate:
            raise BadInput("the query counts nothing", cure="Add a pipe such as | stats count() by level.")
        if given.after and query.is_aggregate:
            raise BadInput("an aggregate has no second page", cure="Raise limit.")
        wanted = query.rows_wanted()
        asked = Search(
            query.filter,
            first,
            last,
            stop=page.stop,
            order=given.order,
            limit=given.limit if not query.pipes else wanted,
            after=page.after,
        )
        found = _Rows(query, given.limit)
        opening = b"" if lines else b'{"records":['
        complete = True
        try:
            for rows in found.chunks(history.scan(asked, progress)):
                yield opening + (b"\n".join(rows) + b"\n" if lines else b",".join(rows))
                opening = b"" if lines else b","
        except Cancelled:
            if not progress.timed_out:
                raise
            complete = False
        except TailraceError as error:
            if not lines or not found.count:
                raise
            yield msgspec.json.encode({"error": {"detail": error.message, "cure": error.cure}}) + b"\n"
            return
        token = page.token(found.last) if found.last and found.count >= given.limit and not query.is_aggregate else None
        end = msgspec.json.encode({"next": token, "stats": stats_of(progress), "complete": complete})
        if lines:
            yield b'{"end":' + end + b"}\n"
        else:
            yield (opening if opening != b"," else b"") + b"]," + end[1:]

    return work


class _Rows:
    """Counts rows and remembers the last record of a search."""

    def __init__(self, query: Query, limit: int) -> None:
        self._query = query
        self._limit = limit
        self.count = 0
        self.last: tuple[int, int] | None = None

    def chunks(self, batches: Iterator[Batch]) -> Iterator[list[bytes]]:
        """Yield encoded rows, up to the limit; then the scan is closed, which stops it."""
        for found in self._query.run(batches):
            start = 0
            while start < len(found) and self.count < self._limit:
                piece = found.slice(start, min(start + SEARCH_CHUNK_ROWS, start + self._limit - self.count, len(found)))
                start += len(piece)
                self.count += len(piece)
                if piece.offsets is not None:
                    self.last = int(piece.numpy("time")[-1]), int(piece.offsets[-1])
                yield piece.json_rows()
            if self.count >= self._limit:
                return


_Given = TypeVar("_Given", bound=Struct)


def routes(history: History, pool: Pool) -> list[BaseRoute]:
    """Return the routes over one history."""

    def route(name: str, kind: type[_Given], make: Callable[[_Given, bool], Work]) -> Route:
        async def answer(request: Request) -> Any:
            given = parameters(kind, request.query_params.multi_items())
            lines = NDJSON in CALLS[name].gives and NDJSON in request.headers.get("accept", "")
            return Answer(pool, make(given, lines), NDJSON if lines else JSON)

        return Route(CALLS[name].path, answer)

    return [
        route("search", SearchParameters, lambda given, lines: search(history, given, lines=lines)),
        route("stats", SearchParameters, lambda given, lines: search(history, given, lines=lines, aggregate=True)),
    ]
