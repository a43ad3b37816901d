"""Which messages of a topic are looked at: from where, up to where, of which partitions. Asks the brokers, reads none.

A partition is a log, named by its epoch: a topic that was made anew is another log, so a checkpoint of the old one is
refused, never read from a place that means something else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput, TailraceError
from tailrace.limits import TOPIC_WAIT_S

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient


class Away(TailraceError):
    """No broker answers."""


@dataclass(frozen=True, slots=True)
class Window:
    """What is asked for. Of ``after``, ``offset`` and ``first_ns`` the first that is given says where to begin.

    ``offset`` counts in each partition, from its end when it is negative. ``first_ns`` is a time; 0 is the beginning.
    Without any it is now. ``last_ns`` (excluded) says where to end; ``ends``: at what is there now. Without them it
    goes on for ever. Empty ``partitions``: all.
    """

    topic: str
    partitions: tuple[int, ...] = ()
    after: Checkpoint | None = None
    offset: int | None = None
    first_ns: int | None = None
    last_ns: int | None = None
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Stretch:
    """Messages [start, stop) of one partition; None: it has no end."""

    partition: int
    epoch: int
    start: int
    stop: int | None


@dataclass(frozen=True, slots=True)
class Partition:
    """How one partition is: [first, next) can be read; ``leader`` is a broker's number, -1 without one."""

    partition: int
    first: int
    next: int
    leader: int
    replicas: int
    in_sync: int


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic, and the ``aliases`` that the configuration has for it."""

    name: str
    aliases: list[str]
    partitions: list[Partition]


def epoch_of(topic_id: str, partition: int) -> int:
    """Return which log a partition is: the same for everybody, another when the topic is made anew."""
    return int.from_bytes(hashlib.sha256(f"{topic_id}/{partition}".encode()).digest()[:8]) or 1


class Brokers:
    """Questions about topics, to the brokers of ``client`` (settings of librdkafka). Any thread; each may block."""

    def __init__(self, client: Mapping[str, Any], aliases: Mapping[str, str]) -> None:
        from confluent_kafka.admin import AdminClient

        self._admin: AdminClient = AdminClient(dict(client), logger=silent())
        self._aliases = aliases

    def name(self, topic: str) -> str:
        """Return the topic that an alias means, or the name itself."""
        return self._aliases.get(topic, topic)

    def topics(self) -> list[Topic]:
        """Return all topics by name, those that brokers keep for themselves last. Raises Away."""
        with _asked():
            known = self._admin.list_topics(timeout=TOPIC_WAIT_S).topics
        places = [(name, number) for name, one in known.items() for number in one.partitions]
        firsts, nexts = self._offsets(places, "earliest"), self._offsets(places, "latest")
        found: list[Topic] = []
        for name, one in known.items():
            partitions = [
                Partition(
                    number,
                    firsts.get((name, number), 0),
                    nexts.get((name, number), 0),
                    each.leader,
                    len(each.replicas),
                    len(each.isrs),
                )
                for number, each in sorted(one.partitions.items())
            ]
            found.append(Topic(name, sorted(a for a, meant in self._aliases.items() if meant == name), partitions))
        return sorted(found, key=lambda topic: (topic.name.startswith("__"), topic.name))

    def stretches(self, window: Window) -> list[Stretch]:
        """Return what a window means now. Raises BadInput, Away."""
        topic = self.name(window.topic)
        epochs = self._epochs(topic)
        wrong = [number for number in window.partitions if number not in epochs]
        if wrong:
            raise BadInput(f"{topic} has no partition {wrong[0]}", cure=f"It has 0 to {len(epochs) - 1}.")
        numbers = sorted(set(window.partitions) or epochs)
        places = [(topic, number) for number in numbers]
        firsts, nexts = self._offsets(places, "earliest"), self._offsets(places, "latest")
        starts = self._starts(window, places, epochs, firsts, nexts)
        stops: Mapping[tuple[str, int], int | None] = dict.fromkeys(places)
        if window.last_ns is not None:
            stops = self._at(places, window.last_ns, nexts)
        elif window.ends:
            stops = nexts
        return [
            Stretch(place[1], epochs[place[1]], min(max(starts[place], firsts[place]), nexts[place]), stops[place])
            for place in places
        ]

    def _starts(
        self,
        window: Window,
        places: Sequence[tuple[str, int]],
        epochs: Mapping[int, int],
        firsts: Mapping[tuple[str, int], int],
        nexts: Mapping[tuple[str, int], int],
    ) -> Mapping[tuple[str, int], int]:
        if window.after is not None:
            seen = {cursor.epoch: cursor.offset for cursor in window.after.cursors}
            unknown = seen.keys() - set(epochs.values())
            if unknown:
                raise BadInput(
                    f"{window.after} is no position in the topic {window.topic}",
                    cure="Was the topic made anew? Begin with `from`.",
                )
            # A partition that the viewer has not heard of yet was added since.
            return {place: seen.get(epochs[place[1]], 0) for place in places}
        if window.offset is not None:
            wanted = window.offset
            return {place: wanted if wanted >= 0 else nexts[place] + wanted for place in places}
        if window.first_ns is not None:
            return self._at(places, window.first_ns, nexts) if window.first_ns > 0 else firsts
        return nexts

    def _epochs(self, topic: str) -> dict[int, int]:
        """Return the epoch of each partition."""
        from confluent_kafka import KafkaException, TopicCollection

        with _asked():
            try:
                found = self._admin.describe_topics(TopicCollection([topic]), request_timeout=TOPIC_WAIT_S)
                facts = found[topic].result(TOPIC_WAIT_S)
            except KafkaException as error:
                if error.args[0].name() in ("UNKNOWN_TOPIC_OR_PART", "TOPIC_EXCEPTION"):
                    raise BadInput(
                        f"there is no topic {topic!r}", cure="`tailrace kafka topics` lists them."
                    ) from error
                raise
        return {one.id: epoch_of(str(facts.topic_id), one.id) for one in facts.partitions}

    def _offsets(self, places: Sequence[tuple[str, int]], which: str) -> dict[tuple[str, int], int]:
        from confluent_kafka.admin import OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

        spec = OffsetSpec.earliest() if which == "earliest" else OffsetSpec.latest()
        return {place: found[0] for place, found in self._list(places, spec).items()}

    def _at(
        self, places: Sequence[tuple[str, int]], time_ns: int, nexts: Mapping[tuple[str, int], int]
    ) -> dict[tuple[str, int], int]:
        """Return in each partition the first message of that time or later, or its end."""
        from confluent_kafka.admin import OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

        found = self._list(places, OffsetSpec.for_timestamp(-(-time_ns // 1_000_000)))
        return {place: nexts[place] if found[place][0] < 0 else found[place][0] for place in places}

    def _list(self, places: Sequence[tuple[str, int]], spec: Any) -> dict[tuple[str, int], tuple[int, int]]:
        from confluent_kafka import TopicPartition

        if not places:
            return {}
        with _asked():
            asked = {TopicPartition(*place): spec for place in places}
            answers = self._admin.list_offsets(asked, request_timeout=TOPIC_WAIT_S)
            found: dict[tuple[str, int], tuple[int, int]] = {}
            for place, answer in answers.items():
                result = answer.result(TOPIC_WAIT_S)
                found[place.topic, place.partition] = result.offset, result.timestamp
        return found


@contextmanager
def _asked() -> Iterator[None]:
    """Turn what the client raises into what a person understands."""
    from confluent_kafka import KafkaException

    try:
        yield
    except (KafkaException, TimeoutError) as error:
        said = error.args[0].str() if isinstance(error, KafkaException) else "they did not answer in time"
        raise Away(f"the brokers cannot be asked: {said}", cure="Check [kafka] brokers, and that they run.") from error


def silent() -> Any:
    """Return a logger that says nothing: what matters is raised."""
    import logging

    logger = logging.getLogger("tailrace.kafka")
    logger.addHandler(logging.NullHandler())
    logger.propagate = False
    return logger


def checkpoint(stretches: Sequence[Stretch], nexts: Mapping[int, int]) -> Checkpoint:
    """Return how far a viewer is; ``nexts`` by partition."""
    return Checkpoint.of(Cursor(one.epoch, nexts[one.partition]) for one in stretches)
