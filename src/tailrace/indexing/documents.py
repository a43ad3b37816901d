"""Messages of a partition as lines of a bulk request: for each an action, with the index and the ``_id``, and a source.

Index and ``_id`` follow from the message alone (store/elastic/document.py says how), and the action is ``create``: a
message that comes again, by whatever way, is there already.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from confluent_kafka import Message

from tailrace.bus.brokers import Brokers, places
from tailrace.bus.message import Understand, decode
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

    def of(self, topic: str, partition: int, messages: Sequence[Message]) -> list[bytes]:
        """Return the lines of each message. Raises TailraceError when Kafka does not say what the topic is."""
        epoch = self._epochs.get((topic, partition)) or self._ask(topic, partition)
        decoded = decode(
            [message.value() for message in messages],
            cast(list[Headers], [message.headers() for message in messages]),
            np.array([message.offset() for message in messages], np.int64),
            [message.timestamp()[1] for message in messages],
            epoch=epoch,
            topic=topic,
            understand=self._understand,
        )
        batch = decoded.batch
        days = document.days(batch, self._retain_ns).tolist()
        heads = {day: self._head(day) for day in set(days)}
        ids = document.ids(batch, decoded.sources, decoded.source, decoded.first, decoded.row)
        # A Python loop over lines: what became of each is said by itself, and some may have to be sent again alone.
        return [
            b'%b%b"}}\n%b\n' % (heads[day], name.encode(), source)
            for day, name, source in zip(days, ids, document.documents(batch), strict=True)
        ]

    def _ask(self, topic: str, partition: int) -> int:
        for epoch, place in places(self._brokers.admin(lambda _: None), [topic]).items():
            self._epochs[topic, place.number] = epoch
        if (topic, partition) not in self._epochs:
            raise Away(f"Kafka does not know partition {partition} of {topic!r}", cure="It is asked again.")
        return self._epochs[topic, partition]

    def _head(self, day: int) -> bytes:
        return b'{"create":{"_index":"%b","_id":"' % document.index_name(self._prefix, day).encode()
