"""``limit N``: the first N rows of the stream, after which nothing more is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.query.pipes import Rows
from tailrace.query.scan import Scanner


@dataclass(frozen=True)
class Limit:
    """``rows`` may be 0."""

    rows: int

    def __str__(self) -> str:
        return f"limit {self.rows}"

    def run(self, stream: Iterator[Rows]) -> Iterator[Rows]:
        """Yield rows until there are enough."""
        left = self.rows
        while left > 0:
            rows = next(stream, None)
            if rows is None:
                return
            yield rows if len(rows) <= left else rows.slice(0, left)
            left -= len(rows)


def parse(scan: Scanner) -> Limit:
    """Read the number."""
    return Limit(scan.whole_number("how many rows"))
