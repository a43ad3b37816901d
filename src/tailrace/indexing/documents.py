"""Messages of a topic as lines of a bulk request: for each an action, with the index and the ``_id``, and a source.

Index and ``_id`` follow from the message alone (store/elastic/document.py says how), and the action is ``create``: a
message that comes again, by whatever way, is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from confluent_kafka import Message

from tailrace.bus.brokers import Brokers, places
from tailrace.bus.message import Decoded, Understand, decode
from tailrace.bus.places import Headers
from tailrace.errors import Away
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
        days = document.days(batch, self._retain_ns).tolist()
        heads = {day: self._head(day) for day in set(days)}
        ids = document.ids(batch, decoded.sources, decoded.source, decoded.first, decoded.row, epochs=epochs)
        begins, ends = _sources(values, decoded, epochs)
        # A Python loop over lines: what became of each is said by itself, and some may have to be sent again alone.
        return [
            b"".join((heads[day], name.encode(), b'"}}\n', begin, end, b"\n"))
            for day, name, begin, end in zip(days, ids, begins, ends, strict=True)
        ]

    def _epoch(self, topic: str, partition: int) -> int:
        return self._epochs.get((topic, partition)) or self._ask(topic, partition)

    def _ask(self, topic: str, partition: int) -> int:
        for epoch, place in places(self._brokers.admin(), [topic]).items():
            self._epochs[topic, place.number] = epoch
        if (topic, partition) not in self._epochs:
            raise Away(f"Kafka does not know partition {partition} of {topic!r}", cure="It is asked again.")
        return self._epochs[topic, partition]

    def _head(self, day: int) -> bytes:
        return b'{"create":{"_index":"%b","_id":"' % document.index_name(self._prefix, day).encode()


def _sources(values: list[bytes | None], decoded: Decoded, epochs: np.ndarray) -> tuple[list[bytes], list[bytes]]:
    """Return the document of each row, as a beginning and an end.

    A message of ours is the beginning of its document as it is. It has no newline outside of its texts, which would be
    the end of a line: ``decode`` looks for what orjson does not write only in ``fields``, so here is looked again.
    """
    ends = document.search_parts(decoded.batch, epochs)
    if decoded.own.all() and _are_lines(cast(list[bytes], values)):
        return [value[:-1] for value in values if value], ends
    own = decoded.own.tolist()
    begins = [value if mine and value and _are_lines([value]) else b"" for mine, value in zip(own, values, strict=True)]
    odd = np.array([row for row, begin in enumerate(begins) if not begin], np.int64)
    begins = [begin[:-1] for begin in begins]
    for row, other in zip(odd.tolist(), document.documents(decoded.batch.take(odd), epochs[odd]), strict=True):
        begins[row], ends[row] = other, b""
    return begins, ends


def _are_lines(values: list[bytes]) -> bool:
    """Tell whether each value is a line that ends with its brace; looked at together."""
    text = b"\n".join(values)
    return text.endswith(b"}") and text.count(b"\n") == text.count(b"}\n") == len(values) - 1
