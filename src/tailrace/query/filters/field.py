"""``error``, ``service:checkout``, ``user.id:>5``: a value in one field; without a name, in the message."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailrace.query.filters.phrase import Phrase
from tailrace.query.filters.regex import Regex
from tailrace.query.filters.value import Value, all_of, some_of
from tailrace.query.filters.wildcard import Wildcard
from tailrace.query.plan import Always, Need, OfStream, Token
from tailrace.query.text import written
from tailrace.query.tokens import tokens
from tailrace.record import Batch, Stream

ATTRIBUTES = frozenset({"time", "observed", "level", "message", "trace_id", "fields", "cursor"})
"""What every record has beside its labels and fields: a label of such a name is not reached by it."""


@dataclass(frozen=True)
class Field:
    """The value of the field called ``name`` is meant by ``value``; a record without the field is not."""

    name: str
    value: Value

    def __str__(self) -> str:
        bare = self.name == "message" and isinstance(self.value, Phrase | Wildcard | Regex)
        return str(self.value) if bare else f"{written(self.name)}:{self.value}"

    def matches(self, batch: Batch) -> np.ndarray:
        """Return which rows have such a value; a label is judged once per stream."""
        if self.name not in ATTRIBUTES:
            labels = [stream.labels.get(self.name) for stream in batch.streams]
            if labels and all(label is not None for label in labels):
                return self.value.mask(pa.array(labels, pa.string()))[batch.stream_codes]
        return self.value.mask(batch.column(self.name))

    def need(self) -> Need:
        """Return a stream with such a label, or the tokens of the field's name and value."""
        if self.name in ("message", "trace_id"):
            return self.value.need()
        if self.name in ATTRIBUTES:
            return Always()
        in_fields = all_of([*(Token(token) for token in tokens(self.name)), self.value.need()])
        return some_of([OfStream(self._of_stream), in_fields])

    def _of_stream(self, stream: Stream) -> bool:
        label = stream.labels.get(self.name)
        return label is not None and bool(self.value.mask(pa.array([label], pa.string()))[0])
