"""The words of the calls that ask for what was: their parameters and answers, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from tailrace.api import JSON, NDJSON, Call, Record
from tailrace.limits import BUCKETS_MAX, CONTEXT_ROWS_MAX, FACET_VALUES_MAX, SEARCH_LIMIT_MAX
from tailrace.store import Order

Text = Annotated[str, Meta(description="The query; empty for everything.")]
From = Annotated[str, Meta(description="Not before: a time, or how long ago, like 15m.")]
To = Annotated[str, Meta(description="Not after.")]
Limit = Annotated[
    int, Meta(ge=1, le=SEARCH_LIMIT_MAX, description="Rows at most; default: 100 records, all of an aggregate.")
]
Top = Annotated[int, Meta(ge=1, le=FACET_VALUES_MAX, description="Values at most, the most frequent first.")]
Context = Annotated[int, Meta(ge=0, le=CONTEXT_ROWS_MAX, description="Records on this side.")]


class Range(Struct, forbid_unknown_fields=True):
    """Which records."""

    q: Text = ""
    from_: From | None = msgspec.field(name="from", default=None)
    to: To | None = None


class SearchParameters(Range):
    """Which records, in which order, how many."""

    limit: Limit | None = None
    order: Annotated[Order, Meta(description="By time, or by arrival.")] = "newest"
    after: Annotated[str, Meta(description="`next` of the page before.")] | None = None


class FoundParameters(SearchParameters):
    """Which records, and in what form."""

    format: (
        Annotated[
            Literal["json", "ndjson"],
            Meta(description="Instead of the header Accept, for links; ndjson is then a file to download."),
        ]
        | None
    ) = None


class HistogramParameters(Range):
    """Which records, counted in how many buckets."""

    buckets: Annotated[int, Meta(ge=1, le=BUCKETS_MAX, description="About so many, of a round span.")] = 60
    span: Annotated[str, Meta(description="Instead of buckets: the span of each, like 1m.")] | None = None
    by: Annotated[str, Meta(description="Count apart by the value of this field.")] | None = None


class ValuesParameters(Range, kw_only=True):
    """The values of which field."""

    field: Annotated[str, Meta(min_length=1, description="A label, an attribute or a parsed field.")]
    limit: Top = 10


class ContextParameters(Struct, forbid_unknown_fields=True):
    """The lines around which record."""

    cursor: Annotated[str, Meta(description="The record's cursor.")]
    before: Context = 10
    after: Context = 10


class VerifyParameters(Struct, forbid_unknown_fields=True):
    """Which records, by their cursors."""

    q: Text = ""
    from_: Annotated[str, Meta(description="The first cursor.")] = msgspec.field(name="from", default="")
    to: Annotated[str, Meta(description="The cursor behind the last one; default: the end of the log.")] = ""


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
    """Counts over time: bucket n begins at ``start_ns`` + n * ``span_ns``; ``total`` counts all series."""

    start: str
    start_ns: int
    span_ns: int
    total: int
    series: list[Series]
    stats: Stats


class Value(Struct):
    """A value and how many records have it."""

    value: str
    count: int


class Values(Struct):
    """The most frequent values of a field."""

    field: str
    values: list[Value]
    stats: Stats


class FieldCount(Struct):
    """A field and how many of the sampled records have it."""

    field: str
    count: int


class Fields(Struct):
    """The fields of the newest ``sampled`` records, the most frequent first; ``complete``: these were all of them."""

    fields: list[FieldCount]
    sampled: int
    complete: bool
    stats: Stats


class StreamCount(Struct):
    """Who speaks, how much, and when first and last."""

    labels: dict[str, str]
    count: int
    first: str
    last: str


class Streams(Struct):
    """Who is speaking, the most talkative first."""

    streams: list[StreamCount]
    stats: Stats


class Around(Struct):
    """The records around one in its own stream, in their order; ``index`` is its place among them."""

    records: list[Record]
    index: int


class Verified(Struct):
    """What a search finds in [from, to): how many of each level, and the digest to compare with a tail's ``ping``."""

    from_: str = msgspec.field(name="from")
    to: str
    count: int
    digest: str
    levels: dict[str, int]
    stats: Stats


CALLS = {
    "search": Call(
        "GET", "/api/v1/search", "Records that match", takes=FoundParameters, gives={JSON: Found, NDJSON: Row}
    ),
    "stats": Call(
        "GET", "/api/v1/stats", "Any aggregating query", takes=FoundParameters, gives={JSON: Counted, NDJSON: Row}
    ),
    "histogram": Call(
        "GET", "/api/v1/histogram", "Counts over time", takes=HistogramParameters, gives={JSON: Histogram}
    ),
    "fields": Call("GET", "/api/v1/fields", "Fields with counts", takes=Range, gives={JSON: Fields}),
    "values": Call("GET", "/api/v1/values", "Top values of a field", takes=ValuesParameters, gives={JSON: Values}),
    "streams": Call("GET", "/api/v1/streams", "Who is speaking", takes=Range, gives={JSON: Streams}),
    "verify": Call(
        "GET",
        "/api/v1/verify",
        "Count and digest of what a search finds between two cursors",
        takes=VerifyParameters,
        gives={JSON: Verified},
    ),
    "context": Call(
        "GET",
        "/api/v1/context",
        "The lines around a record in its stream",
        takes=ContextParameters,
        gives={JSON: Around},
    ),
}
