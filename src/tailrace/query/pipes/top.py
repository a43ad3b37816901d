"""``top N F``: the N most frequent values of a field, with how often each is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from tailrace.query.filters.exists import Exists
from tailrace.query.filters.field import Field
from tailrace.query.pipes import Rows
from tailrace.query.pipes.limit import Limit
from tailrace.query.pipes.sort import Sort
from tailrace.query.pipes.stats import Aggregate, Counted, Key, Stats
from tailrace.query.pipes.where import Where
from tailrace.query.scan import Scanner, listed


@dataclass(frozen=True)
class Top:
    """Columns: the field and ``count``. Ties by value; rows without a value do not count."""

    rows: int
    name: str

    def __str__(self) -> str:
        return f"top {self.rows} {listed((self.name,))}"

    @property
    def counts(self) -> Stats:
        """The pipe that counts the values."""
        return Stats((Aggregate("count", None, "count"),), (Key(self.name),))

    def run(self, stream: Iterator[Rows | Counted]) -> Iterator[Rows]:
        """Yield one table. Raises Refused beyond GROUPS_MAX values."""
        counts = self.counts.run(stream)
        present = map(Where(Field(self.name, Exists())).apply, counts)
        return Limit(self.rows).run(Sort((("count", True), (self.name, False))).run(present))


def parse(scan: Scanner) -> Top:
    """Read the number and the field."""
    rows = scan.whole_number("how many values")
    start = scan.position
    name = scan.name()
    if name == "count":
        scan.fail("'count' is the name of the result", start, cure="write stats count() as n by count")
    return Top(rows, name)
