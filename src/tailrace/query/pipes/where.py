"""``where FILTER``: only the rows that a further filter means."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.query.filters import Filter
from tailrace.query.grammar import parse_filter
from tailrace.query.pipes import Rows
from tailrace.query.scan import Scanner


@dataclass(frozen=True)
class Where:
    """Works on records and on tables alike."""

    filter: Filter

    def __str__(self) -> str:
        return f"where {self.filter}"

    def apply(self, rows: Rows) -> Rows:
        """Return the rows that the filter means."""
        mask = self.filter.matches(rows)
        return rows if mask.all() else rows.filter(mask)


def parse(scan: Scanner) -> Where:
    """Read what follows ``where`` (or ``filter``)."""
    return Where(parse_filter(scan))
