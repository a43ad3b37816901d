"""Many queries over one batch: each finds what it would by itself, what they have in common is done once. Pure.

What is common. The words that queries ask for are looked up in the batch together: its text is cut into tokens once,
of which only those are kept that somebody asks for, each with its rows. The parts of filters that several queries have
(``service:shop``) are evaluated once. Each record that anybody finds is encoded, and its hash taken, once.

A query is answered in three steps, each of which may leave nothing over, and most queries find nothing in most batches:

    words   Parts that are one token of the message, or one of several, are answered by the index exactly: a phrase
            that is one token stands on token boundaries, so it is found exactly where it is a token.
    need    What the other parts need (plan.py) of a block is asked of each row, which is a block of one: rows left.
    rest    The other parts look at the rows that are left, or at the whole batch when these are many.

Nothing is kept from batch to batch but, in a ``Plan``, which streams fit its query.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import TOGETHER_MASKS_BYTES, TOGETHER_QUERIES_MIN, TOGETHER_ROWS, TOGETHER_STREAMS
from tailrace.query.filters import Filter
from tailrace.query.filters.field import Field
from tailrace.query.filters.logic import And, Everything, Or, conjunction
from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.value import all_of
from tailrace.query.found import NOTHING_FOUND, Found, found_in, look
from tailrace.query.plan import All, Always, InTime, Need, Never, OfLevel, OfStream, Prefix, Some, Token
from tailrace.query.query import Query
from tailrace.query.tokens import fold, indexed_texts, placed_tokens
from tailrace.record import Batch

_PREFIX = 16
"""Prefixes are looked up by so many characters at most, and by a power of two: a need may be too weak."""
_NO_ROWS = np.zeros(0, np.int64)

Rows = np.ndarray | None
"""Row numbers, ascending; None: all."""
_Hit = tuple[int, Query, np.ndarray]
"""The number of a query, the query, and the rows that its filter means."""


class Plan:
    """One query, made ready to be answered together with others: once, when there first are others."""

    __slots__ = ("is_ready", "need", "prefixes", "query", "rest", "streams", "tokens", "words")

    def __init__(self, query: Query) -> None:
        """Note a query that has passed ``check_live``."""
        self.query = query
        self.is_ready = False

    def make_ready(self) -> None:
        """Take the filter apart."""
        wanted = self.query.filter
        parts = wanted.filters if isinstance(wanted, And) else (wanted,)
        words = [_words(part) for part in parts]
        rest = [part for part, exact in zip(parts, words, strict=True) if not exact and part != Everything()]
        self.words = [exact for exact in words if exact]
        self.rest = {str(part): part for part in rest}
        self.need = all_of([part.need() for part in rest])
        leaves = list(_leaves(self.need))
        self.tokens = {leaf.text for leaf in leaves if isinstance(leaf, Token)}
        self.prefixes = {_begun(leaf) for leaf in leaves if isinstance(leaf, Prefix)}
        self.streams = {leaf: _Streams(leaf) for leaf in leaves if isinstance(leaf, OfStream)}
        self.is_ready = True


class _Streams:
    """Which of the streams that came by, as JSON, fit one need: a stream is judged once."""

    __slots__ = ("_known", "_need", "fit")

    def __init__(self, need: OfStream) -> None:
        self._need = need
        self._known: set[str] = set()
        self.fit: set[str] = set()

    def of(self, index: _Index) -> set[str]:
        """Return the streams of a batch that fit, or may be in it."""
        if not index.stream_texts <= self._known:
            if len(self._known) > TOGETHER_STREAMS:
                self._known, self.fit = set(), set()
            for stream in index.batch.streams:
                if stream.json not in self._known:
                    self._known.add(stream.json)
                    if self._need.test(stream):
                        self.fit.add(stream.json)
        return self.fit & index.stream_texts


def look_together(plans: Sequence[Plan], batch: Batch) -> Iterator[list[Found]]:
    """Yield what each query finds in a batch that a log has taken, as ``look`` does for one.

    The queries come in their order, as many at a time as find TOGETHER_ROWS records: what is held at once is bounded.
    """
    if len(plans) < TOGETHER_QUERIES_MIN:
        yield [look(plan.query, batch) for plan in plans]
        return
    for plan in plans:
        if not plan.is_ready:
            plan.make_ready()
    index = _Index(plans, batch)
    encoded = _Encoded(batch)
    every = np.arange(len(batch))
    hits: list[_Hit] = []
    first = count = 0
    for number, plan in enumerate(plans):
        rows = index.rows(plan)
        if _none(rows):
            continue
        hits.append((number - first, plan.query, every if rows is None else rows))
        count += len(hits[-1][2])
        if count >= TOGETHER_ROWS:
            yield encoded.found(hits, number + 1 - first)
            hits, first, count = [], number + 1, 0
    yield encoded.found(hits, len(plans) - first)


class _Encoded:
    """The records of one batch as clients get them, and their hashes, of those that anybody has found so far."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._records: list[bytes] = [b""] * len(batch)
        self._hashes = np.zeros(len(batch), np.uint64)
        self._is_known = np.zeros(len(batch), bool)

    def found(self, hits: list[_Hit], queries: int) -> list[Found]:
        """Return what each of so many queries found, when only these found something."""
        batch = self._batch
        if batch.offsets is None:
            raise ValueError("no log has taken this batch yet, so its records have no cursors")
        rows = np.concatenate([_NO_ROWS, *(rows for _, query, rows in hits if not query.pipes)])
        self._encode(rows)
        records = [self._records[row] for row in rows.tolist()]
        offsets, levels, hashes_of = batch.offsets[rows], batch.numpy("level")[rows], self._hashes[rows]
        made = [NOTHING_FOUND] * queries
        first = 0
        for number, query, its_rows in hits:
            if query.pipes:
                made[number] = found_in(query.piped(batch.take(its_rows)), batch)
            else:
                own = slice(first, first := first + len(its_rows))
                made[number] = Found(offsets[own], records[own], levels[own], hashes_of[own])
        return made

    def _encode(self, rows: np.ndarray) -> None:
        fresh = np.zeros(len(self._batch), bool)
        fresh[rows] = True
        fresh &= ~self._is_known
        new = np.flatnonzero(fresh)
        if not len(new):
            return
        found = found_in(self._batch.take(new), self._batch)
        self._hashes[new] = found.hashes
        self._is_known |= fresh
        for row, record in zip(new.tolist(), found.records, strict=True):
            self._records[row] = record


class _Index:
    """One batch, and where what the plans ask for is in it."""

    def __init__(self, plans: Sequence[Plan], batch: Batch) -> None:
        self.batch = batch
        words = set[str]().union(*[choice for plan in plans for choice in plan.words])
        asked = set[str]().union(*[plan.tokens for plan in plans])
        prefixes = set[str]().union(*[plan.prefixes for plan in plans])
        texts = map(_cut, indexed_texts(batch))
        message = [next(texts)] if words or asked or prefixes else []
        everything = [*message, *texts] if asked or prefixes else []
        self._words = _rows_of(words, message, len(batch))
        self._tokens = _rows_of(asked, everything, len(batch))
        self._prefixes: dict[str, np.ndarray] = {}
        for length in {len(prefix) for prefix in prefixes}:
            begun = [(pc.utf8_slice_codeunits(found, 0, length), rows) for found, rows in everything]
            self._prefixes |= _rows_of({one for one in prefixes if len(one) == length}, begun, len(batch))
        self.stream_texts = set(batch.array("stream").dictionary.to_pylist())
        self._parts = Counter(text for plan in plans for text in plan.rest)
        self._masks: dict[str, np.ndarray] = {}
        times = batch.numpy("time")
        self._times = int(times.min()), int(times.max())
        self._levels = set(np.unique(batch.numpy("level")).tolist())

    def rows(self, plan: Plan) -> Rows:
        """Return the rows that the filter of a plan's query means."""
        rows: Rows = None
        for choice in plan.words:
            rows = self._both(rows, self._of_words(choice))
            if _none(rows):
                return rows
        if not plan.rest:
            return rows
        rows = self._both(rows, self._may(plan, plan.need))
        alone: list[Filter] = []
        for text, part in plan.rest.items():
            if self._parts[text] == 1:
                alone.append(part)
            elif not _none(rows):
                mask = self._mask(text, part)
                rows = np.flatnonzero(mask) if rows is None else rows[mask[rows]]
        if not alone or _none(rows):
            return rows
        return self._looked_at(rows, conjunction(alone))

    def _of_words(self, choice: tuple[str, ...]) -> Rows:
        if len(choice) == 1:
            return self._words.get(choice[0], _NO_ROWS)
        return self._any([self._words.get(word, _NO_ROWS) for word in choice])

    def _looked_at(self, rows: Rows, wanted: Filter) -> np.ndarray:
        """Return those of some rows that a filter means."""
        if rows is None:
            return np.flatnonzero(wanted.matches(self.batch))
        if 2 * len(rows) > len(self.batch):
            return rows[wanted.matches(self.batch)[rows]]
        return rows[wanted.matches(self.batch.take(rows))]

    def _mask(self, text: str, part: Filter) -> np.ndarray:
        """Return which rows a part means that several plans have."""
        mask = self._masks.get(text)
        if mask is None:
            mask = part.matches(self.batch)
            if (len(self._masks) + 1) * len(mask) <= TOGETHER_MASKS_BYTES:
                self._masks[text] = mask
        return mask

    def _may(self, plan: Plan, need: Need) -> Rows:
        """Return the rows that, as blocks of one row, hold what is needed."""
        match need:
            case Always():
                return None
            case Never():
                return _NO_ROWS
            case All(needs):
                rows: Rows = None
                for one in needs:
                    rows = self._both(rows, self._may(plan, one))
                return rows
            case Some(needs):
                return self._any([self._may(plan, one) for one in needs])
            case OfStream():
                return self._of_streams(plan.streams[need].of(self))
            case _:
                return self._holding(need)

    def _holding(self, need: Token | Prefix | InTime | OfLevel) -> Rows:
        match need:
            case Token(text):
                return self._tokens.get(text, _NO_ROWS)
            case Prefix():
                return self._prefixes.get(_begun(need), _NO_ROWS)
            case OfLevel(levels):
                if self._levels <= levels:
                    return None
                return np.flatnonzero(np.isin(self.batch.numpy("level"), list(levels)))
            case InTime(first_ns, last_ns):
                oldest, newest = self._times
                if first_ns <= oldest and newest <= last_ns:
                    return None
                times = self.batch.numpy("time")
                return np.flatnonzero((times >= first_ns) & (times <= last_ns))

    def _of_streams(self, streams: set[str]) -> Rows:
        if streams == self.stream_texts:
            return None
        if not streams:
            return _NO_ROWS
        names = self.batch.array("stream").dictionary.to_pylist()
        fits = np.array([name in streams for name in names])
        return np.flatnonzero(fits[self.batch.stream_codes])

    def _both(self, one: Rows, other: Rows) -> Rows:
        if one is None or other is None:
            return other if one is None else one
        if not len(one) or not len(other):
            return _NO_ROWS
        mask = np.zeros(len(self.batch), bool)
        mask[other] = True
        return one[mask[one]]

    def _any(self, choices: list[Rows]) -> Rows:
        mask = np.zeros(len(self.batch), bool)
        for rows in choices:
            if rows is None:
                return None
            mask[rows] = True
        return np.flatnonzero(mask)


def _none(rows: Rows) -> bool:
    return rows is not None and not len(rows)


def _words(part: Filter) -> tuple[str, ...]:
    """Return the tokens of which a message must have one, and need not have more, to be meant; or nothing.

    One character of a CJK run is not looked up: it may be within a pair.
    """
    if isinstance(part, Or):
        choices = [_words(one) for one in part.filters]
        return tuple(word for choice in choices for word in choice) if all(choices) else ()
    if isinstance(part, Field) and part.name == "message" and isinstance(part.value, Phrase):
        need = part.value.need()
        if isinstance(need, Token) and need.text == fold(part.value.text):
            return (need.text,)
    return ()


def _begun(need: Prefix) -> str:
    return need.text[: min(_PREFIX, 1 << len(need.text).bit_length() - 1)]


def _leaves(need: Need) -> Iterable[Need]:
    if isinstance(need, All | Some):
        for one in need.needs:
            yield from _leaves(one)
    else:
        yield need


def _cut(placed: tuple[pa.StringArray, np.ndarray]) -> tuple[pa.StringArray, np.ndarray]:
    """Return the tokens of texts, and the row of each."""
    texts, rows = placed
    found, at = placed_tokens(texts)
    return found, rows[at]


def _rows_of(
    wanted: set[str], cut: Sequence[tuple[pa.StringArray, np.ndarray]], rows_in_all: int
) -> dict[str, np.ndarray]:
    """Return the rows, ascending and distinct, of each wanted text that is among the tokens that were cut."""
    if not wanted or not rows_in_all:
        return {}
    names = list(wanted)
    value_set = pa.array(names, pa.string())
    keys: list[np.ndarray] = []
    for found, rows in cut:
        numbers = pc.fill_null(pc.index_in(found, value_set), -1).to_numpy()
        hits = np.flatnonzero(numbers >= 0)
        keys.append(numbers[hits].astype(np.int64) * rows_in_all + rows[hits])
    numbers, rows = np.divmod(np.unique(np.concatenate(keys)), rows_in_all)
    present, firsts = np.unique(numbers, return_index=True)
    bounds = pairwise([*firsts.tolist(), len(rows)])
    return {names[number]: rows[first:end] for number, (first, end) in zip(present.tolist(), bounds, strict=True)}
