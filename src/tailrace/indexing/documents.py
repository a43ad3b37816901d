"""Messages of a topic as lines of a bulk request: for each an action, with the index and the ``_id``, and a source.

Index and ``_id`` follow from the message alone (store/elastic/document.py says how), and the action is ``create``: a
message that comes again, by whatever way, is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from confluent_kafka import Message

from tailrace.bus.brokers import Brokers, places
from tailrace.bus.message import Decoded, Understand, decode
from tailrace.bus.places import Headers
from tailrace.errors import Away
from tailrace.query.filters.value import bools
from tailrace.query.tokens import text_bytes
from tailrace.store.elastic import document


class Documents:
    """Makes documents for the indices of ``prefix``; used by one thread."""

    def __init__(self, brokers: Brokers, prefix: str, retain_ns: int, understand: Understand) -> None:
        self._brokers = brokers
        self._prefix = prefix
        self._retain_ns = retain_ns
        self._understand = understand
        self._epochs: dict[tuple[str, int], int] = {}

    def forget(self, topic: str) -> None:
        """Look again what the topic is: partitions of it were assigned, and it may have been made anew."""
        self._epochs = {place: epoch for place, epoch in self._epochs.items() if place[0] != topic}

    def of(self, topic: str, messages: Sequence[Message]) -> list[bytes]:
        """Return the lines of each message of a topic. Raises TailraceError when Kafka does not say what the topic is.

        All partitions are taken together: what is done once for a batch is a third of the cost of a thousand lines.
        """
        partitions = np.array(list(map(Message.partition, messages)), np.int64)
        numbers, codes = np.unique(partitions, return_inverse=True)
        epochs = np.array([self._epoch(topic, number) for number in numbers.tolist()], np.uint64)[codes]
        values = list(map(Message.value, messages))
        decoded = decode(
            values,
            cast(list[Headers], list(map(Message.headers, messages))),
            np.array(list(map(Message.offset, messages)), np.int64),
            [stamp for _, stamp in map(Message.timestamp, messages)],
            epoch=0,  # those of the rows stand beside
            topic=topic,
            understand=self._understand,
        )
        batch = decoded.batch
        ids = document.ids(batch, decoded.sources, decoded.source, decoded.first, decoded.row, epochs=epochs)
        actions = document.actions(self._prefix, document.days(batch, self._retain_ns), ids)
        sources = _sources(pa.array(values, pa.binary()), decoded, epochs)
        # One of each: what became of a line is said by itself, and it may have to be sent again alone.
        return pc.binary_join_element_wise(actions, *sources, b"\n", b"").to_pylist()

    def _epoch(self, topic: str, partition: int) -> int:
        return self._epochs.get((topic, partition)) or self._ask(topic, partition)

    def _ask(self, topic: str, partition: int) -> int:
        for epoch, place in places(self._brokers.admin(), [topic]).items():
            self._epochs[topic, place.number] = epoch
        if (topic, partition) not in self._epochs:
            raise Away(f"Kafka does not know partition {partition} of {topic!r}", cure="It is asked again.")
        return self._epochs[topic, partition]


def _sources(values: pa.BinaryArray, decoded: Decoded, epochs: np.ndarray) -> tuple[pa.BinaryArray, pa.BinaryArray]:
    """Return the document of each row, as a beginning and an end.

    A message of ours is the beginning of its document as it is, without its brace. It has no newline outside of its
    texts, which would be the end of a line: ``decode`` looks for what orjson does not write only in ``fields``, so here
    is looked again.
    """
    begins, ends = pc.binary_slice(values, 0, -1), document.search_parts(decoded.batch, epochs)
    usable = decoded.own & _are_lines(values)
    if usable.all():
        return begins, ends
    odd = np.flatnonzero(~usable)
    others = document.documents(decoded.batch.take(odd), epochs[odd])
    mask = pa.array(~usable)
    nothing = pa.array([b""] * len(odd), pa.binary())
    return pc.replace_with_mask(begins, mask, others), pc.replace_with_mask(ends, mask, nothing)


def _are_lines(values: pa.BinaryArray) -> np.ndarray:
    """Tell of each value whether it is a line that ends with a brace."""
    lines = bools(pc.ends_with(values, "}"))
    if (text_bytes(values) == ord("\n")).any():
        lines &= ~bools(pc.match_substring(values, "\n"))
    return lines
