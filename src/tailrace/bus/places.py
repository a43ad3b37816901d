"""The headers of a message: where its record was read from. What they mean stands in ``message.py``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import repeat
from typing import Annotated, Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from tailrace.record import Batch, Origin

HEADER = "tailrace"
ORIGINS_HEADER = "tailrace-origins"

Headers = Sequence[tuple[str, bytes | None]] | None
Made = list[tuple[str, bytes]]

_PLACE = re.compile(rb"1 (\d{1,18}) (\d{1,18}) (\d{1,9}) (\d{1,9}) (.+)", re.DOTALL)
_Number = Annotated[int, Meta(ge=0, le=(1 << 63) - 1)]


class LogHeaders(Sequence[Made]):
    """The headers of records whose places are their own offsets in the log ``source``, each made when it is asked for.

    Thousands of lists and tuples that live at once keep Python's garbage collector busy: that cost more than the rest.
    """

    def __init__(self, batch: Batch, source: str) -> None:
        first = pa.array(batch.offsets)
        places = [as_text(first), as_text(pc.add(first, 1))]
        joined = pc.binary_join_element_wise(b"1", *places, b"0 1", source.encode(), b" ")
        self._texts: list[bytes] = joined.to_pylist()

    def __len__(self) -> int:
        return len(self._texts)

    def __getitem__(self, row: Any) -> Any:
        if isinstance(row, slice):
            return [self[one] for one in range(*row.indices(len(self)))]
        return [(HEADER, self._texts[row])]

    def __iter__(self) -> Iterator[Made]:
        return map(list, zip(zip(repeat(HEADER), self._texts)))


def as_text(column: pa.Array) -> pa.BinaryArray:
    """Return numbers or texts as they are written."""
    return column.cast(pa.string()).cast(pa.binary())


def origin_headers(batch: Batch) -> list[Made]:
    """Return the headers of records with the origins of their batch."""
    nowhere = (HEADER, b"1")
    if sum(origin.rows for origin in batch.origins) != len(batch):
        # Which rows they mean cannot be told, only that they are taken when the last one is.
        headers = [[nowhere] for _ in range(len(batch))]
        if batch.origins:
            headers[-1].append(_besides(batch.origins))
        return headers
    headers: list[Made] = []
    waiting: list[Origin] = []  # for a record to travel with
    for origin in batch.origins:
        if origin.note or not origin.rows:
            waiting.append(origin)
        if not origin.rows:
            continue
        head, end = b"1 %d %d " % (origin.first, origin.next), b" %d %b" % (origin.rows, origin.source.encode())
        headers += [
            [(HEADER, b"%b%d%b" % (head, row, end)) if origin.source else nowhere] for row in range(origin.rows)
        ]
        if waiting:
            headers[-1].append(_besides(waiting))
            waiting = []
    if waiting:
        last = headers[-1]
        headers[-1] = [last[0], _besides([*_besides_of(last), *waiting])]
    return headers


def _besides(origins: Sequence[Origin]) -> tuple[str, bytes]:
    listed = [[one.source, one.first, one.next, one.rows, one.note] for one in origins]
    return ORIGINS_HEADER, orjson.dumps(listed)


class Places:
    """What the headers say: which messages claim to be ours, and where each was read from."""

    def __init__(self, headers: Sequence[Headers]) -> None:
        rows = len(headers)
        self.sources: list[str] = []
        self.source = np.full(rows, -1, np.int32)
        self.first, self.next, self.row, self.rows = (np.zeros(rows, np.int64) for _ in range(4))
        try:  # all are mostly ours
            texts = [own[0][1] if own[0][0] == HEADER else b"" for own in headers]  # type: ignore[index]
        except (TypeError, IndexError):
            texts = []
        self.ours = np.ones(rows, bool)
        if texts and self._read(np.arange(rows), texts):
            return
        texts = [_header_of(own) for own in headers]
        self.ours = np.array([text is not None for text in texts], bool)
        some = [(at, text) for at, text in enumerate(texts) if text is not None and text != b"1"]
        if some and not self._read(np.array([at for at, _ in some]), [text for _, text in some]):
            self._read_slowly(some)

    def _read(self, at: np.ndarray, texts: list[bytes | None]) -> bool:
        """Read all of them at once; False when one of them is not as it should be."""
        try:
            given = pa.array(texts, pa.binary()).cast(pa.string())
            parts = pc.split_pattern(given, " ", max_splits=5)
            if given.null_count or pc.any(pc.not_equal(pc.list_value_length(parts), 6)).as_py():
                return False
            words = parts.flatten()
            column = [words.take(pa.array(np.arange(number, len(words), 6))) for number in range(6)]
            good = pc.equal(column[0], "1")
            for one in column[1:5]:
                good = pc.and_(good, pc.ascii_is_decimal(one))
            if not pc.all(good).as_py():
                return False
            first, following, row, rows = (one.cast(pa.int64()).to_numpy() for one in column[1:5])
        except pa.ArrowInvalid:
            return False
        named = column[5].dictionary_encode()
        if "" in named.dictionary.to_pylist() or not _plausible(first, following, row, rows).all():
            return False
        self.sources = named.dictionary.to_pylist()
        self.source[at] = named.indices.to_numpy()
        self.first[at], self.next[at], self.row[at], self.rows[at] = first, following, row, rows
        return True

    def _read_slowly(self, texts: list[tuple[int, bytes]]) -> None:
        """Read them one by one; what is not as it should be is not ours."""
        known: dict[str, int] = {}
        for at, text in texts:
            found = _PLACE.fullmatch(text)
            numbers = [int(number) for number in found.groups()[:4]] if found else []
            if not found or not _plausible(*map(np.int64, numbers)):
                self.ours[at] = False
                continue
            try:
                source = found[5].decode()
            except UnicodeDecodeError:
                self.ours[at] = False
                continue
            self.source[at] = known.setdefault(source, len(known))
            self.first[at], self.next[at], self.row[at], self.rows[at] = numbers
        self.sources = list(known)

    def origins(self, source: np.ndarray, headers: Sequence[Headers]) -> list[Origin]:
        """Return the origins of the rows, neighbours together; ``source`` is -1 where a row has none that counts."""
        if not len(source):
            return []
        first, following, row = self.first, self.next, self.row
        same = (source[1:] == source[:-1]) & (first[1:] == first[:-1]) & (following[1:] == following[:-1])
        same &= row[1:] == row[:-1] + 1
        lone = (self.rows == 1) & (following == first + 1)  # a record of an agent's log: its neighbours follow it
        same |= (source[1:] == source[:-1]) & lone[1:] & lone[:-1] & (first[1:] == following[:-1])
        same |= (source[1:] == -1) & (source[:-1] == -1)
        starts = np.flatnonzero(np.concatenate([[True], ~same]))
        ends = np.append(starts[1:], len(source))
        besides = {at: _besides_of(own) for at, own in enumerate(headers) if own is not None and len(own) > 1}
        found: list[Origin] = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            code = int(source[start])
            count = end - start
            own = Origin("", 0, count, count)
            if code >= 0:
                own = Origin(self.sources[code], int(first[start]), int(following[end - 1]), count)
            noted = [one for at in range(start, end) for one in besides.get(at, ())] if besides else []
            note = ""
            for one in noted:
                if one.rows and (one.source, one.first, one.next) == (own.source, own.first, own.next):
                    note = one.note
                else:
                    found.append(one)
            found.append(Origin(own.source, own.first, own.next, count, note))
        return [one for one in found if one.source]

    def ended(self, headers: Sequence[Headers]) -> list[Origin]:
        """Return the origins whose last row is among these messages, the newest of each source."""
        found: dict[str, Origin] = {}
        for at in np.flatnonzero((self.source >= 0) & (self.row + 1 == self.rows)).tolist():
            source = self.sources[int(self.source[at])]
            found[source] = Origin(source, int(self.first[at]), int(self.next[at]), int(self.rows[at]))
        for own in headers:
            for one in _besides_of(own) if own is not None and len(own) > 1 else ():
                known = found.get(one.source)
                if known is None or one.next >= known.next:
                    found[one.source] = one
        return list(found.values())


def _plausible(first: Any, following: Any, row: Any, rows: Any) -> Any:
    return (first < following) & (row < rows)


def _header_of(headers: Headers) -> bytes | None:
    """Return our header of a message, None when it has none that can be one of ours."""
    if not headers:
        return None
    name, value = headers[0]
    if name != HEADER:
        value = next((value for name, value in headers if name == HEADER), None)
    return value if value and value[:1] == b"1" and value[1:2] in (b"", b" ") else None


def _besides_of(headers: Sequence[tuple[str, bytes | None]]) -> list[Origin]:
    """Return the origins that end with a message; none when they cannot be read."""
    value = next((value for name, value in headers if name == ORIGINS_HEADER), None)
    if not value:
        return []
    try:
        listed = msgspec.json.decode(value, type=list[tuple[str, _Number, _Number, _Number, str]])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return []
    return [Origin(*one) for one in listed]
