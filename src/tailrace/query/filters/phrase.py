"""``error``, ``10.0.0.1``, ``"payment failed"``: exact text, whatever its case, on token boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.query.filters.value import bools, literal, need_of, on_boundaries
from tailrace.query.plan import Need
from tailrace.query.text import written
from tailrace.query.tokens import fold, fold_array, is_ascii

_FEW_TEXTS = 8
"""A live log has its lines one by one: making a pattern ready in Arrow, each time, costs more than looking at them."""


@dataclass(frozen=True)
class Phrase:
    """The text stands somewhere, with no Latin letter, digit or underscore glued to an end that is one itself."""

    text: str

    def __str__(self) -> str:
        return written(self.text)

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts contain the phrase."""
        if len(texts) <= _FEW_TEXTS:
            found = [text is not None and self._compiled.search(fold(text)) is not None for text in texts.to_pylist()]
            return np.array(found, bool)
        folded = fold_array(texts)
        # Ignoring case takes Arrow's RE2, whose literal search is three times as fast as its substring search;
        # it may find too much (the long s), so what it finds is looked at again.
        found = bools(pc.match_substring(folded, self._folded, ignore_case=True))
        rows = np.flatnonzero(found)
        if not len(rows):
            return found
        candidates = folded if len(rows) == len(folded) else folded.take(pa.array(rows))
        pattern = self._ascii_pattern if is_ascii(candidates) else self._pattern
        found[rows] = bools(pc.match_substring_regex(candidates, pattern))
        return found

    def need(self) -> Need:
        """Return the tokens of the phrase."""
        return need_of(self.text)

    def json_part(self) -> str | None:
        """Return the phrase as JSON writes it."""
        return orjson.dumps(self._folded).decode()[1:-1]

    @cached_property
    def _folded(self) -> str:
        return fold(self.text)

    @cached_property
    def _pattern(self) -> str:
        return on_boundaries(literal(self._folded), self._folded, in_ascii=False)

    @cached_property
    def _compiled(self) -> Any:
        return re2.compile(self._pattern)

    @cached_property
    def _ascii_pattern(self) -> str:
        return on_boundaries(literal(self._folded), self._folded, in_ascii=True)
