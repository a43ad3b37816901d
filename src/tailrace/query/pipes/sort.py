"""``sort F [desc], G``: all rows in the order of some fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow.compute as pc

from tailrace.errors import Refused
from tailrace.limits import SORT_ROWS_MAX
from tailrace.query.filters.value import numbers
from tailrace.query.pipes import Rows
from tailrace.query.scan import Scanner, listed
from tailrace.query.table import Table
from tailrace.record import Batch


@dataclass(frozen=True)
class Sort:
    """``keys`` are (field, descending). Numbers come before text, missing values last either way; ties by arrival."""

    keys: tuple[tuple[str, bool], ...]

    def __str__(self) -> str:
        return "sort " + ", ".join(listed((name,)) + (" desc" if down else "") for name, down in self.keys)

    def run(self, stream: Iterator[Rows], keep: int | None = None) -> Iterator[Rows]:
        """Yield all rows in order, or the first ``keep`` of them. Raises Refused beyond SORT_ROWS_MAX rows."""
        most = SORT_ROWS_MAX if keep is None else min(keep, SORT_ROWS_MAX)
        held: list[Rows] = []
        count = 0
        for rows in stream:
            held.append(rows)
            count += len(rows)
            if keep is not None and keep <= SORT_ROWS_MAX and count > 2 * most + 8192:
                held = self._sorted(held, most)
                count = sum(map(len, held))
            elif count > SORT_ROWS_MAX and (keep is None or keep > SORT_ROWS_MAX):
                raise Refused(f"more than {SORT_ROWS_MAX:,} rows to sort", cure="put '| limit N' behind it, or filter")
        if held:
            yield from self._sorted(held, keep)

    def _sorted(self, held: list[Rows], keep: int | None) -> list[Rows]:
        """Return the rows in order, those of one log that are neighbours together."""
        tables = [rows for rows in held if isinstance(rows, Table)]
        rows = Table.concat(tables) if tables else Batch.concat([rows for rows in held if isinstance(rows, Batch)])
        if not len(rows):
            return [rows]
        epochs = np.repeat(np.array([one.epoch for one in held], np.uint64), [len(one) for one in held])
        orders = [np.arange(len(rows)) if rows.offsets is None else rows.offsets, epochs]
        for name, down in reversed(self.keys):
            orders += _ranks(rows, name, down)
        order = np.lexsort(orders)[:keep]
        epochs = epochs[order]
        return [_of_log(rows.take(run), int(epochs[first])) for run, first in zip(*_runs(order, epochs), strict=True)]


def _runs(order: np.ndarray, epochs: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
    """Cut an order where the log changes; return the pieces and where each begins."""
    cuts = np.flatnonzero(epochs[1:] != epochs[:-1]) + 1
    return np.split(order, cuts), [0, *cuts.tolist()]


def _of_log(rows: Rows, epoch: int) -> Rows:
    """Return rows as those of one log."""
    if isinstance(rows, Table):
        return Table(rows.columns, epoch=epoch, offsets=rows.offsets)
    return Batch(rows.columns, epoch=epoch, offsets=rows.offsets)


def _ranks(rows: Rows, name: str, down: bool) -> list[np.ndarray]:
    """Return keys for ``lexsort``, the weightiest last: where a value stands among its kind, and its kind."""
    if name in ("level", "time", "observed") and isinstance(rows, Batch):
        values = rows.numpy(name).astype(np.int64)
        # ``~`` turns an order around without overflow.
        return [~values if down else values]
    texts = rows.column(name)
    value = numbers(texts)
    is_number = ~np.isnan(value)
    value = np.where(is_number, -value if down else value, 0)
    spelled = texts.dictionary_encode()
    order = np.argsort(np.array(spelled.dictionary.to_pylist(), object), kind="stable")
    place = np.empty(len(order) + 1, np.int64)
    place[order], place[-1] = np.arange(len(order)), 0
    rank = place[pc.fill_null(spelled.indices, len(order)).to_numpy(zero_copy_only=False)]
    rank = np.where(is_number, 0, -rank if down else rank)
    kind = np.where(is_number, 2 if down else 1, 1 if down else 2)
    kind[texts.is_null().to_numpy(zero_copy_only=False)] = 3
    return [rank, value, kind]


def parse(scan: Scanner) -> Sort:
    """Read the fields; ``by`` before them is allowed."""
    scan.keyword("by")
    keys: list[tuple[str, bool]] = []
    while not keys or scan.take(","):
        name = scan.name()
        keys.append((name, scan.keyword("asc", "desc") == "desc"))
    return Sort(tuple(keys))
