"""JSON lines of one shape, taken apart all at once: where their values are, without parsing each line.

A *shape* is everything in a line but its values: keys, their order, nesting, punctuation, spaces. A program writes few.
In a block of lines all quotes are found at once. Lines with as many quotes as a *template*, one of them that orjson
has parsed, may be of its shape: then the n-th quote is the same quote everywhere, the values lie between known quotes,
and what stands between the values (the *gaps*) is what the template has there, byte for byte. That is compared, eight
bytes of a column of lines at a time. So what fits is proven to be a JSON object with these keys, but for one thing: a
value without quotes has to be a number, ``true``, ``false`` or ``null``; ``canonical`` tells.

Left out, because quotes do not tell enough: lines with a backslash or a control character; shapes with two values
without quotes and no quote between them (a list of numbers); objects with a key twice; templates that orjson would
write otherwise but for the spaces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import JSON_SHAPE_ROWS_MIN, JSON_SHAPES_MAX

_TOKEN = re.compile(rb'(?P<space>\s+)|(?P<string>"[^"]*")|[{}\[\]:,]|(?P<scalar>[^\s{}\[\]:,"]+)')
_OPENS, _CLOSES = (b"{", b"["), (b"}", b"]")
_WORD_BYTES = 8
_QUOTE, _BACKSLASH, _SPACE, _ZERO = b'"\\ 0'
_LATEST_QUOTES_MAX = 512
_latest: dict[int, Shape] = {}
"""The newest shape of so many quotes: only saves making the same one again (0.2 ms), whoever asks."""
_DIGITS_MAX = 18
"""So many digits fit into an int64, whatever they are."""
_CANONICAL = (
    r"^(?:true|false|null|0|-?[1-9]\d{0,17}"
    r"|-?[1-9]\d{0,8}\.(?:0|\d{0,5}[1-9])"
    r"|0\.0|-?0\.\d{0,3}[1-9](?:\d?[1-9])?)$"
)
"""What orjson writes as it was: whole numbers of an int64, and decimals of at most 15 digits without a spare zero (a
double gives those back as they were), neither so large nor so small that they are written with an exponent."""


@dataclass(frozen=True, slots=True)
class Value:
    """A value in the template's bytes [start, end), between the quotes ``quote`` and ``quote + 1``.

    It begins ``before`` bytes behind the first and ends ``after`` bytes before the second, or before the line's end.
    """

    start: int
    end: int
    quoted: bool
    quote: int
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Pair:
    """A key of the outermost object and its value, the template's bytes [start, end).

    ``value`` is the place among the shape's values of one that is neither object nor list, else None.
    """

    key: str
    start: int
    end: int
    value: int | None


@dataclass(frozen=True, slots=True)
class Block:
    """Lines as bytes: ``data`` (eight more at its end), where each begins and ends, and where the quotes are."""

    data: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    quotes: np.ndarray
    first_quotes: np.ndarray

    @staticmethod
    def of(lines: pa.StringArray) -> Block:
        """Take the bytes of the lines (a copy)."""
        _, offsets, buffer = lines.buffers()
        places = np.frombuffer(offsets, np.int32)[lines.offset : lines.offset + len(lines) + 1].astype(np.int64)
        first, last = int(places[0]), int(places[-1])
        data = np.zeros(last - first + _WORD_BYTES, np.uint8)
        data[: last - first] = np.frombuffer(buffer, np.uint8)[first:last]
        places -= first
        quotes = np.flatnonzero(data == _QUOTE)
        return Block(data, places[:-1], places[1:], quotes, np.searchsorted(quotes, places))

    def usable(self) -> np.ndarray:
        """Return which lines have no byte that lets a quote be something else."""
        usable = np.ones(len(self.begins), bool)
        text = self.data[:-_WORD_BYTES]
        for bad in (text == _BACKSLASH, text < _SPACE):
            if bad.any():
                usable[np.searchsorted(self.ends, np.flatnonzero(bad), "right")] = False
        return usable

    def words(self) -> np.ndarray:
        """Return the eight bytes from each byte on as a number."""
        return np.ndarray((len(self.data) - _WORD_BYTES + 1,), "<u8", self.data, strides=(1,))

    def cut(self, starts: np.ndarray, ends: np.ndarray) -> pa.StringArray:
        """Return the texts [start, end), which follow each other in the data."""
        borders = np.empty(2 * len(starts), np.int32)
        borders[0::2], borders[1::2] = starts, ends
        buffers = [None, pa.py_buffer(borders), pa.py_buffer(self.data)]
        between = pa.Array.from_buffers(pa.string(), len(borders) - 1, buffers)
        return between.take(pa.array(np.arange(0, len(borders) - 1, 2)))


class Shape:
    """What lines have in common. Make one with ``Shape.of``; immutable."""

    def __init__(self, line: bytes, values: list[Value], pairs: list[Pair], spaces: list[tuple[int, int]]) -> None:
        self.line = line
        self.values = values
        self.pairs = pairs
        self.spaces = spaces
        edges = [0, *(edge for value in values for edge in (value.start, value.end)), len(line)]
        self.quotes = line.count(b'"')
        self._gaps = [line[start:end] for start, end in zip(edges[0::2], edges[1::2], strict=True)]

    @staticmethod
    def of(line: bytes) -> Shape | None:
        """Return the shape of a line; None for one that cannot be a template (see the head of this module)."""
        try:
            record = orjson.loads(line)
            canonical = orjson.dumps(record)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError):
            return None
        tokens = list(_TOKEN.finditer(line))
        words = [token for token in tokens if token.lastgroup != "space"]
        if not isinstance(record, dict) or b"\\" in line or b"".join(word[0] for word in words) != canonical:
            return None
        values = _values(words, len(line))
        if not values:
            return None
        spaces = [token.span() for token in tokens if token.lastgroup == "space"]
        return Shape(line, values, list(_pairs(words, values)), spaces)

    def literal(self, start: int, end: int) -> bytes:
        """Return bytes of the template, without the spaces between tokens."""
        kept = [start, *(edge for span in self.spaces if start <= span[0] < end for edge in span), end]
        return b"".join(self.line[a:b] for a, b in zip(kept[0::2], kept[1::2], strict=True))

    def fit(self, block: Block, rows: np.ndarray) -> Rows:
        """Return those of the rows that have this shape. All of them must have as many quotes as the template."""
        found = self._measured(block, rows)
        words = block.words()
        ok = np.ones(len(found.rows), bool)
        for gap, begin in zip(self._gaps, [found.begins, *found.ends], strict=True):
            for place, mask, word in _words_of(gap):
                found_words = words[begin + place] if place else words[begin]
                ok &= (found_words if mask is None else found_words & mask) == word
        return found if ok.all() else found.only(ok)

    def _measured(self, block: Block, rows: np.ndarray) -> Rows:
        """Return the rows in which the quotes leave as much room for the gaps as they take."""
        if len(rows) == len(block.begins):
            quotes = block.quotes.reshape(len(rows), -1)
            begins, line_ends = block.begins, block.ends
        else:
            quotes = block.quotes[block.first_quotes[rows, None] + np.arange(self.quotes)]
            begins, line_ends = block.begins[rows], block.ends[rows]
        starts = np.empty((len(self.values), len(rows)), np.int64)
        ends = np.empty_like(starts)
        ok = np.ones(len(rows), bool)
        before = begins
        for place, (value, gap) in enumerate(zip(self.values, self._gaps, strict=False)):
            behind = quotes[:, value.quote + 1] if value.quote + 1 < self.quotes else line_ends
            np.add(quotes[:, value.quote], value.before, out=starts[place])
            np.subtract(behind, value.after, out=ends[place])
            ok &= starts[place] - before == len(gap)
            before = ends[place]
            if not value.quoted:
                ok &= before > starts[place]
        ok &= line_ends - before == len(self._gaps[-1])
        found = Rows(block, self, rows, begins, starts, ends)
        return found if ok.all() else found.only(ok)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a block that have one shape, and where their values are: ``starts[value][row]``, ``ends[value][row]``."""

    block: Block
    shape: Shape
    rows: np.ndarray
    begins: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def only(self, mask: np.ndarray) -> Rows:
        """Return those where ``mask`` is true."""
        return Rows(
            self.block, self.shape, self.rows[mask], self.begins[mask], self.starts[:, mask], self.ends[:, mask]
        )

    def texts(self, value: int) -> pa.StringArray:
        """Return a value of each row."""
        return self.block.cut(self.starts[value], self.ends[value])

    def at(self, place: int) -> np.ndarray:
        """Return where each row has what stands at ``place`` of the template, between values."""
        before = [number for number, value in enumerate(self.shape.values) if value.end <= place]
        if not before:
            return self.begins + place
        return self.ends[before[-1]] + (place - self.shape.values[before[-1]].end)

    def canonical(self, value: int) -> np.ndarray:
        """Return in which rows a value without quotes is one, and is written as orjson writes it."""
        lengths = self.ends[value] - self.starts[value]
        texts = self.texts(value)
        if lengths.max() <= _DIGITS_MAX:
            digits = np.frombuffer(texts.buffers()[2], np.uint8)[: lengths.sum()]
            first = self.block.data[self.starts[value]]
            if (digits - np.uint8(_ZERO) <= 9).all() and ((first != _ZERO) | (lengths == 1)).all():
                return np.ones(len(self), bool)
        return pc.match_substring_regex(texts, _CANONICAL).to_numpy(zero_copy_only=False)


def rows_by_shape(lines: pa.StringArray) -> Iterator[Rows]:
    """Yield the lines that have their shape in common with some others; what is left out has to be parsed."""
    if len(lines) < JSON_SHAPE_ROWS_MIN:
        return
    block = Block.of(lines)
    counts = np.where(block.usable(), np.diff(block.first_quotes), 0)
    waiting = np.ones(len(lines), bool)
    for count in np.flatnonzero(np.bincount(counts)[1:] >= JSON_SHAPE_ROWS_MIN) + 1:
        rows = np.flatnonzero(counts == count)
        shape = _latest.get(int(count))
        for _ in range(JSON_SHAPES_MAX):
            if shape is None:
                shape = Shape.of(block.data[block.begins[rows[0]] : block.ends[rows[0]]].tobytes())
            if shape is None:
                rows = rows[1:]
            elif len(found := shape.fit(block, rows)):
                if count < _LATEST_QUOTES_MAX:
                    _latest[int(count)] = shape
                yield found
                waiting[found.rows] = False
                rows = rows[waiting[rows]]
            if len(rows) < JSON_SHAPE_ROWS_MIN:
                break
            shape = None


def _values(words: list[re.Match[bytes]], length: int) -> list[Value]:
    """Return the values among the tokens of a line; none when quotes do not tell them apart."""
    values: list[Value] = []
    edges = [edge for word in words if word.lastgroup == "string" for edge in (word.start(), word.end() - 1)]
    edges.append(length)
    quote = 0
    for word, following in zip(words, [*words[1:], None], strict=True):
        start, end = word.span()
        if word.lastgroup == "string":
            if following is None or following[0] != b":":
                values.append(Value(start + 1, end - 1, True, quote, 1, 0))
            quote += 2
        elif word.lastgroup == "scalar":
            if values and values[-1].quote == quote - 1:
                return []
            values.append(Value(start, end, False, quote - 1, start - edges[quote - 1], edges[quote] - end))
    return values


def _pairs(words: list[re.Match[bytes]], values: list[Value]) -> Iterator[Pair]:
    """Yield the pairs of the outermost object."""
    places = {value.start - value.quoted: place for place, value in enumerate(values)}
    depth, key = 0, 0
    for number, word in enumerate(words):
        depth += (word[0] in _OPENS) - (word[0] in _CLOSES)
        if depth == 1 and word[0] == b":":
            key = number - 1
        elif (depth == 1 and word[0] == b",") or depth == 0:
            value = places.get(words[key + 2].start())
            yield Pair(words[key][0][1:-1].decode(), words[key].start(), words[number - 1].end(), value)


def _words_of(text: bytes) -> Iterator[tuple[int, np.uint64 | None, np.uint64]]:
    """Yield (place, mask, number) for each eight bytes that, compared, prove the text; the last ones may overlap."""
    if len(text) < _WORD_BYTES:
        yield 0, np.uint64((1 << 8 * len(text)) - 1), np.uint64(int.from_bytes(text, "little"))
        return
    for place in [*range(0, len(text) - _WORD_BYTES, _WORD_BYTES), len(text) - _WORD_BYTES]:
        word = int.from_bytes(text[place : place + _WORD_BYTES], "little")
        yield place, None, np.uint64(word)
