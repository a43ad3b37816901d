"""``field:*``: the record has a value there."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailrace.query.plan import Always, Need


@dataclass(frozen=True)
class Exists:
    """There is a text, be it empty."""

    def __str__(self) -> str:
        return "*"

    def mask(self, texts: pa.StringArray) -> np.ndarray:
        """Return which texts are not null."""
        return texts.is_valid().to_numpy(zero_copy_only=False)

    def need(self) -> Need:
        """Return nothing: any text will do."""
        return Always()

    def json_part(self) -> str | None:
        """Return nothing."""
        return None
