"""``fields A, B``: a table of these columns, which keeps the cursors of its rows."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.query.pipes import Rows
from tailrace.query.scan import Scanner, listed
from tailrace.query.table import Table


@dataclass(frozen=True)
class Fields:
    """Distinct names, in the order in which they are shown; a row without such a field has null there."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return f"fields {listed(self.names)}"

    def apply(self, rows: Rows) -> Table:
        """Return the columns."""
        columns = {name: rows.column(name) for name in self.names}
        if isinstance(rows, Table):
            return rows.select({name: rows.columns.get(name, column) for name, column in columns.items()})
        return Table(columns, epoch=rows.epoch, offsets=rows.offsets)


def parse(scan: Scanner) -> Fields:
    """Read the names."""
    return Fields(tuple(dict.fromkeys(scan.names())))
