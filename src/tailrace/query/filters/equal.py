"""``=checkout``, ``in(a, b)``: the whole value is exactly one of these texts, case and all."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.query.filters.value import all_of, bools, some_of
from tailrace.query.plan import Need, Token
from tailrace.query.text import written
from tailrace.query.tokens import tokens


@dataclass(frozen=True)
class Equal:
    """The text is one of ``texts``, of which there is at least one."""

    texts: tuple[str, ...]

    def __str__(self) -> str:
        if len(self.texts) == 1:
            return "=" + written(self.texts[0])
        return f"in({', '.join(map(written, self.texts))})"

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts are among them."""
        if len(self.texts) == 1:
            return bools(pc.equal(texts, self.texts[0]))
        return bools(pc.is_in(texts, pa.array(self.texts, pa.string())))

    def need(self) -> Need:
        """Return all tokens of one of the texts."""
        return some_of([all_of([Token(token) for token in tokens(text)]) for text in self.texts])

    def json_part(self) -> str | None:
        """Return nothing: the texts are exact, JSON is folded."""
        return None
