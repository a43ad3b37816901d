"""``pay*``, ``*fail?d``: a pattern inside one unbroken piece of text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import all_of, bools, literal, need_of, on_boundaries
from tailrace.query.plan import Need
from tailrace.query.tokens import fold, fold_array, is_ascii

_PARTS = {"*": "[^ \t\n\r\f]*", "?": "[^ \t\n\r\f]"}


@dataclass(frozen=True)
class Wildcard:
    """``*`` is any run of characters that are not white space, ``?`` one of them; case does not matter.

    An end that is a Latin letter, digit or underscore must be the end of a token, as in a phrase; an end that is a
    wildcard may be anywhere.
    """

    pattern: str

    def __str__(self) -> str:
        return self.pattern

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts contain what the pattern describes."""
        texts = fold_array(texts)
        return bools(pc.match_substring_regex(texts, self._ascii_regex if is_ascii(texts) else self._regex))

    def need(self) -> Need:
        """Return the tokens that are whole or begin in the pattern."""
        pieces = re.split(r"[*?]+", self.pattern)
        last = len(pieces) - 1
        return all_of(
            [need_of(piece, bounded_start=i == 0, bounded_end=i == last) for i, piece in enumerate(pieces) if piece]
        )

    def json_part(self) -> str | None:
        """Return nothing: the pieces are not worth a search."""
        return None

    @cached_property
    def _regex(self) -> str:
        return on_boundaries(self._body, fold(self.pattern), in_ascii=False)

    @cached_property
    def _ascii_regex(self) -> str:
        return on_boundaries(self._body, fold(self.pattern), in_ascii=True)

    @cached_property
    def _body(self) -> str:
        return "".join(_PARTS.get(part) or literal(part) for part in re.split(r"([*?])", fold(self.pattern)) if part)
