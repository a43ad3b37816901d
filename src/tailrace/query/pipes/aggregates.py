"""How ``stats``, ``count`` and ``timechart`` are written: aggregates, keys, steps."""

from __future__ import annotations

import re
from dataclasses import replace

from tailrace.query.pipes.stats import FUNCTIONS, Aggregate, Key, Stats, default_name
from tailrace.query.scan import Scanner
from tailrace.query.times import parse_duration

_WORD = re.compile(r"[a-z]+\d{0,2}")
_STEP = re.compile(r"[\w.]+")


def parse_stats(scan: Scanner) -> Stats:
    """Read what follows ``stats``."""
    aggregates = _aggregates(scan)
    return _checked(scan, Stats(aggregates, _keys(scan)))


def parse_count(scan: Scanner) -> Stats:
    """Read what follows ``count``: perhaps a name and keys."""
    if scan.take("("):
        scan.expect(")")
    return _checked(scan, Stats((_named(scan, Aggregate("count", None, "count")),), _keys(scan)))


def parse_timechart(scan: Scanner) -> Stats:
    """Read what follows ``timechart``: the same as ``stats ... by bin(span), ...``."""
    if scan.keyword("span") is None:
        scan.fail(f"expected span=, found {scan.found}", cure="write timechart span=1m count() by service")
    scan.expect("=")
    step = Key("time", _time_step(scan))
    return _checked(scan, Stats(_aggregates(scan), (step, *_keys(scan))))


def _checked(scan: Scanner, stats: Stats) -> Stats:
    names = [key.name for key in stats.keys] + [one.name for one in stats.aggregates]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        scan.fail(f"two columns are called '{twice}'", cure="name one of them with 'as'")
    return stats


def _aggregates(scan: Scanner) -> tuple[Aggregate, ...]:
    found = [_aggregate(scan)]
    while scan.take(","):
        found.append(_aggregate(scan))
    return tuple(found)


def _aggregate(scan: Scanner) -> Aggregate:
    scan.skip()
    start = scan.position
    word = scan.match(_WORD) or ""
    if word not in FUNCTIONS and not re.fullmatch(r"p[1-9]\d?", word):
        scan.fail(
            f"expected a function, found '{word}'" if word else f"expected a function, found {scan.found}",
            start,
            cure="the functions are count sum avg min max dc rate p50 p90 p95 p99",
        )
    field: str | None = None
    if scan.take("("):
        scan.skip()
        if scan.rest != ")":
            field = scan.name()
        scan.expect(")")
    if field is None and word not in ("count", "rate"):
        scan.fail(f"{word} needs a field", cure=f"write {word}(field)")
    return _named(scan, Aggregate(word, field, default_name(word, field)))


def _named(scan: Scanner, aggregate: Aggregate) -> Aggregate:
    return aggregate if scan.keyword("as") is None else replace(aggregate, name=scan.name("a name"))


def _keys(scan: Scanner) -> tuple[Key, ...]:
    if scan.keyword("by") is None:
        return ()
    found = [_key(scan)]
    while scan.take(","):
        found.append(_key(scan))
    return tuple(found)


def _key(scan: Scanner) -> Key:
    scan.skip()
    if not scan.ahead("bin("):
        return Key(scan.name())
    scan.position += 4
    before = scan.position
    word = scan.match(_STEP) or ""
    if parse_duration(word) is not None:
        scan.position = before
        key = Key("time", _time_step(scan))
    else:
        scan.position = before
        name = scan.name("a duration, or a field and a step")
        scan.expect(",", " and a step")
        key = Key(name, _time_step(scan) if name == "time" else _number_step(scan))
    scan.expect(")")
    return key


def _time_step(scan: Scanner) -> int:
    scan.skip()
    start = scan.position
    step_ns = parse_duration(scan.match(_STEP) or "")
    if not step_ns or step_ns > 2**62:
        scan.fail("expected a duration", start, cure="write 30s, 5m, 2h or 7d")
    return step_ns


def _number_step(scan: Scanner) -> float:
    scan.skip()
    start = scan.position
    word = scan.match(_STEP) or ""
    if not re.fullmatch(r"\d{1,15}(\.\d{1,9})?", word, re.ASCII) or float(word) == 0:
        scan.fail("expected a step, a number above 0", start)
    return float(word)
