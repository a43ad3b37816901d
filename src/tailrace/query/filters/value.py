"""Values: what a filter asks of one text. A filter chooses the texts (a field, every field), a value judges them."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.query.plan import All, Always, Need, Never, Prefix, Some, Token
from tailrace.query.tokens import CJK, CJK_CLASS, LATIN, WORD_CLASS, fold, run_tokens, runs

BEFORE = f"(?:^|[^{WORD_CLASS}]|[{CJK_CLASS}])"
AFTER = f"(?:$|[^{WORD_CLASS}]|[{CJK_CLASS}])"
"""In RE2: no Latin letter, digit or underscore stands here."""
EDGE = r"\b"
"""The same beside a word character where all text is ASCII: RE2 makes it ready a hundred times faster."""
NUMBER = r"^-?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"


class Value(Protocol):
    """A condition on one text; ``str`` is what stands behind ``field:``."""

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return a bool array: which texts are meant. A null never is."""
        ...

    def need(self) -> Need:
        """Return what the tokens of any text that is meant must hold."""
        ...

    def json_part(self) -> str | None:
        """Return what the folded JSON of an object with such a text in it must contain, or None if unknown."""
        ...


def bools(array: Any) -> np.ndarray:
    """Return an Arrow bool array as numpy; null is false."""
    # For a few records the call costs more than a search for a word.
    filled = pc.fill_null(array, False) if array.null_count else array
    return filled.to_numpy(zero_copy_only=False)


def numbers(texts: pa.StringArray) -> np.ndarray:
    """Return the texts as float64; NaN where a text is no JSON number."""
    plain = pc.if_else(pc.match_substring_regex(texts, NUMBER), texts, pa.scalar(None, pa.string()))
    return pc.fill_null(pc.cast(plain, pa.float64()), float("nan")).to_numpy(zero_copy_only=False)


def literal(text: str) -> str:
    """Return the RE2 pattern of exactly this text."""
    return re2.escape(text)


def starts_word(folded: str) -> bool:
    """Tell whether a text begins with a Latin word character, which needs a boundary before it."""
    found = runs(folded[:1])
    return bool(found) and found[0][0] == LATIN


def ends_word(folded: str) -> bool:
    """Tell whether a text ends with a Latin word character, which needs a boundary after it."""
    return starts_word(folded[-1:])


def on_boundaries(body: str, folded: str, *, in_ascii: bool) -> str:
    """Return the RE2 pattern ``body``, which describes ``folded``, with boundaries where that begins or ends a word.

    ``in_ascii`` says that only ASCII text is searched: Arrow makes a pattern ready again for every array, so for a few
    records that is all the cost.
    """
    before, after = (EDGE, EDGE) if in_ascii else (BEFORE, AFTER)
    return (before if starts_word(folded) else "") + body + (after if ends_word(folded) else "")


def need_of(text: str, *, bounded_start: bool = True, bounded_end: bool = True) -> Need:
    """Return the tokens that a text must hold to contain this one.

    ``bounded_*`` says that no Latin word character may stand beside that end. A CJK run may always go on there: only
    its pairs are certain.
    """
    folded = fold(text)
    needs: list[Need] = []
    for kind, start, stop in runs(folded):
        run = folded[start:stop]
        if kind == CJK:
            needs += [Token(pair) for pair in run_tokens(CJK, run)[:-1]] or [Prefix(run)]
        elif start > 0 or bounded_start:
            needs.append(Token(run) if stop < len(folded) or bounded_end else Prefix(run))
    return all_of(needs)


def all_of(needs: list[Need]) -> Need:
    """Return the need of all of these, as small as can be."""
    kept = list(dict.fromkeys(need for need in needs if need != Always()))
    if Never() in kept:
        return Never()
    if not kept:
        return Always()
    return kept[0] if len(kept) == 1 else All(tuple(kept))


def some_of(needs: list[Need]) -> Need:
    """Return the need of at least one of these, as small as can be."""
    kept = list(dict.fromkeys(need for need in needs if need != Never()))
    if Always() in kept:
        return Always()
    if not kept:
        return Never()
    return kept[0] if len(kept) == 1 else Some(tuple(kept))
