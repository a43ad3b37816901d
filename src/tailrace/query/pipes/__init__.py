"""Pipes: what is done with the records a filter means. A file per word that users type.

str(pipe)      the text that parses back to it
apply(rows)    pipes that work row by row (where, fields, drop): on any batch by itself, so on a live tail too
run(stream)    pipes that need more than one batch (limit, sort, stats, top): search only
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from tailrace.query.table import Table
from tailrace.record import Batch

Rows = Batch | Table


class RowPipe(Protocol):
    """A pipe that works row by row."""

    def apply(self, rows: Rows) -> Rows:
        """Return what becomes of these rows."""
        ...


class StreamPipe(Protocol):
    """A pipe that has to see the whole stream, or its beginning."""

    def run(self, stream: Iterator[Rows]) -> Iterator[Rows]:
        """Yield what becomes of the rows of a stream. Raises Refused when a bound is reached."""
        ...


Pipe = RowPipe | StreamPipe
