"""``stats count() as n, p95(ms) by service, bin(1m)``: numbers about groups of rows.

Each batch is reduced to one row per group at once, and reductions are joined as they come: sums are summed, the
smallest of the smallest is taken. Distinct counts and percentiles are exact: they keep each distinct value of a group
with how often it was seen. All of it is bounded: GROUPS_MAX groups, STATS_VALUES_MAX values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.errors import Refused
from tailrace.limits import GROUPS_MAX, SECOND_NS, STATS_VALUES_MAX
from tailrace.query.filters.value import numbers
from tailrace.query.pipes import Rows
from tailrace.query.scan import listed
from tailrace.query.table import Table
from tailrace.query.text import number_text
from tailrace.query.times import format_duration
from tailrace.record import rfc3339

FUNCTIONS = frozenset({"count", "sum", "avg", "min", "max", "dc", "rate"})


@dataclass(frozen=True)
class Key:
    """What groups are made by: a field, the time in steps of ``step`` nanoseconds, or a number in steps of it."""

    name: str
    step: float | None = None

    def __str__(self) -> str:
        if self.step is None:
            return listed((self.name,))
        if self.name == "time":
            return f"bin({format_duration(int(self.step))})"
        return f"bin({listed((self.name,))}, {number_text(self.step)})"

    def of(self, rows: Rows) -> pa.Array:
        """Return the group of each row: text, int64 (time) or float64 (a number in steps)."""
        if self.step is None:
            return rows.column(self.name)
        if self.name == "time":
            step = int(self.step)
            return pa.array(rows.numpy("time") // step * step)
        values = numbers(rows.column(self.name))
        return pa.array(np.floor(values / self.step) * self.step, from_pandas=True)

    def shown(self, groups: pa.Array) -> pa.Array:
        """Return the groups as a result column."""
        if self.step is None or self.name != "time":
            return groups
        return pa.array(rfc3339(groups.to_numpy()), pa.string())


@dataclass(frozen=True)
class Aggregate:
    """One number about each group: ``function`` of ``field`` (None: of the rows), shown as ``name``."""

    function: str
    field: str | None
    name: str

    def __str__(self) -> str:
        call = f"{self.function}({'' if self.field is None else listed((self.field,))})"
        return call if self.name == default_name(self.function, self.field) else f"{call} as {listed((self.name,))}"

    @property
    def percent(self) -> int | None:
        """Which percentile this is, or None."""
        return int(self.function[1:]) if self.function[0] == "p" else None

    def parts(self, rows: Rows) -> list[tuple[str, pa.Array]]:
        """Return columns of a batch, each with how its values in a group are joined: sum, min or max."""
        if self.function == "rate":
            times = pa.array(rows.numpy("time"))
            return [("sum", _ones(rows)), ("min", times), ("max", times)]
        if self.field is None:
            return [("sum", _ones(rows))]
        texts = rows.column(self.field)
        if self.function == "count":
            return [("sum", texts.is_valid().cast(pa.int64()))]
        if self.function in ("min", "max") and self.field in ("time", "observed"):
            return [(self.function, texts)]
        values = pa.array(numbers(texts), from_pandas=True)
        if self.function == "avg":
            return [("sum", values), ("sum", values.is_valid().cast(pa.int64()))]
        return [(self.function, values)]

    @property
    def keeps_values(self) -> bool:
        """Whether this needs every distinct value."""
        return self.function == "dc" or self.percent is not None

    def values(self, rows: Rows) -> pa.Array:
        """Return what ``dc`` (text) and percentiles (numbers) keep of each row."""
        texts = rows.column(self.field or "message")
        return texts if self.function == "dc" else pa.array(numbers(texts), from_pandas=True)


def default_name(function: str, field: str | None) -> str:
    """Return the column's name when ``as`` gives none."""
    return function if field is None else f"{function}({field})"


@dataclass(frozen=True, slots=True)
class Counted:
    """Groups of records that somebody else has counted: for each the value of every key, and ``rows``, int64.

    ``columns`` are as ``Key.of`` gives them. ``first_ns`` and ``last_ns`` (int64) are the times of the first and the
    last record of each group, if they were asked for: with the key ``STREAM``, whose values are the JSON of streams.
    """

    keys: tuple[Key, ...]
    columns: tuple[pa.Array, ...]
    rows: pa.Array
    first_ns: pa.Array | None = None
    last_ns: pa.Array | None = None


STREAM = Key("stream")


@dataclass(frozen=True)
class Stats:
    """``aggregates`` for each group of ``keys``; without keys there is one group, even of no rows at all."""

    aggregates: tuple[Aggregate, ...]
    keys: tuple[Key, ...] = ()

    def __str__(self) -> str:
        by = f" by {', '.join(map(str, self.keys))}" if self.keys else ""
        return f"stats {', '.join(map(str, self.aggregates))}{by}"

    @property
    def only_counts(self) -> bool:
        """Whether groups that somebody else has counted are as good as their records."""
        return all(aggregate.function == "count" and aggregate.field is None for aggregate in self.aggregates)

    def run(self, stream: Iterator[Rows | Counted]) -> Iterator[Table]:
        """Yield one table, in the order of its keys. Raises Refused beyond a bound."""
        groups = _Groups(GROUPS_MAX, "groups", "group by fewer fields, or by bin(F, step)")
        kept: dict[Aggregate, _Groups] = {
            aggregate: _Groups(
                STATS_VALUES_MAX, f"distinct values in {aggregate}", "filter, or round with fewer groups"
            )
            for aggregate in self.aggregates
            if aggregate.keeps_values
        }
        for rows in stream:
            if isinstance(rows, Counted):
                columns = {f"k{i}": column for i, column in enumerate(rows.columns)}
                counts = {f"a{i}_0": ("sum", rows.rows) for i in range(len(self.aggregates))}
                if len(rows.rows):
                    groups.add(columns, {"rows": ("sum", rows.rows), **counts}, None)
                continue
            if not len(rows):
                continue
            keys = {f"k{i}": key.of(rows) for i, key in enumerate(self.keys)}
            parts = {"rows": ("sum", _ones(rows))}
            for i, aggregate in enumerate(self.aggregates):
                if aggregate in kept:
                    value = aggregate.values(rows)
                    kept[aggregate].add({**keys, "value": value}, {"rows": ("sum", _ones(rows))}, value.is_valid())
                else:
                    parts |= {f"a{i}_{j}": part for j, part in enumerate(aggregate.parts(rows))}
            groups.add(keys, parts, None)
        yield self._result(groups.joined(), kept)

    def _result(self, groups: pa.Table | None, kept: dict[Aggregate, _Groups]) -> Table:
        columns: dict[str, pa.Array] = {}
        if groups is None:
            rows = 0 if self.keys else 1
            columns = {key.name: pa.nulls(rows, pa.string()) for key in self.keys}
            for aggregate in self.aggregates:
                zero = aggregate.function in ("count", "dc", "rate")
                columns[aggregate.name] = pa.array([0] * rows, pa.int64()) if zero else pa.nulls(rows, pa.float64())
            return Table(columns)
        names = [f"k{i}" for i in range(len(self.keys))]
        if names:
            groups = groups.sort_by([(name, "ascending") for name in names])
        for name, key in zip(names, self.keys, strict=True):
            columns[key.name] = key.shown(_chunk(groups, name))
        for i, aggregate in enumerate(self.aggregates):
            if aggregate in kept:
                columns[aggregate.name] = _of_values(groups, kept[aggregate].joined(), names, aggregate.percent)
            else:
                columns[aggregate.name] = _tidy(self._finish(groups, i, aggregate))
        return Table(columns)

    def _finish(self, groups: pa.Table, i: int, aggregate: Aggregate) -> pa.Array:
        first = _chunk(groups, f"a{i}_0")
        if aggregate.function == "avg":
            return pc.divide(first, _chunk(groups, f"a{i}_1").cast(pa.float64()))
        if aggregate.function == "rate":
            steps = [key.step for key in self.keys if key.name == "time" and key.step]
            last, begin = _chunk(groups, f"a{i}_2"), _chunk(groups, f"a{i}_1")
            span_ns = steps[0] if steps else pc.max(last).as_py() - pc.min(begin).as_py()
            return pc.divide(first.cast(pa.float64()), max(span_ns, SECOND_NS) / SECOND_NS)
        return first


class _Groups:
    """Reductions of batches, joined whenever many have gathered; at most ``rows_max`` rows once joined."""

    def __init__(self, rows_max: int, what: str, cure: str) -> None:
        self._rows_max = rows_max
        self._what = what
        self._cure = cure
        self._parts: list[pa.Table] = []
        self._rows = 0
        self._joins: list[tuple[str, str]] = []

    def add(self, keys: dict[str, pa.Array], parts: dict[str, tuple[str, pa.Array]], mask: pa.Array | None) -> None:
        """Take the rows of one batch, of those only where ``mask`` is true."""
        self._joins = [(name, how) for name, (how, _) in parts.items()]
        table = pa.table({**keys, **{name: values for name, (_, values) in parts.items()}})
        reduced = self._reduce(table if mask is None else table.filter(mask))
        self._parts.append(reduced)
        self._rows += len(reduced)
        if self._rows > self._rows_max:
            joined = self._reduce(pa.concat_tables(self._parts))
            if len(joined) > self._rows_max:
                raise Refused(f"more than {self._rows_max:,} {self._what}", cure=self._cure)
            # Half full is joined again only when it has grown by as much: the work stays linear.
            self._parts, self._rows = [joined], len(joined) // 2

    def joined(self) -> pa.Table | None:
        """Return one row per group, or None when there was no row at all."""
        if not self._parts:
            return None
        joined = self._reduce(pa.concat_tables(self._parts))
        if len(joined) > self._rows_max:
            raise Refused(f"more than {self._rows_max:,} {self._what}", cure=self._cure)
        return joined

    def _reduce(self, table: pa.Table) -> pa.Table:
        parts = {name for name, _ in self._joins}
        keys = [name for name in table.column_names if name not in parts]
        reduced = table.group_by(keys, use_threads=False).aggregate(self._joins)
        columns = {name: reduced.column(name) for name in keys}
        return pa.table(columns | {name: reduced.column(f"{name}_{how}") for name, how in self._joins})


def _of_values(groups: pa.Table, values: pa.Table | None, names: list[str], percent: int | None) -> pa.Array:
    """Return the distinct count (``percent`` None) or the nearest-rank percentile of each group's kept values."""
    count = len(groups)
    if values is None or not len(values):
        return pa.array([0] * count, pa.int64()) if percent is None else pa.nulls(count, pa.float64())
    group = _group_of(groups, values, names)
    if percent is None:
        return pa.array(np.bincount(group, minlength=count))
    value, seen = _chunk(values, "value").to_numpy(), _chunk(values, "rows").to_numpy()
    order = np.lexsort((value, group))
    reached = np.cumsum(seen[order])
    total = np.bincount(group, weights=seen, minlength=count).astype(np.int64)
    before = np.cumsum(total) - total
    rank = before + np.maximum(1, -(-total * percent // 100))
    at = np.minimum(np.searchsorted(reached, rank), len(order) - 1)
    return _tidy(pa.array(np.where(total > 0, value[order][at], np.nan), from_pandas=True))


def _group_of(groups: pa.Table, values: pa.Table, names: list[str]) -> np.ndarray:
    """Return, for each row of ``values``, the row of ``groups`` with the same keys."""
    code = np.zeros(len(groups) + len(values), np.int64)
    for name in names:
        both = pa.concat_arrays([_chunk(groups, name), _chunk(values, name)])
        spelled = both.dictionary_encode(null_encoding="encode")
        inner = spelled.indices.to_numpy(zero_copy_only=False)
        code = np.unique(code * (len(spelled.dictionary) + 1) + inner, return_inverse=True)[1]
    row = np.zeros(int(code.max()) + 1, np.int64)
    row[code[: len(groups)]] = np.arange(len(groups))
    return row[code[len(groups) :]]


def _ones(rows: Rows) -> pa.Array:
    return pa.array(np.ones(len(rows), np.int64))


def _chunk(table: pa.Table, name: str) -> pa.Array:
    return pa.concat_arrays(table.column(name).chunks)


def _tidy(values: pa.Array) -> pa.Array:
    """Return whole numbers as int64 where all of a float column are."""
    if not pa.types.is_floating(values.type):
        return values
    plain = values.to_numpy(zero_copy_only=False)
    plain = plain[~np.isnan(plain)]
    whole = len(plain) and (np.abs(plain) < 2**53).all() and (plain == np.floor(plain)).all()
    return values.cast(pa.int64()) if whole else values
