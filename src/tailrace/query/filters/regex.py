"""``/time(d )?out/i``: a regular expression in RE2's syntax, unanchored, in linear time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import bools
from tailrace.query.plan import Always, Need


@dataclass(frozen=True)
class Regex:
    """The pattern is found somewhere in the text. ``pattern`` is what stands between the slashes."""

    pattern: str
    ignore_case: bool = False

    def __str__(self) -> str:
        return f"/{self.pattern}/{'i' if self.ignore_case else ''}"

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts hold a match. Raises pa.ArrowInvalid when RE2 does not take the pattern."""
        return bools(pc.match_substring_regex(texts, self.pattern, ignore_case=self.ignore_case))

    def need(self) -> Need:
        """Return nothing: what a pattern needs is not looked for."""
        return Always()

    def json_part(self) -> str | None:
        """Return nothing."""
        return None
