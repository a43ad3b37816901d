"""The text of a query becomes a Query. The words that may follow ``|`` are listed here."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable

from tailrace.limits import QUERY_BYTES_MAX
from tailrace.query.filters.logic import Everything
from tailrace.query.grammar import parse_filter
from tailrace.query.pipes import Pipe, aggregates, drop, fields, limit, sort, top, where
from tailrace.query.query import Query
from tailrace.query.scan import Scanner

PIPES: dict[str, Callable[[Scanner], Pipe]] = {
    "where": where.parse,
    "fields": fields.parse,
    "drop": drop.parse,
    "limit": limit.parse,
    "sort": sort.parse,
    "stats": aggregates.parse_stats,
    "count": aggregates.parse_count,
    "top": top.parse,
    "timechart": aggregates.parse_timechart,
}
PIPES_MAX = 32
_WORD = re.compile(r"[A-Za-z_]+")


def parse(text: str, now_ns: int) -> Query:
    """Return the query that a text means; ``now_ns`` is what ``now`` and durations count from. Empty text means ``*``.

    Raises QueryError with the index of the character and what was expected there.
    """
    scan = Scanner(text, now_ns)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        scan.fail("this is not a character", error.start, cure="type the query in UTF-8")
    if size > QUERY_BYTES_MAX:
        scan.fail(f"a query is at most {QUERY_BYTES_MAX} bytes, this one has {size}", 0, cure="write a shorter one")
    scan.skip()
    wanted = Everything() if scan.rest in ("", "|") else parse_filter(scan)
    pipes: list[Pipe] = []
    positions: list[int] = []
    while scan.take("|"):
        scan.skip()
        positions.append(scan.position)
        pipes.append(_pipe(scan))
        if len(pipes) > PIPES_MAX:
            scan.fail(f"more than {PIPES_MAX} pipes")
        scan.skip()
    scan.skip()
    if scan.rest:
        scan.fail(f"expected '|' or the end, found {scan.found}")
    return Query(wanted, tuple(pipes), text, tuple(positions))


def _pipe(scan: Scanner) -> Pipe:
    start = scan.position
    word = scan.match(_WORD) or ""
    read = PIPES.get(word.lower())
    if read is None:
        near = difflib.get_close_matches(word.lower(), PIPES, 1)
        cure = f"did you mean {near[0]}?" if near else f"the pipes are {' '.join(PIPES)}"
        scan.fail(f"'{word}' is not a pipe" if word else f"expected a pipe, found {scan.found}", start, cure=cure)
    return read(scan)
