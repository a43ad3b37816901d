"""What one query found in one batch: the matches, encoded, and what is counted of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tailrace.query.pipes import Rows
from tailrace.query.query import Query, facts
from tailrace.record import Batch


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """The matches in the order of the batch.

    offsets  int64, of their cursors
    records  the JSON that a client gets, encoded
    levels   uint8, of the records, whatever the pipes have left of their columns
    hashes   uint64, see ``tailrace.tally``
    """

    offsets: np.ndarray
    records: list[bytes]
    levels: np.ndarray
    hashes: np.ndarray


NOTHING_FOUND = Found(np.zeros(0, np.int64), [], np.zeros(0, np.uint8), np.zeros(0, np.uint64))


def look(query: Query, batch: Batch) -> Found:
    """Return what a query finds in a batch that a log has taken; ``check_live`` has passed before."""
    return found_in(query.live(batch), batch)


def found_in(rows: Rows, batch: Batch) -> Found:
    """Return what was found, from what filter and pipes have made of a batch that a log has taken."""
    if rows.offsets is None or not len(rows):
        return NOTHING_FOUND
    return Found(rows.offsets, rows.json_rows(), *facts(batch, rows))
