"""Which messages of a topic are looked at: from where, up to where, of which partitions. Asks the brokers, reads none.

A partition is a log, named by its epoch: a topic that was made anew is another log, so a checkpoint of the old one is
refused, never read from a place that means something else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tailrace.bus.brokers import Brokers, Place, offsets, places
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput
from tailrace.limits import KAFKA_CALL_S_MAX
from tailrace.topics.words import PartitionFacts, TopicFacts


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


class Catalog:
    """What there is to look at. Any thread; each question may block, and raises Away when no broker answers."""

    def __init__(self, brokers: Brokers, aliases: Mapping[str, str]) -> None:
        """Take the brokers, and other names of topics. Raises ConfigError, Away."""
        self.brokers = brokers
        self._aliases = aliases
        self._admin = brokers.admin()

    def name(self, topic: str) -> str:
        """Return the topic that an alias means, or the name itself."""
        return self._aliases.get(topic, topic)

    def topics(self) -> list[TopicFacts]:
        """Return all topics by name, those that brokers keep for themselves last."""
        with self._admin.asking() as client:
            known = client.list_topics(timeout=KAFKA_CALL_S_MAX).topics
        wanted = {
            number: Place(name, partition)
            for number, (name, partition) in enumerate((name, one) for name in known for one in known[name].partitions)
        }
        firsts, nexts = self._ends(wanted)
        bounds = {(place.topic, place.number): (firsts[n], nexts[n]) for n, place in wanted.items()}
        found: list[TopicFacts] = []
        for name, one in known.items():
            partitions = [
                PartitionFacts(number, *bounds[name, number], each.leader, len(each.replicas), len(each.isrs))
                for number, each in sorted(one.partitions.items())
            ]
            aliases = sorted(alias for alias, meant in self._aliases.items() if meant == name)
            found.append(TopicFacts(name, aliases, sum(one.next - one.first for one in partitions), partitions))
        return sorted(found, key=lambda topic: (topic.name.startswith("__"), topic.name))

    def stretches(self, window: Window) -> list[Stretch]:
        """Return what a window means now. Raises BadInput."""
        topic = self.name(window.topic)
        known = places(self._admin, [topic])
        if not known:
            raise BadInput(f"there is no topic {topic!r}", cure="`tailrace kafka topics` lists them.")
        wrong = set(window.partitions) - {place.number for place in known.values()}
        if wrong:
            raise BadInput(f"{topic} has no partition {min(wrong)}", cure=f"It has 0 to {len(known) - 1}.")
        if window.after is not None and {cursor.epoch for cursor in window.after.cursors} - known.keys():
            raise BadInput(
                f"{window.after} is no position in the topic {window.topic}",
                cure="Was the topic made anew? Begin with `from`.",
            )
        wanted = {
            epoch: place for epoch, place in known.items() if not window.partitions or place.number in window.partitions
        }
        firsts, nexts = self._ends(wanted)
        starts = self._starts(window, wanted, firsts, nexts)
        stops: Mapping[int, int | None] = dict.fromkeys(wanted)
        if window.last_ns is not None:
            stops = self._at(wanted, window.last_ns, nexts)
        elif window.ends:
            stops = nexts
        return [
            Stretch(place.number, epoch, min(max(starts[epoch], firsts[epoch]), nexts[epoch]), stops[epoch])
            for epoch, place in sorted(wanted.items(), key=lambda one: one[1].number)
        ]

    def first(self, topic: str, partition: int) -> int:
        """Return where a partition begins now: retention moves it."""
        firsts, _ = self._ends({0: Place(topic, partition)})
        return firsts[0]

    def _starts(
        self, window: Window, wanted: Mapping[int, Place], firsts: Mapping[int, int], nexts: Mapping[int, int]
    ) -> Mapping[int, int]:
        if window.after is not None:
            # A partition that the viewer has not heard of yet was added since.
            seen = {cursor.epoch: cursor.offset for cursor in window.after.cursors}
            return {epoch: seen.get(epoch, 0) for epoch in wanted}
        if window.offset is not None:
            asked = window.offset
            return {epoch: asked if asked >= 0 else nexts[epoch] + asked for epoch in wanted}
        if window.first_ns is not None:
            return self._at(wanted, window.first_ns, nexts) if window.first_ns > 0 else firsts
        return nexts

    def _ends(self, wanted: Mapping[int, Place]) -> tuple[dict[int, int], dict[int, int]]:
        spec = _offset_spec()
        return offsets(self._admin, wanted, spec.earliest()), offsets(self._admin, wanted, spec.latest())

    def _at(self, wanted: Mapping[int, Place], time_ns: int, nexts: Mapping[int, int]) -> dict[int, int]:
        """Return in each partition the first message of that time or later, or its end."""
        found = offsets(self._admin, wanted, _offset_spec().for_timestamp(-(-time_ns // 1_000_000)))
        return {epoch: nexts[epoch] if offset < 0 else offset for epoch, offset in found.items()}


def _offset_spec() -> Any:
    from confluent_kafka.admin import OffsetSpec  # pyright: ignore[reportPrivateImportUsage]

    return OffsetSpec


def checkpoint(stretches: Sequence[Stretch], nexts: Mapping[int, int]) -> Checkpoint:
    """Return how far a viewer is; ``nexts`` by partition."""
    return Checkpoint.of(Cursor(one.epoch, nexts[one.partition]) for one in stretches)
