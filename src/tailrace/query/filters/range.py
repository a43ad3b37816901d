"""``>=500``, ``[1 TO 5]``: the value is a number between two others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailrace.query.filters.value import numbers
from tailrace.query.plan import Always, Need
from tailrace.query.text import number_text

INFINITY = float("inf")


@dataclass(frozen=True)
class Range:
    """The text is a JSON number from ``low`` to ``high``; ``*_open`` leaves that end itself out."""

    low: float = -INFINITY
    high: float = INFINITY
    low_open: bool = False
    high_open: bool = False

    def __str__(self) -> str:
        if self.high == INFINITY and self.low != -INFINITY:
            return (">" if self.low_open else ">=") + number_text(self.low)
        if self.low == -INFINITY and self.high != INFINITY:
            return ("<" if self.high_open else "<=") + number_text(self.high)
        low, high = ("*" if abs(end) == INFINITY else number_text(end) for end in (self.low, self.high))
        return f"[{low} TO {high}]"

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts are such numbers."""
        values = numbers(texts)
        above = values > self.low if self.low_open else values >= self.low
        below = values < self.high if self.high_open else values <= self.high
        return above & below

    def need(self) -> Need:
        """Return nothing: a number is written in many ways."""
        return Always()

    def json_part(self) -> str | None:
        """Return nothing."""
        return None
