"""Terms of objects with other objects, lists or escapes in them, for many lines at once.

Lines of one program are alike: the same names, the same brackets, other values. What is left of a text when its values
are taken out is its **shape**. Each distinct shape is parsed once and says, for each value in its order, the name that
reaches it and the names of the objects and lists around it; each distinct value in such a place is cut into tokens
once. Nothing else is done line by line.

Quotes tell where texts begin and end, once escapes are out of the way: each becomes one byte (0x01) that cannot stand
in JSON, and is no letter. That is right for the tokens of a plain value. In the JSON text of an object or a list an
escape is read as it is written, so an escape there, or in a name, is left to be parsed with its line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import ELASTIC_TOKEN_CHARS_MAX
from tailrace.query.filters.field import ATTRIBUTES
from tailrace.query.tokens import text_bytes, tokens
from tailrace.store.elastic.term import CUT, term_name, term_token

ESCAPED = "\x01"
_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|.)"
_QUOTE, _COLON, _VALUE = ord('"'), ord(":"), 0x02
_MARKS = np.zeros(256, bool)
_MARKS[np.frombuffer(b"{}[],:", np.uint8)] = True


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands: the escaped name that reaches it (empty: none does) and those of what it is inside of."""

    name: str
    around: tuple[str, ...] = ()


@dataclass(slots=True)
class Shape:
    """The places of the values, in their order, and the terms that do not depend on values; ``good`` if it is known."""

    places: list[Place] = field(default_factory=list)
    terms: list[str] = field(default_factory=list)
    good: bool = True


@dataclass(frozen=True, slots=True)
class Taken:
    """Texts taken apart: for each its shape (an index), for each value its text and the row it is from, in order."""

    shapes: pa.DictionaryArray
    values: pa.StringArray
    counts: np.ndarray


def take_apart(texts: pa.StringArray) -> Taken:
    """Take apart JSON objects, as orjson writes them, without nulls among them."""
    if (text_bytes(texts) == ord("\\")).any():
        texts = pc.replace_substring_regex(texts, _ESCAPE, ESCAPED)
    data = text_bytes(texts)
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    starts = ends - ends[0]
    quotes = np.flatnonzero(data == _QUOTE)
    opens, closes = quotes[::2], quotes[1::2]
    is_key = data[closes + 1] == _COLON
    kept = _MARKS[data] & ~_between(len(data), opens, closes) | _between(len(data), opens[is_key], closes[is_key])
    changes = np.flatnonzero(np.diff(kept, prepend=True, append=True))
    first, behind = changes[::2], changes[1::2]
    values = _strings(data[~kept], behind - first)
    skeleton = np.array(data)
    skeleton[first] = _VALUE
    kept[first] = True
    shapes = _strings(skeleton[kept], np.add.reduceat(kept, starts[:-1], dtype=np.int32))
    counts = np.bincount(np.searchsorted(starts, first, side="right") - 1, minlength=len(texts))
    return Taken(shapes.dictionary_encode(), values, counts)


def _between(size: int, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return a mask of ``size`` bytes: true from each ``first`` to its ``last``."""
    steps = np.zeros(size + 1, np.int8)
    steps[first] = 1
    steps[last + 1] -= 1
    return np.cumsum(steps[:-1], dtype=np.int8).view(bool)


def _strings(data: np.ndarray, lengths: np.ndarray) -> pa.StringArray:
    ends = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.StringArray.from_buffers(len(lengths), pa.py_buffer(ends), pa.py_buffer(data.tobytes()))


@lru_cache(maxsize=4_096)
def shape_of(text: str, labels: frozenset[str]) -> Shape:
    """Return what a shape means for lines of streams with these labels."""
    found = Shape()
    try:
        parsed = orjson.loads(text.replace(chr(_VALUE), "0"))
    except orjson.JSONDecodeError:  # an escape in a name
        found.good = False
        return found
    for key, value in parsed.items():
        name = "" if key in labels or key in ATTRIBUTES else key
        _walk(found, value, (name, "" if "." in key else key), (), (parsed, labels))
    return found


def _walk(found: Shape, value: Any, names: tuple[str, str], around: tuple[str, ...], top: tuple[Any, Any]) -> None:
    """Add the places in a value to a shape; the first of ``names`` reaches it, the second would if nothing hid it."""
    name, path = names
    if not isinstance(value, dict | list):
        found.places.append(Place(term_name(name), around))
        return
    if name:
        written = term_name(name)
        around = (*around, written)
        found.terms.append("=" + written)
        for token in _tokens_of_names(value):
            found.terms += [f"{term_token(token)}~{written}", *([CUT] if len(token) > ELASTIC_TOKEN_CHARS_MAX else [])]
    parsed, labels = top
    if isinstance(value, list):
        for inner in value:
            _walk(found, inner, ("", ""), around, top)
        return
    for key, inner in value.items():
        below = f"{path}.{key}"
        reached = bool(path) and "." not in key
        found.good &= not (reached and below in parsed)  # whether that one is null is not to be seen here
        free = reached and below not in labels and below not in ATTRIBUTES
        _walk(found, inner, (below if free else "", below if reached else ""), around, top)


def _tokens_of_names(value: Any) -> Iterator[str]:
    """Yield the tokens of all names inside a value."""
    if isinstance(value, dict):
        for key in value:
            yield from tokens(key)
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _tokens_of_names(inner)


def places_of(shapes: Sequence[Shape], codes: np.ndarray) -> tuple[list[Place], np.ndarray]:
    """Return the distinct places, and for each value of each text (whose shapes are ``codes``) the index of its own."""
    known: dict[Place, int] = {}
    lists = [[known.setdefault(place, len(known)) for place in shape.places] for shape in shapes]
    every = pa.array(lists, pa.list_(pa.int32())).take(pa.array(codes))
    return list(known), every.flatten().to_numpy()
