"""drop: records that nobody wants to keep. What is dropped is said in the query language, and counted.

The origin of a batch still covers all that was read, so what was dropped is not read again.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import lru_cache

import numpy as np

from tailrace.errors import ConfigError, QueryError
from tailrace.limits import DAY_NS
from tailrace.query import parse
from tailrace.query.filters import Filter
from tailrace.record import Batch


@lru_cache(maxsize=256)
def condition(text: str, key: str) -> Filter:
    """Return the filter that ``key`` (of an entry) gives. Raises ConfigError."""
    try:
        query, later = parse(text, 0), parse(text, DAY_NS)
    except QueryError as error:
        raise ConfigError(f"{key}: {error.pointed()}", cure=error.cure) from error
    if query.pipes or not text.strip():
        raise ConfigError(f"{key}: {text!r} is not a filter", cure="Write it without pipes, like level:debug.")
    if query != later:
        raise ConfigError(f"{key}: {text!r} depends on when it is asked", cure="Write whole times, or none.")
    return query.filter


def meant(batch: Batch, wanted: Filter) -> np.ndarray:
    """Return which rows a filter means (bool); a cursor is none of its business, for none has one yet."""
    return wanted.matches(batch.placed(0, 0))


def only(batch: Batch, mask: np.ndarray) -> Batch:
    """Return the rows where ``mask`` is true, and the origins that still cover all; the last one has the rows."""
    kept = batch.filter(mask)
    last = [replace(origin, rows=len(kept)) for origin in batch.origins[-1:]]
    return Batch(kept.columns, origins=[*batch.origins[:-1], *last])


def dropped(batch: Batch, text: str, counts: Counter[str]) -> Batch:
    """Return the batch without the records that ``text`` means; ``counts`` has their number by text."""
    mask = meant(batch, condition(text, "drop"))
    if not mask.any():
        return batch
    counts[text] += int(mask.sum())
    return only(batch, ~mask)
