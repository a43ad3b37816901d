"""Short ways to run a query over a few records."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import orjson

from tailrace.query import parse
from tailrace.record import Batch
from tests.query.strategies import NOW_NS, batch_of

PLAIN: dict[str, Any] = {
    "time_ns": NOW_NS,
    "observed_ns": NOW_NS,
    "level": 0,
    "labels": {},
    "trace_id": None,
    "message": "",
    "fields": None,
}


def batch(records: Iterable[dict[str, Any]]) -> Batch:
    """Return a batch of records of which only what matters is given."""
    return batch_of([{**PLAIN, **record} for record in records])


def messages(*texts: str) -> Batch:
    """Return a batch of messages."""
    return batch([{"message": text} for text in texts])


def fields(*values: Any, name: str = "f") -> Batch:
    """Return a batch of records with a parsed field; None: without it."""
    return batch([{"fields": None if value is None else {name: value}} for value in values])


def found(query: str, among: Batch) -> list[int]:
    """Return the rows that a filter means."""
    return np.flatnonzero(parse(query, NOW_NS).filter.matches(among)).tolist()


def rows(query: str, *batches: Batch) -> list[Any]:
    """Return what a query makes of batches, parsed; the records follow each other in one log."""
    parsed, offset, placed = parse(query, NOW_NS), 0, []
    for one in batches:
        placed.append(one.placed(1, offset))
        offset += len(one)
    return [orjson.loads(row) for made in parsed.run(iter(placed)) for row in made.json_rows()]
