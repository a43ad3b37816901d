"""Dissecting: a template that says between which literals the fields of a line stand, for a whole block at once.

``{client} {} {user} [{*}] "{method} {url*} {}" {status:int}`` reads: a field up to the literal behind it, and so on.

    {name}      a value without spaces, not empty; ``{}`` is one that nobody wants
    {name*}     any value, also an empty one; ``{*}`` is one that nobody wants
    :int        whole numbers (or ``-``) only: another value means that the line does not fit; written as JSON numbers
    :float      likewise, with a fraction
    :number     a number is written as one, another value as text
    {name?}     at the end of a template: what is left of the line, when it is there and of its kind
    ~           one space or more

A literal is found where it stands first behind the field's beginning; there is no going back, so a line costs one
search per literal and no backtracking. What stands behind the template is free; a field at its end goes to the next
space, with ``*`` or ``?`` to the end of the line. The literals of a block are found once as columns of positions, and
the values are slices of the same bytes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.pipeline.fields import Column, numeric
from tailrace.pipeline.timestamp import Text

_FIELD = re.compile(r"\{([\w.\-()]*)([*?]?)(?::(int|float|number))?\}")
_SPACES_MAX = 32
_SPACE = 32
_NOTHING = pa.scalar("", pa.string())
_ABSENT = pa.scalar("-", pa.string())


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    spaced: bool
    optional: bool
    kind: str
    until: bytes  # empty: the end of the line


class Template:
    """One template; see the head of this module."""

    def __init__(self, shown: str) -> None:
        """Compile; ValueError when two fields stand side by side."""
        self.shown = shown
        parts = _FIELD.split(shown)
        self._first = parts[0].encode()
        self._fields: list[_Field] = []
        for place in range(1, len(parts), 4):
            name, mark, kind, literal = parts[place : place + 4]
            if not literal and place + 4 < len(parts):
                raise ValueError(f"nothing stands between two fields of {shown!r}")
            self._fields.append(_Field(name, bool(mark), mark == "?", kind or "", literal.encode()))
        self.names = [field.name for field in self._fields if field.name]

    def read(self, text: Text, starts: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, list[Column]]:
        """Return which of ``rows`` (increasing) fit, and the columns of those; ``starts`` is of all lines."""
        lines = text if len(rows) == len(text.begins) else text.take(rows)
        place = np.minimum(starts[rows], lines.ends)
        ok, place = _literal(lines, place, self._first)
        cuts = np.empty((len(rows), 2 * len(self.names)), np.int64)
        column = 0
        for field in self._fields:
            begin = place
            if field.until:
                mark = b" " if field.until == b"~" else field.until.rstrip(b"~")
                end = lines.next_of(mark, begin)
                ok = ok & (end < lines.ends)
                place = np.minimum(end + len(mark), lines.ends)
                if field.until.endswith(b"~"):
                    place = _behind_spaces(lines, place)
                if not ok.any():
                    return rows[:0], []
            else:
                begin = _behind_spaces(lines, begin) if field.optional else begin
                end = place = lines.ends if field.spaced else lines.next_of(b" ", begin)
            if not field.spaced:
                ok = ok & (begin < end)
                if field.until not in (b"", b" ", b"~"):
                    ok = ok & (lines.next_of(b" ", begin) >= end)
            if field.name:
                cuts[:, column], cuts[:, column + 1] = begin, end
                column += 2
        return self._columns(lines, cuts, rows, ok)

    def _columns(
        self, lines: Text, cuts: np.ndarray, rows: np.ndarray, ok: np.ndarray
    ) -> tuple[np.ndarray, list[Column]]:
        fitting = np.flatnonzero(ok)
        values = slices(lines, cuts[fitting], len(self.names))
        named = [field for field in self._fields if field.name]
        good = np.ones(len(fitting), bool)
        for place, (field, array) in enumerate(zip(named, values, strict=True)):
            if field.kind in ("int", "float"):
                fits = pc.or_(numeric(array, whole=field.kind == "int"), pc.equal(array, _ABSENT))
                if field.optional:
                    values[place] = pc.if_else(fits, array, _NOTHING)
                else:
                    good &= fits.to_numpy(zero_copy_only=False)
        if not good.all():
            fitting = fitting[good]
            values = [array.filter(pa.array(good)) for array in values]
        columns = [
            Column(field.name, array, bool(field.kind))
            for field, array in zip(named, values, strict=True)
            if not (field.optional and _empty(array))
        ]
        return rows[fitting], columns


def _empty(values: pa.StringArray) -> bool:
    return not pc.any(pc.greater(pc.binary_length(values), 0)).as_py()


def slices(lines: Text, cuts: np.ndarray, fields: int) -> list[pa.StringArray]:
    """Return the bytes between each pair of cuts, a column per field; one array over the same bytes serves all."""
    count = len(cuts)
    if not count or not fields:
        return [pa.array([], pa.string()) for _ in range(fields)]
    offsets = cuts.astype(np.int32).ravel()
    data = pa.py_buffer(lines.data)
    pieces = pa.Array.from_buffers(pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), data])
    rows = np.arange(count, dtype=np.int32) * (2 * fields)
    return [pieces.take(pa.array(rows + 2 * field)) for field in range(fields)]


def _literal(lines: Text, place: np.ndarray, literal: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Tell where ``literal`` stands at ``place``, and what is behind it."""
    ok = np.ones(len(place), bool)
    spaces = literal.endswith(b"~")
    for byte in literal.rstrip(b"~"):
        ok &= (lines.data[place] == byte) & (place < lines.ends)
        place = np.minimum(place + 1, lines.ends)
    return ok, _behind_spaces(lines, place) if spaces else place


def _behind_spaces(lines: Text, place: np.ndarray) -> np.ndarray:
    for _ in range(_SPACES_MAX):
        space = (lines.data[place] == _SPACE) & (place < lines.ends)
        if not space.any():
            break
        place = place + space
    return place


def dissect(
    templates: Sequence[Template], text: Text, starts: np.ndarray, ok: np.ndarray
) -> Iterator[tuple[np.ndarray, list[Column]]]:
    """Yield (rows, columns) of each template that reads some lines where ``ok``; the first that fits reads a line."""
    left = np.flatnonzero(ok)
    for template in templates:
        if not len(left):
            return
        rows, columns = template.read(text, starts, left)
        if len(rows):
            yield rows, columns
            left = np.setdiff1d(left, rows, assume_unique=True) if len(rows) < len(left) else left[:0]
