"""The calls that ask for what was: search and stats, histogram, facets, streams, context.

Every answer is made by a thread of the pool (pool.py) and streams. ``next`` of a search is a token: the position of
its last record in the order, and the end of the log and the clock of its first page, so that page two of a search over
a log that grows is the page behind page one.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import msgspec
import numpy as np
from msgspec import Struct
from starlette.requests import Request
from starlette.routing import BaseRoute, Route

from tailrace.access.quota import Quota, name_of
from tailrace.api import JSON, NDJSON, parameters
from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import BadInput, TailraceError, TooLarge
from tailrace.limits import (
    DAY_NS,
    SEARCH_CHUNK_ROWS,
    SEARCH_LIMIT_DEFAULT,
    SEARCH_LIMIT_MAX,
    SECOND_NS,
)
from tailrace.query import Query, parse
from tailrace.query.pipes.stats import Counted
from tailrace.query.times import parse_duration, parse_span
from tailrace.record import Batch, rfc3339
from tailrace.store import TIME_MAX_NS, TIME_MIN_NS, Cancelled, Grouping, Progress, Search
from tailrace.store.pool import Answer, Pool, Work
from tailrace.store.search import History
from tailrace.store.words import (
    CALLS,
    ContextParameters,
    FieldCount,
    Fields,
    Histogram,
    HistogramParameters,
    Range,
    SearchParameters,
    Series,
    Stats,
    StreamCount,
    Streams,
    Value,
    Values,
    ValuesParameters,
    Verified,
    VerifyParameters,
)
from tailrace.tally import count, digest, named


@dataclass(frozen=True, slots=True)
class Page:
    """What all pages of one search share, and behind which (time, cursor) this one begins."""

    now_ns: int
    stop: Position
    after: tuple[int, Cursor] | None = None

    def token(self, last: tuple[int, Cursor]) -> str:
        """Return the token of the page behind ``last``."""
        plain = msgspec.json.encode((self.now_ns, str(self.stop), (last[0], str(last[1]))))
        return base64.urlsafe_b64encode(plain).rstrip(b"=").decode()

    @staticmethod
    def of(token: str) -> Page:
        """Read a token. Raises BadInput."""
        try:
            plain = base64.b64decode(token + "=" * (-len(token) % 4), b"-_", validate=True)
            now_ns, stop, after = msgspec.json.decode(plain, type=tuple[int, str, tuple[int, str]])
        except (ValueError, msgspec.DecodeError) as error:
            raise BadInput("after is not the token of a page", cure="Send `next` of the page before.") from error
        return Page(now_ns, Checkpoint.parse(stop), (after[0], Cursor.parse(after[1])))


def question(given: Range, now_ns: int) -> tuple[Query, int, int]:
    """Return the query and the bounds of time, from the parameters and the text. Raises QueryError."""
    query = parse(given.q, now_ns)
    first, last = query.times()
    if given.from_:
        first = max(first, parse_span(given.from_, now_ns)[0])
    if given.to:
        last = min(last, parse_span(given.to, now_ns)[1])
    return query, first, last


def stats_of(progress: Progress) -> Stats:
    """Return what was done so far."""
    took_ms = round((time.monotonic() - progress.started) * 1000, 1)
    return Stats(progress.matched, progress.scanned_records, progress.scanned_bytes, took_ms)


class Searching:
    """The work of one search: chunks of JSON, or of one row per line, and the end."""

    def __init__(self, history: History, given: SearchParameters, *, lines: bool) -> None:
        self._history, self._given, self._lines = history, given, lines
        self._came_ns = time.time_ns()
        self._source: Batch | None = None
        self._last: tuple[int, Cursor] | None = None
        self._count = 0

    def __call__(self, progress: Progress) -> Iterator[bytes]:
        """Yield the answer. Raises QueryError and BadInput before anything is yielded, Cancelled at any time."""
        page = Page.of(self._given.after) if self._given.after else Page(self._came_ns, self._history.end())
        query, first, last = question(self._given, page.now_ns)
        if self._given.after and query.is_aggregate:
            raise BadInput("an aggregate has no second page", cure="Raise limit.")
        limit = self._given.limit or (SEARCH_LIMIT_MAX if query.is_aggregate else SEARCH_LIMIT_DEFAULT)
        asked = Search(
            query.filter,
            first,
            last,
            stop=page.stop,
            order=None if query.is_aggregate and not query.rows_wanted() else self._given.order,
            limit=query.rows_wanted() if query.pipes else limit,
            after=page.after,
            grouping=None if query.counts_by is None else Grouping(query.counts_by),
        )
        opening, complete = b"" if self._lines else b'{"records":[', True
        try:
            with closing(self._history.scan(asked, progress)) as scan:
                for rows in self._rows(query, scan, limit, asked.grouping):
                    yield opening + (b"\n".join(rows) + b"\n" if self._lines else b",".join(rows))
                    opening = b"" if self._lines else b","
        except Cancelled:
            if not progress.timed_out:
                raise
            complete = False
        except TailraceError as error:
            if not self._lines or not self._count:
                raise
            yield msgspec.json.encode({"error": {"detail": error.message, "cure": error.cure}}) + b"\n"
            return
        more = self._last is not None and self._count >= limit and not query.is_aggregate
        token = page.token(self._last) if more and self._last else None
        end = msgspec.json.encode({"next": token, "stats": stats_of(progress), "complete": complete})
        if self._lines:
            yield b'{"end":' + end + b"}\n"
        else:
            yield opening.removeprefix(b",") + b"]," + end[1:]

    def _rows(
        self, query: Query, scan: Iterator[Batch], limit: int, grouping: Grouping | None
    ) -> Iterator[list[bytes]]:
        """Yield encoded rows up to the limit, and remember the last record."""
        for found in query.run(self._watched(scan, grouping)):
            start = 0
            while start < len(found) and self._count < limit:
                stop = min(start + SEARCH_CHUNK_ROWS, start + limit - self._count, len(found))
                piece = found.slice(start, stop)
                self._count += stop - start
                start = stop
                self._remember(piece)
                yield piece.json_rows()
            if self._count >= limit:
                return

    def _watched(self, scan: Iterator[Batch], grouping: Grouping | None) -> Iterator[Batch | Counted]:
        for batch in scan:
            self._source = batch
            yield batch
        if grouping is not None:
            yield from grouping.found

    def _remember(self, piece: Any) -> None:
        """Keep (time, cursor) of the last row; its time is with the record it came from, whatever pipes left of it."""
        if piece.offsets is None or self._source is None or self._source.offsets is None:
            return
        offset = int(piece.offsets[-1])
        found = np.flatnonzero(self._source.offsets == offset)
        if len(found):
            self._last = int(self._source.numpy("time")[found[0]]), Cursor(self._source.epoch, offset)


def _within_time(make: Callable[[Progress], Struct]) -> Work:
    """Return the work of an answer that is all or nothing."""

    def work(progress: Progress) -> Iterator[bytes]:
        try:
            answer = make(progress)
        except Cancelled:
            if not progress.timed_out:
                raise
            raise TooLarge(
                f"the answer takes longer than {progress.seconds_max:.0f} s", cure="Narrow the time or the query."
            ) from None
        yield msgspec.json.encode(answer)

    return work


class Questions:
    """What the calls ask of one history."""

    def __init__(self, history: History) -> None:
        self._history = history

    def search(self, given: SearchParameters, *, lines: bool) -> Work:
        """Search, or run any query."""
        return Searching(self._history, given, lines=lines)

    def stats(self, given: SearchParameters, *, lines: bool) -> Work:
        """Run a query that has pipes."""
        if not parse(given.q, time.time_ns()).pipes:
            raise BadInput("the query has no pipe", cure="Add one, such as | stats count() by level.")
        return Searching(self._history, given, lines=lines)

    def histogram(self, given: HistogramParameters, progress: Progress) -> Histogram:
        """Count over time."""
        asked = self._asked(given)
        with progress.uncounted():
            first, last = self._extent(asked, given, progress)
        span_ns = parse_duration(given.span) if given.span else round_span((last - first) // given.buckets + 1)
        if not span_ns:
            raise BadInput(f"{given.span!r} is not a span of time", cure="Write a number and a unit, like 30s or 1h.")
        found = self._history.histogram(replace(asked, first_ns=first, last_ns=last), span_ns, given.by, progress)
        start = rfc3339(np.array([found.first_ns], np.int64))[0]
        series = [Series(value, counts.tolist()) for value, counts in found.counts.items()]
        total = sum(sum(one.counts) for one in series)
        return Histogram(start, found.first_ns, found.span_ns, total, series, stats_of(progress))

    def fields(self, given: Range, progress: Progress) -> Fields:
        """List the fields there are."""
        found = self._history.fields(self._asked(given), progress)
        counts = [FieldCount(name, count) for name, count in found.counts.items()]
        return Fields(counts, found.sampled, found.complete, stats_of(progress))

    def values(self, given: ValuesParameters, progress: Progress) -> Values:
        """List the values of one field."""
        found = self._history.values(self._asked(given), given.field, given.limit, progress)
        return Values(given.field, [Value(value, count) for value, count in found.items()], stats_of(progress))

    def streams(self, given: Range, progress: Progress) -> Streams:
        """List who is speaking."""
        found = sorted(self._history.streams(self._asked(given), progress).items(), key=lambda one: -one[1].rows)
        streams = [
            StreamCount(dict(stream.labels), facts.rows, *rfc3339(np.array([facts.first_ns, facts.last_ns], np.int64)))
            for stream, facts in found
        ]
        return Streams(streams, stats_of(progress))

    def verify(self, given: VerifyParameters, progress: Progress) -> Verified:
        """Count what a search finds between two cursors, and make its digest."""
        query = parse(given.q, time.time_ns())
        query.check_live()
        end = self._history.end()
        first = Checkpoint.parse(given.from_) if given.from_ else end.beginning
        stop = Checkpoint.parse(given.to) if given.to else end
        if any(end.get(cursor.epoch) is None for cursor in (*first.cursors, *stop.cursors)):
            raise BadInput("the cursors are not of this server's log", cure="Take them from a frame of a tail here.")
        total = self._history.tally(query, first, stop, progress)
        return Verified(str(first), str(stop), count(total), digest(total), named(total), stats_of(progress))

    def context(self, given: ContextParameters) -> Work:
        """Read the lines around a record."""

        def work(progress: Progress) -> Iterator[bytes]:
            rows, index = self._history.context(Cursor.parse(given.cursor), given.before, given.after, progress)
            yield b'{"records":[' + b",".join(rows.json_rows()) + b'],"index":%d}' % index

        return work

    def _asked(self, given: Range) -> Search:
        query, first, last = question(given, time.time_ns())
        if query.pipes:
            raise BadInput("this call takes a filter without pipes", cure="Leave out what is behind the first |.")
        return Search(query.filter, first, last, stop=self._history.end())

    def _extent(self, asked: Search, given: Range, progress: Progress) -> tuple[int, int]:
        """Return the time that a histogram shows: what was asked for, else from the first record to the last.

        With a beginning and no end it goes on to now, because what is missing since the last record is news as well.
        """
        first, last = asked.first_ns, asked.last_ns
        if first == TIME_MIN_NS:
            oldest = next(self._history.scan(replace(asked, order="oldest", limit=1), progress), None)
            first = int(oldest.numpy("time")[0]) if oldest else time.time_ns()
        if last == TIME_MAX_NS:
            newest = next(self._history.scan(replace(asked, order="newest", limit=1), progress), None)
            last = int(newest.numpy("time")[0]) if newest else first
            last = max(last, time.time_ns()) if given.from_ else last
        return first, max(first, last)


def round_span(span_ns: int) -> int:
    """Return the first span that people count in (1, 2, 5, 10, 15, 30 of a unit) and that is not shorter."""
    for unit_ns, steps in _SPANS:
        for step in steps:
            if unit_ns * step >= span_ns:
                return unit_ns * step
    return -(-span_ns // DAY_NS) * DAY_NS


_SPANS = (
    (1_000_000, (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    (SECOND_NS, (1, 2, 5, 10, 15, 30)),
    (60 * SECOND_NS, (1, 2, 5, 10, 15, 30)),
    (3600 * SECOND_NS, (1, 2, 3, 6, 12)),
    (DAY_NS, (1, 2, 5, 10, 30, 100, 365)),
)


def cost_key(path: str, given: Struct, now_ns: int) -> str:
    """Return what tells questions apart that take the same time: the call, its query, and how long a past it is about.

    The length is to a power of two: who narrows the time after a timeout asks another question, who asks the same a
    minute later does not. Raises QueryError.
    """
    if isinstance(given, VerifyParameters):
        return f"{path} {parse(given.q, now_ns)}"
    if not isinstance(given, Range):
        return f"{path} {given}"
    query, first, last = question(given, now_ns)
    return f"{path} {(min(last, now_ns) - max(first, 0)).bit_length()} {query}"


def routes(history: History, pool: Pool, quota: Quota) -> list[BaseRoute]:
    """Return the routes over one history; what they take of the threads is on the account of who asks."""
    questions = Questions(history)

    def route(name: str, work: Callable[[Any, bool], Work]) -> Route:
        call = CALLS[name]

        async def answer(request: Request) -> Any:
            given = parameters(call.takes, request.query_params.multi_items())
            form = getattr(given, "format", None)
            lines = form == "ndjson" or (
                not form and NDJSON in call.gives and NDJSON in request.headers.get("accept", "")
            )
            saved = f"tailrace-{call.path.rpartition('/')[2]}.ndjson" if form == "ndjson" else ""
            key, now_s = cost_key(call.path, given, time.time_ns()), time.monotonic()
            account = await quota.ask(name_of(request.scope), now_s, key)
            account.open_search(key, time.monotonic())

            def bill(seconds: float, timed_out: bool) -> None:
                account.close_search(key, seconds, timed_out=timed_out, now_s=time.monotonic())

            return Answer(pool, work(given, lines), NDJSON if lines else JSON, saved, bill)

        return Route(call.path, answer)

    def whole(make: Callable[[Any, Progress], Struct]) -> Callable[[Any, bool], Work]:
        return lambda given, _: _within_time(partial(make, given))

    return [
        route("search", lambda given, lines: questions.search(given, lines=lines)),
        route("stats", lambda given, lines: questions.stats(given, lines=lines)),
        route("histogram", whole(questions.histogram)),
        route("fields", whole(questions.fields)),
        route("values", whole(questions.values)),
        route("streams", whole(questions.streams)),
        route("verify", whole(questions.verify)),
        route("context", lambda given, _: questions.context(given)),
    ]
