"""Topics of Kafka as one log of records, for whoever tails, looks up or indexes.

Purpose. Any number of servers read the same partitions, each what its viewers need. Nobody joins a consumer group and
nothing is committed: who reads is invisible to others, and a position is what a client brings along.

Positions. A partition is a log (``brokers.epoch_of``), an offset of Kafka is the offset of a record. Positions are
checkpoints over all partitions of the topics; with ``only`` they are cursors of the partition of that number (of one
topic), as those of a disk's log are.

Looking. One thread asks every KAFKA_LOOK_S how far the partitions go, and now and then (KAFKA_TOPICS_LOOK_S) whether
there are others, of the topics that are named and of those that a pattern means (``wanted.py``), so that ``next`` is
never older than that. What nobody watches costs these calls and nothing else.

Following. While somebody wants to be called (``on_commit``), and KAFKA_IDLE_S longer, one thread reads all partitions
from ``next`` on with one client, decodes each message once, keeps the newest batches (KAFKA_RING_BYTES_MAX over all
partitions) and calls. ``recent`` answers from that alone.

Catching up. ``read`` answers from the same batches, or with one of at most KAFKA_READERS_MAX clients, which stay where
they have read to: who comes back for what follows finds it fetched already.

Repeats are left out, holes are covered (``partition.py``).

Brokers away. What is known stays, ``error`` says what is wrong, and librdkafka tries for ever; ``read`` and ``newest``
raise Away when they wait for too long, and lose nothing. Retention passing a reader is Gone. A topic that was made anew
has partitions with other epochs: the old ones are Gone. Until that was seen (KAFKA_TOPICS_LOOK_S) a reader may be given
records of the new topic under the old epoch.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from tailrace.bus.brokers import Brokers, offsets, places, topic_names
from tailrace.bus.follow import Following
from tailrace.bus.message import Understand
from tailrace.bus.partition import Partition, Reader
from tailrace.bus.wanted import Wanted
from tailrace.cursor import Checkpoint, Cursor, Position
from tailrace.errors import Away, Busy, Closed, Gone, TailraceError
from tailrace.limits import (
    KAFKA_CLOCK_S,
    KAFKA_IDLE_S,
    KAFKA_LOOK_S,
    KAFKA_READ_S_MAX,
    KAFKA_READERS_MAX,
    KAFKA_TOPICS_LOOK_S,
    SECOND_NS,
)
from tailrace.record import Batch

_MS_NS = 1_000_000


class KafkaLog:
    """A ``Log`` over topics; see the head of this module and the contract in ``tailrace.bus``. For any thread."""

    def __init__(
        self, brokers: Brokers, topics: Sequence[str], understand: Understand, *, only: int | None = None
    ) -> None:
        """Look once; brokers that are away are looked for from then on. Raises ConfigError.

        ``understand`` makes records of foreign messages (``message.py``).
        """
        self.error = ""
        self._brokers = brokers
        self._wanted = Wanted(topics)
        self._understand = understand
        self._only = only
        self._changed = threading.Condition()
        self._partitions: dict[int, Partition] = {}
        self._closing = False
        self._calls: list[Callable[[], None]] = []
        self._unwanted_since = 0.0
        self._following: Following | None = None
        self._readers: list[Reader] = []
        self._readers_made = 0
        self._admin = brokers.admin()
        self._topics_looked = 0.0
        self._missing: set[int] = set()
        try:
            self._look()
        except Away as error:
            self.say(error.message.removeprefix("Kafka: "))
        self._looking = threading.Thread(target=self._look_again, name="kafka look", daemon=True)
        self._looking.start()

    # -- the contract ----------------------------------------------------------------------------------------------

    @property
    def first(self) -> Position:
        """The oldest position that can still be read, as far as is known."""
        return self._position({epoch: one.first for epoch, one in self._partitions.items()})

    @property
    def next(self) -> Position:
        """The position behind the newest record, as far as is known; it names every partition."""
        return self._position({epoch: one.next for epoch, one in self._partitions.items()})

    @property
    def epoch(self) -> int:
        """Which log this is, when it is ``only`` one partition."""
        return self.next.cursors[0].epoch

    def _position(self, known: dict[int, int]) -> Position:
        cursors = [Cursor(epoch, offset) for epoch, offset in known.items()]
        if self._only is None:
            return Checkpoint.of(cursors)
        if not cursors:
            raise Away(f"Kafka: {self.error or 'there is no such partition'}", cure="Is there a topic of this name?")
        return cursors[0]

    def newest(self, seen: Position | None = None) -> Position:
        """Return ``next`` as it is now. Raises Away."""
        self._look(again=seen is not None and any(one.epoch not in self._partitions for one in seen.cursors))
        return self.next

    def since(self, time_ns: int) -> Position:
        """Return a position before which nothing happened at ``time_ns`` or later. Raises Away.

        Messages carry when they were observed, so what lies before did not arrive since; clocks may be ahead.
        """
        return self.at_time(time_ns - int(KAFKA_CLOCK_S * SECOND_NS))

    def at_time(self, time_ns: int) -> Position:
        """Return where in each partition the first message with that timestamp or a later one is. Raises Away."""
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        known = dict(self._partitions)
        found = offsets(
            self._admin,
            {epoch: one.place for epoch, one in known.items()},
            OffsetSpec.for_timestamp(max(time_ns // _MS_NS, 0)),
        )
        return self._position({e: known[e].next if at < 0 else at for e, at in found.items()})

    def read(self, start: Cursor, bytes_max: int) -> list[Batch]:
        """Return batches of one partition from ``start`` on; see the contract. Raises Gone, Away, Busy, Closed."""
        partition = self._partitions.get(start.epoch)
        if partition is None:
            raise Gone(f"{start} is a position in a log that is not there", next=start)
        if start.offset < partition.first:
            raise Gone(f"{start} is no longer on Kafka", next=Cursor(start.epoch, partition.first))
        if start.offset >= partition.next:
            return []
        following = self._following
        kept = following.kept(start, bytes_max) if following else None
        if kept is not None:
            return kept
        reader = self._borrow(start)
        try:
            found = reader.read(partition, start, bytes_max)
        except BaseException:
            self._give_back(None)
            reader.close()
            raise
        self._give_back(reader)
        return found

    def recent(self, start: Position, bytes_max: int) -> list[Batch]:
        """Return what the followed partitions have from ``start`` on, in the order of arrival. Raises Gone."""
        following = self._following
        if following is None:
            if start < self.next:
                raise Gone("nobody follows", next=self.next.cursors[0])
            return []
        return following.recent(start, bytes_max)

    def wait(self, start: Position, timeout_s: float) -> bool:
        """Block until there is something to read at ``start``; tell whether there is."""
        with self._changed:
            self._changed.wait_for(lambda: self._closing or not self.next <= start, timeout_s)
            return not self.next <= start

    def on_commit(self, call: Callable[[], None]) -> Callable[[], None]:
        """Follow, and have ``call`` called after each arrival; returns what takes that back."""
        with self._changed:
            self._calls = [*self._calls, call]
            if self._following is None and not self._closing:
                self._following = Following(self, self._brokers, self._understand)

        def take_back() -> None:
            with self._changed:
                self._calls = [known for known in self._calls if known is not call]
                self._unwanted_since = time.monotonic()

        return take_back

    def close(self) -> None:
        """Read no more."""
        with self._changed:
            self._closing = True
            following, self._following = self._following, None
            self._changed.notify_all()
        self._looking.join()
        if following:
            following.stop()
        for reader in self._readers:
            reader.close()

    # -- looking ---------------------------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Take note of what is wrong; it is forgotten when brokers answer again."""
        self.error = text

    def _look_again(self) -> None:
        while not self._closing:
            with self._changed:
                self._changed.wait_for(lambda: self._closing, KAFKA_LOOK_S)
            following = self._following
            if following and not self._calls and time.monotonic() - self._unwanted_since > KAFKA_IDLE_S:
                self._following = None
                following.stop()
            try:
                if not self._closing:
                    self._look()
            except Away as error:
                self.say(error.message.removeprefix("Kafka: "))

    def _look(self, *, again: bool = False) -> None:
        """Ask how far the partitions go, and now and then, or ``again``, which there are. Raises Away."""
        from confluent_kafka.admin import OffsetSpec  # type: ignore[attr-defined]

        known = {epoch: one.place for epoch, one in self._partitions.items()}
        thorough = again or not known or time.monotonic() - self._topics_looked > KAFKA_TOPICS_LOOK_S
        first: dict[int, int] = {}
        if thorough:
            there = topic_names(self._admin) if self._wanted.patterns else ()
            found = places(self._admin, self._wanted.among(there))
            known = {e: one for e, one in found.items() if self._only is None or one.number == self._only}
            first = offsets(self._admin, known, OffsetSpec.earliest())
        newest = offsets(self._admin, known, OffsetSpec.latest())
        with self._changed:
            if thorough:
                self._topics_looked = time.monotonic()
                for epoch, place in known.items():
                    if epoch not in self._partitions:
                        self._partitions = {**self._partitions, epoch: Partition(place, epoch, first[epoch], 0)}
                # A broker may not know yet what another has said: what is missing once may be there the next time.
                missing = self._partitions.keys() - known.keys()
                self._partitions = {e: one for e, one in self._partitions.items() if e not in missing & self._missing}
                self._missing = missing
            for epoch, offset in newest.items():
                one = self._partitions.get(epoch)
                if one:
                    one.first = max(one.first, first.get(epoch, 0))
                    one.next = max(one.next, offset)
            self.error = "" if self._partitions.keys() - self._missing else f"Kafka has no topic {self._wanted}"
            self._changed.notify_all()

    def partitions(self) -> list[Partition]:
        """Return what there is now."""
        return list(self._partitions.values())

    def arrived(self, partition: Partition, end: int) -> None:
        """Take note that a partition goes to ``end`` at least."""
        with self._changed:
            partition.next = max(partition.next, end)
            self._changed.notify_all()

    def tell(self) -> None:
        """Call who wants to be called."""
        for call in self._calls:
            call()

    # -- readers that catch up -------------------------------------------------------------------------------------

    def _borrow(self, start: Cursor) -> Reader:
        """Return a reader, if there is one the one that has read up to ``start``. Raises Busy, Closed."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closing or self._readers or self._readers_made < KAFKA_READERS_MAX, KAFKA_READ_S_MAX
            )
            if self._closing:
                raise Closed("the log is closed")
            there = next((one for one in self._readers if one.at == start), None)
            if there is None and self._readers_made >= KAFKA_READERS_MAX:
                if not self._readers:
                    raise Busy("too many read the past of topics at once", retry_s=1, cure="Try again in a moment.")
                there = self._readers[0]
            if there is not None:
                self._readers.remove(there)
                return there
            self._readers_made += 1
        try:
            return Reader(self._brokers, self._understand)
        except TailraceError:
            self._give_back(None)
            raise

    def _give_back(self, reader: Reader | None) -> None:
        """Take a reader back, or take note that there is one less; the one that waits the longest is taken next."""
        with self._changed:
            if reader is None:
                self._readers_made -= 1
            elif self._closing:
                reader.close()
            else:
                self._readers.append(reader)
            self._changed.notify_all()
