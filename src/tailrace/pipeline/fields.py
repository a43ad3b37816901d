"""Fields from columns: texts of one name each become one JSON object per row, without looking at rows one by one.

The text is what orjson would write: no spaces, the necessary escapes and no others. A value that is null, empty or
``-`` is left out; a row without any value has no object (null). Names come in the order of the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

_INTEGER = r"^-?(?:0|[1-9]\d{0,17})$"
_NUMBER = rf"{_INTEGER}|^-?(?:0|[1-9]\d{{0,14}})\.\d{{1,15}}$"
_ABSENT = pa.array(["", "-"], pa.string())


@lru_cache(maxsize=4096)
def _text(text: str) -> pa.StringScalar:
    """Return a scalar: Arrow takes 20 us to make one, and looks for pandas each time."""
    return pa.scalar(text, pa.string())


_NOTHING = _text("")
_NULL = pa.scalar(None, pa.string())
_ONE, _TWO, _LONG = (pa.scalar(count, pa.int32()) for count in (1, 2, 19))
_END = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Column:
    """The values of one field: strings, of which those that are numbers are written as such when ``number`` is set."""

    name: str
    values: pa.StringArray
    number: bool = False


def objects(columns: Sequence[Column], rows: int) -> pa.StringArray:
    """Return the object of each row as JSON text; null where no column has a value."""
    pieces: list[Any] = []
    first = True
    for column in columns:
        pieces += _pieces(column, first=first)
        first = False
    if not pieces:
        return pa.nulls(rows, pa.string())
    joined = pc.binary_join_element_wise(*pieces, _text("}"), _NOTHING)
    if _always(columns[0].values):
        return joined
    # The first value may be missing: the object then begins with the comma of the next.
    begun = pc.replace_substring(pc.binary_replace_slice(joined, 0, 1, "{"), "{,", "{", max_replacements=1)
    return pc.if_else(pc.equal(begun, _text("{}")), _NULL, begun)


def numeric(values: pa.StringArray, *, whole: bool = False) -> pa.BooleanArray:
    """Tell which values are numbers of JSON that lose nothing; with ``whole`` integers only."""
    plain = pc.and_(pc.ascii_is_decimal(values), pc.less(pc.binary_length(values), _LONG))
    zeros = pc.and_(pc.starts_with(values, "0"), pc.greater(pc.binary_length(values), _ONE))
    sure = pc.and_not(plain, zeros)
    if pc.all(sure, skip_nulls=False, min_count=0).as_py():
        return sure
    return pc.match_substring_regex(values, _INTEGER if whole else _NUMBER)


def _pieces(column: Column, *, first: bool) -> list[Any]:
    """Return what is to be joined for a column: its name, and its value or nothing."""
    values = column.values
    always = _always(values)
    head = ("{" if first and always else ",") + orjson.dumps(column.name).decode() + ":"
    quoted = True
    if column.number:
        shown = values if always else pc.if_else(_missing(values), _NULL, values)
        numbers = numeric(shown)
        if pc.all(numbers, min_count=0).as_py():
            quoted, values = False, shown
        else:
            text = pc.binary_join_element_wise(_text('"'), escaped(shown), _text('"'), _NOTHING)
            quoted, values = False, pc.if_else(numbers, shown, text)
    else:
        values = escaped(values)
    ends = '"' if quoted else ""
    if always:
        return [_text(head + ends), values, _text(ends)] if ends else [_text(head), values]
    value = pc.binary_join_element_wise(_text(head + ends), values, _text(ends), _NOTHING)
    part = pc.if_else(_missing(column.values), _NOTHING, value)
    return [_text(" "), part] if first else [part]


def _missing(values: pa.StringArray) -> pa.BooleanArray:
    return pc.or_(pc.is_null(values), pc.is_in(values, _ABSENT))


def _always(values: pa.StringArray) -> bool:
    if values.null_count:
        return False
    short = pc.less(pc.binary_length(values), _TWO)
    return not pc.any(short).as_py() or not pc.any(_missing(values)).as_py()


def escaped(values: pa.StringArray) -> pa.StringArray:
    """Return the values as they stand between the quotes of a JSON string."""
    _, offsets, data = values.buffers()
    if data is None or not len(values):
        return values
    places = np.frombuffer(offsets, np.int32)[values.offset : values.offset + len(values) + 1]
    raw = np.frombuffer(data, np.uint8)[places[0] : places[-1]]
    special = raw[(raw < 32) | (raw == 34) | (raw == 92)]
    if not len(special):
        return values
    for byte in sorted(set(special.tolist()), key=lambda byte: byte != 92):  # the backslash first: others bring more
        values = pc.replace_substring(values, chr(byte), orjson.dumps(chr(byte)).decode()[1:-1])
    return values


def placed(texts: pa.StringArray, rows: np.ndarray, count: int) -> pa.StringArray:
    """Return ``count`` rows of which those at ``rows`` are ``texts``, and the others null."""
    if len(rows) == count:
        return texts
    where = np.full(count, -1, np.int64)
    where[rows] = np.arange(len(rows))
    return texts.take(pa.array(where, mask=where < 0))


def with_stream(
    known: list[str | None] | pa.StringArray | None, codes: np.ndarray, names: Sequence[str]
) -> pa.StringArray:
    """Add the field ``stream`` with the name that each code means, none for 0; an object that has one keeps its own."""
    values = pa.array([name or None for name in names], pa.string()).take(pa.array(codes))
    if known is None or not len(known):
        return objects([Column("stream", values)], len(codes))
    texts = pa.array(known, pa.string()) if isinstance(known, list) else known
    own = np.flatnonzero(pc.fill_null(pc.match_substring(texts, '"stream":'), False).to_numpy(zero_copy_only=False))
    if len(own):
        # A Python loop over lines: only those whose text may hold the name already.
        has = [row for row in own.tolist() if "stream" in orjson.loads(texts[row].as_py())]
        without = np.ones(len(codes), bool)
        without[has] = False
        values = pc.if_else(pa.array(without), values, _NULL)
    stream = objects([Column("stream", values)], len(codes))
    if texts.null_count == len(texts):
        return stream
    head = pc.binary_replace_slice(stream, -1, _END, ",")
    both = pc.binary_join_element_wise(head, pc.binary_replace_slice(texts, 0, 1, ""), _NOTHING)
    return pc.coalesce(both, texts, stream)
