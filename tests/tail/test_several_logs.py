"""The hub over several partitions: whatever the interleaving and whichever server, each line once, in order per log.

The real thing is tested in tests/apps/cluster; here a topic in memory makes the interleavings, and History joins it
with a store that has the beginning of each partition.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from unittest import mock

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import Away
from tailrace.limits import SECOND_NS
from tailrace.query import parse
from tailrace.store.search import History
from tailrace.tail.hub import Hub
from tailrace.tail.pace import PLACE, Place
from tailrace.tail.replay import Replays
from tailrace.tail.sse import encode
from tailrace.tail.start import After, Last, Now, Since, Start
from tailrace.tail.subscription import State
from tailrace.tail.view import View
from tests.tail.test_join import BOUNDS, QUERIES, WORDS
from tests.tail.topic import Topic, TopicBus, TopicStore
from tests.tail.watching import Client, watch


class Server:
    """One server: what it has read of the topic, and its hub."""

    def __init__(self, topic: Topic, kept: int = 1000) -> None:
        self.bus = TopicBus(topic, kept)
        self.hub = Hub(self.bus, History(self.bus, TopicStore(topic)))
        self.hub.start()


@dataclass
class Tail:
    """One client's whole life: the query, where it began, and all that it was sent, at whichever server."""

    query: str
    start: Checkpoint
    client: Client
    server: int
    cursors: list[Cursor] = field(default_factory=list)
    context: int = 0

    @property
    def view(self) -> View:
        return View(parse(self.query, 0), context=self.context, counts=bool(self.context))


async def until_now(topic: Topic, server: Server, client: Client) -> None:
    """Have everything arrive, and take until the client has been shown all of it."""

    def done() -> bool:
        for epoch in topic.batches:
            server.bus.fetch(epoch, 99)
        here = client.viewer.checkpoint
        subscription = client.viewer.subscription
        return here == topic.ends and subscription.state is State.LIVE and not subscription.queued_bytes

    await client.until(done)


class SeveralLogs(RuleBasedStateMachine):
    """Drives a topic, a store, two servers and clients; ``teardown`` compares."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = [mock.patch(name, value) for name, value in BOUNDS.items()]
        for patch in self.patches:
            patch.start()
        self.loop = asyncio.new_event_loop()
        self.topic = Topic(0)
        self.tails: list[Tail] = []
        self.servers: list[Server] = []

    @initialize(partitions=st.integers(1, 4), kept=st.sampled_from([2, 1000]))
    def begin(self, partitions: int, kept: int) -> None:
        self.topic = Topic(partitions)

        async def start() -> None:
            self.servers = [Server(self.topic, kept) for _ in range(2)]

        self.loop.run_until_complete(start())

    @rule(data=st.data(), words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=6), hole=st.integers(0, 2))
    def append(self, data: st.DataObject, words: list[str], hole: int) -> None:
        self.topic.append(self.partition(data), *words, time=data.draw(st.integers(0, 50)), hole=hole)

    @rule(data=st.data(), batches=st.integers(1, 3), turns=st.integers(0, 5))
    def a_server_reads_on(self, data: st.DataObject, batches: int, turns: int) -> None:
        async def fetch() -> None:
            data.draw(st.sampled_from(self.servers)).bus.fetch(self.partition(data), batches)
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(fetch())

    @rule(data=st.data(), part=st.floats(0, 1), forget=st.booleans())
    def the_store_gets_on(self, data: st.DataObject, part: float, forget: bool) -> None:
        epoch = self.partition(data)
        stored = max(self.topic.stored[epoch], int(part * self.topic.end(epoch).offset))
        self.topic.stored[epoch] = stored
        if forget:
            self.topic.first[epoch] = stored

    @rule()
    def a_partition_is_added(self) -> None:
        if len(self.topic.batches) < 6:
            self.topic.add_partition()

    @rule(query=st.sampled_from(QUERIES), server=st.integers(0, 1), context=st.sampled_from([0, 0, 2]))
    def watch_from_now(self, query: str, server: int, context: int) -> None:
        self.add(query, Now(), server, context)

    @rule(query=st.sampled_from(QUERIES), server=st.integers(0, 1), data=st.data())
    def watch_after(self, query: str, server: int, data: st.DataObject) -> None:
        ends = self.topic.ends.cursors
        after = Checkpoint.of(Cursor(end.epoch, data.draw(st.integers(0, end.offset))) for end in ends)
        self.add(query, After(after), server)

    @rule(query=st.sampled_from(QUERIES), server=st.integers(0, 1), count=st.integers(1, 9))
    def watch_last(self, query: str, server: int, count: int) -> None:
        self.add(query, Last(count), server)

    def partition(self, data: st.DataObject) -> int:
        return data.draw(st.sampled_from(list(self.topic.batches)))

    def add(self, query: str, start: Start, server: int, context: int = 0) -> None:
        async def begin() -> Tail:
            view = View(parse(query, 0), context=context, counts=bool(context))
            client = watch(self.servers[server].hub, view, start, 0)
            await client.located()
            position = client.viewer.subscription.position
            assert isinstance(position, Checkpoint)
            return Tail(query, position, client, server, context=context)

        self.tails.append(self.loop.run_until_complete(begin()))

    @precondition(lambda self: self.tails)
    @rule(data=st.data(), sends=st.integers(1, 4), turns=st.integers(0, 20), ping=st.booleans())
    def a_client_takes_something(self, data: st.DataObject, sends: int, turns: int, ping: bool) -> None:
        tail = data.draw(st.sampled_from(self.tails))

        async def take() -> None:
            if ping:
                tail.client.viewer.ping()
            for _ in range(sends):
                tail.client.take()
            for _ in range(turns):
                await asyncio.sleep(0)

        self.loop.run_until_complete(take())

    @precondition(lambda self: self.tails)
    @rule(data=st.data())
    def a_client_goes_on_at_the_other_server(self, data: st.DataObject) -> None:
        tail = data.draw(st.sampled_from(self.tails))

        async def move() -> None:
            tail.client.viewer.close()
            self.gather(tail)
            seen = Checkpoint.parse(tail.client.last_id) if tail.client.last_id else tail.start
            tail.server = 1 - tail.server
            last_id = tail.client.last_id
            tail.client = watch(self.servers[tail.server].hub, tail.view, After(seen), 0)
            tail.client.last_id = last_id

        self.loop.run_until_complete(move())

    def gather(self, tail: Tail) -> None:
        """Note what one connection was sent, and compare it with what its pings said."""
        for ping, hits, _ in tail.client.pinged:
            sent = tail.client.hit_cursors[:hits]
            assert (ping["sent"], ping["digest"]) == (len(sent), self.topic.digest(sent))
        assert tail.client.gaps == []
        tail.cursors += tail.client.hit_cursors
        tail.client.pinged, tail.client.hits, tail.client.cursors, tail.client.hit_cursors = [], [], [], []

    def teardown(self) -> None:
        try:
            self.loop.run_until_complete(self.compare())
        finally:
            self.loop.close()
            for patch in self.patches:
                patch.stop()

    async def compare(self) -> None:
        for tail in self.tails:
            await until_now(self.topic, self.servers[tail.server], tail.client)
            tail.client.viewer.ping()
            await tail.client.until(lambda tail=tail: not tail.client.viewer.subscription.queued_bytes)
            self.gather(tail)
            for epoch in self.topic.batches:
                shown = [cursor.offset for cursor in tail.cursors if cursor.epoch == epoch]
                start = tail.start.get(epoch) or Cursor(epoch, 0)
                assert shown == self.wanted(tail, epoch, start.offset), (tail.query, str(tail.start))
        for server in self.servers:
            await server.hub.close()

    def wanted(self, tail: Tail, epoch: int, start: int) -> list[int]:
        end = self.topic.end(epoch).offset
        return self.topic.expected(parse(tail.query, 0), epoch, start, end)


TestSeveralLogs = SeveralLogs.TestCase
TestSeveralLogs.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)


@pytest.fixture
def topic() -> Topic:
    """Two partitions: lines 0 to 5 of the first happened at even, of the second at odd moments."""
    topic = Topic(2)
    for number in range(6):
        for place, epoch in enumerate(topic.batches):
            topic.append(epoch, f"error {number}", time=2 * number + place)
    return topic


def play(script: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(script())


def by_log(topic: Topic, cursors: list[Cursor]) -> list[list[int]]:
    return [[cursor.offset for cursor in cursors if cursor.epoch == epoch] for epoch in topic.batches]


@pytest.mark.parametrize("stored", [0, 4])
@pytest.mark.parametrize(
    ("start", "shown"), [(Last(3), [[5], [4, 5]]), (Since(5), [[3, 4, 5], [2, 3, 4, 5]])], ids=["last", "since"]
)
def test_a_start_by_time_shows_of_each_of_several_logs_what_is_newest_or_came_since(
    topic: Topic, stored: int, start: Last | Since, shown: list[list[int]]
) -> None:
    topic.stored = dict.fromkeys(topic.batches, stored)

    async def script() -> None:
        server = Server(topic)
        client = watch(server.hub, parse("error", 0), start)
        await client.located()
        await until_now(topic, server, client)
        assert by_log(topic, client.cursors) == shown
        await server.hub.close()

    play(script)


def test_what_a_slow_tail_skips_is_counted_for_each_log(topic: Topic) -> None:
    async def script() -> None:
        server = Server(topic, kept=1)
        client = watch(server.hub, parse("error", 0), Now(), behind_max=5)
        with mock.patch("tailrace.tail.subscription.TAIL_QUEUE_BYTES_MAX", 1):
            for number in range(9):
                for epoch in topic.batches:
                    topic.append(epoch, f"error {number}")
                    server.bus.fetch(epoch, 9)
                    await asyncio.sleep(0.01)
        await until_now(topic, server, client)
        assert [gap["why"] for gap in client.gaps] == ["slow"] * len(client.gaps)
        lost = [(Cursor.parse(gap["from"]), Cursor.parse(gap["to"]), gap["count"]) for gap in client.gaps]
        assert all(behind - first == count for first, behind, count in lost)
        assert {first.epoch for first, _, _ in lost} == set(topic.batches)
        skipped = sum(count for _, _, count in lost)
        assert len(client.cursors) + skipped == 18
        await server.hub.close()

    play(script)


def test_a_viewer_that_knows_more_than_the_server_misses_nothing_and_sees_nothing_twice(topic: Topic) -> None:
    async def script() -> None:
        server = Server(topic)  # knows the topic as it is now
        for epoch in topic.batches:
            topic.append(epoch, "error after", "error and later")
        first, second = topic.batches
        seen = topic.ends.with_cursor(Cursor(second, 3))
        client = watch(server.hub, parse("error", 0), After(seen))
        await client.located()
        topic.append(first, "error at last")
        await until_now(topic, server, client)
        assert by_log(topic, client.cursors) == [[8], [3, 4, 5, 6, 7]]
        assert client.gaps == []
        await server.hub.close()

    play(script)


@pytest.mark.parametrize("ahead", [True, False])
def test_who_cannot_be_told_where_it_begins_is_sent_back_to_where_it_was_or_to_ask_again(
    topic: Topic, ahead: bool
) -> None:
    async def script() -> None:
        server = Server(topic)
        seen = topic.ends
        _, second = topic.batches
        topic.append(second, "error after", "error and later")
        start: Start = After(topic.ends) if ahead else Last(3)
        away = Away("nobody answers")
        with (
            mock.patch.object(server.bus, "newest", side_effect=away),
            mock.patch.object(server.hub.history, "scan", side_effect=away),
        ):
            client = watch(server.hub, parse("error", 0), start)
            await client.until(lambda: client.ended is not None)
        assert client.last_id == (str(topic.ends) if ahead else "") != str(seen)
        assert str(client.viewer.checkpoint) == client.last_id
        await server.hub.close()

    play(script)


def test_a_topic_that_is_made_anew_is_told_to_who_watches_and_read_from_its_beginning(topic: Topic) -> None:
    async def script() -> None:
        server = Server(topic)
        client = watch(server.hub, parse("error", 0), Now())
        for epoch in topic.batches:
            topic.append(epoch, "error before")
            server.bus.fetch(epoch, 9)
        await until_now(topic, server, client)
        for epoch in list(topic.batches):
            for known in (topic.batches, topic.first, topic.stored):
                del known[epoch]
        fresh = [topic.add_partition(), topic.add_partition()]
        topic.append(fresh[1], "error in the new one")
        server.bus.made_anew()
        await until_now(topic, server, client)
        assert [gap["why"] for gap in client.gaps] == ["reset"]
        assert by_log(topic, client.cursors) == [[], [0]]
        assert client.viewer.checkpoint.get(fresh[1]) == Cursor(fresh[1], 1)
        await server.hub.close()

    play(script)


def test_nobody_is_called_by_the_bus_while_nobody_watches(topic: Topic) -> None:
    async def script() -> None:
        server = Server(topic)
        assert not server.bus.followed
        client = watch(server.hub, parse("error", 0), Now())
        assert server.bus.followed
        client.viewer.close()
        assert not server.bus.followed
        await server.hub.close()

    play(script)


@dataclass
class Replay:
    """One client of a replay: the query, what it was sent at whichever server, and where it went live in each log."""

    query: str
    client: Client
    server: int
    token: str
    live_from: Checkpoint | None = None
    cursors: list[Cursor] = field(default_factory=list)

    def gather(self) -> None:
        """Note what one connection was sent."""
        live = [ping["from"] for ping, _, _ in self.client.pinged if not ping["checkpoint"].startswith(PLACE)]
        self.live_from = self.live_from or (Checkpoint.parse(live[0]) if live else None)
        assert self.client.gaps == []
        self.token = self.client.last_id or self.token
        self.cursors += self.client.cursors


class Replaying:
    """A topic, two servers that read it, and clients that replay the last twenty seconds of it at either."""

    def __init__(self, chance: random.Random) -> None:
        self.chance = chance
        self.topic = Topic(chance.randint(1, 3))
        self.servers = [Server(self.topic) for _ in range(2)]
        self.replays = [Replays(server.hub) for server in self.servers]
        self.first_ns = time.time_ns() - 20 * SECOND_NS
        self.shown: list[Replay] = []

    def append(self) -> None:
        words = [self.chance.choice(WORDS) for _ in range(self.chance.randint(1, 6))]
        moment = self.chance.choice((-1, 0, 5, 5, self.chance.uniform(0, 20), 25))
        at = self.first_ns + int(moment * SECOND_NS)
        self.topic.append(self.partition(), *words, time=at, hole=self.chance.randint(0, 2))

    def partition(self) -> int:
        return self.chance.choice(list(self.topic.batches))

    def index(self) -> None:
        epoch = self.partition()
        stored = self.topic.stored[epoch]
        self.topic.stored[epoch] = max(stored, self.chance.randint(0, self.topic.end(epoch).offset))
        if self.chance.random() < 0.3:
            self.topic.first[epoch] = self.topic.stored[epoch]

    def begin(self) -> None:
        server = self.chance.randrange(2)
        token = self.replays[server].begin(self.first_ns, None).token()
        self.shown.append(self.open(self.chance.choice(QUERIES), server, token))

    def open(self, query: str, server: int, token: str, speeds: tuple[int | None, ...] = (20, 1000, None)) -> Replay:
        speed = self.chance.choice(speeds)
        place = Place.of(token) if token.startswith(PLACE) else After(Checkpoint.parse(token))
        viewer = self.replays[server].open(View(parse(query, 0)), place, speed, encode)
        viewer.ping()
        return Replay(query, Client(viewer), server, token)

    def go_on(self, number: int, server: int, *speeds: int | None) -> None:
        """Cut a client with all that is queued, and come back with the last id that it saw."""
        one = self.shown[number]
        one.client.viewer.close()
        one.gather()
        again = self.open(one.query, server, one.token, speeds)
        self.shown[number] = replace(again, live_from=one.live_from, cursors=one.cursors)

    async def anything(self) -> None:
        """Do one thing that may happen at any time."""
        chance = self.chance
        what = chance.choices(("append", "index", "fetch", "add", "begin", "take", "go on"), (10, 3, 5, 1, 2, 8, 3))[0]
        if what == "append":
            self.append()
        elif what == "index":
            self.index()
        elif what == "fetch":
            chance.choice(self.servers).bus.fetch(self.partition(), 3)
        elif what == "add" and len(self.topic.batches) < 5:
            self.topic.add_partition()
        elif what == "begin":
            self.begin()
        elif self.shown:
            number = chance.randrange(len(self.shown))
            for _ in range(chance.randint(1, 4)):
                self.shown[number].client.take()
            if what == "go on":
                self.go_on(number, chance.randrange(2), 20, 1000, None)
        for _ in range(chance.randint(0, 20)):
            await asyncio.sleep(0.0001)

    def wanted(self, one: Replay) -> list[Cursor]:
        """Return what the window has, and from where it went live everything."""
        assert one.live_from is not None
        found: list[Cursor] = []
        for epoch, batches in self.topic.batches.items():
            live = (one.live_from.get(epoch) or Cursor(epoch, 0)).offset
            for batch in batches:
                assert batch.offsets is not None
                mask = parse(one.query, 0).filter.matches(batch)
                mask &= (batch.numpy("time") >= self.first_ns) | (batch.offsets >= live)
                found += [Cursor(epoch, offset) for offset in batch.offsets[mask].tolist()]
        return found

    async def compare(self) -> None:
        for number in range(len(self.shown)):
            self.go_on(number, self.chance.randrange(2), 1000, None)
        for one in self.shown:
            server = self.servers[one.server]
            await one.client.until(lambda one=one: one.client.viewer.located)
            await until_now(self.topic, server, one.client)
            one.client.viewer.ping()
            await one.client.until(lambda one=one: not one.client.viewer.subscription.queued_bytes)
            one.gather()
            assert sorted(map(str, one.cursors)) == sorted(map(str, self.wanted(one))), one.query
        for server in self.servers:
            await server.hub.close()


@pytest.mark.parametrize("seed", range(6))
def test_a_replay_shows_each_record_of_all_logs_once_at_whichever_server_and_goes_on_live(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    for name, value in {
        "replay.REPLAY_PAGE_ROWS_FIRST": 4,
        "replay.REPLAY_PAGE_ROWS_MAX": 12,
        "replay.TAIL_QUEUE_BYTES_MAX": 1_500,
        "replay.REPLAY_COALESCE_S": 0.001,
        "pace.TAIL_FRAME_BYTES_MAX": 600,
    }.items():
        monkeypatch.setattr(f"tailrace.tail.{name}", value)

    async def script() -> None:
        replaying = Replaying(random.Random(seed))
        for _ in range(80):
            await replaying.anything()
        await replaying.compare()

    play(script)


def test_a_replay_of_several_logs_is_in_the_order_of_time_over_all_of_them(topic: Topic) -> None:
    topic.stored = dict.fromkeys(topic.batches, 3)

    async def script() -> None:
        server = Server(topic)
        replays = Replays(server.hub)
        client = Client(replays.open(View(parse("error", 0)), replays.begin(3, 9), None, encode))
        await client.until(lambda: client.ended is not None)
        first, second = topic.batches
        assert client.cursors == [Cursor(second if at % 2 else first, at // 2) for at in range(3, 10)]
        await server.hub.close()

    play(script)


def test_of_a_log_that_is_removed_while_it_is_replayed_the_rest_is_a_gap(topic: Topic) -> None:
    async def script() -> None:
        server = Server(topic)
        replays = Replays(server.hub)
        first, second = topic.batches
        with mock.patch("tailrace.tail.replay.REPLAY_PAGE_ROWS_FIRST", 1):
            client = Client(replays.open(View(parse("error", 0)), replays.begin(0, 50), 1000, encode))
            await client.until(lambda: len(client.cursors) > 0)
            for known in (topic.batches, topic.first, topic.stored):
                del known[first]
            server.bus.newest()
            await client.until(lambda: client.ended is not None)
        (gap,) = client.gaps
        assert gap["why"] == "expired"
        lost = range(Cursor.parse(gap["from"]).offset, Cursor.parse(gap["to"]).offset)
        shown = [cursor.offset for cursor in client.cursors if cursor.epoch == first]
        assert {*shown, *lost} == set(range(6))
        assert by_log(topic, client.cursors) == [[0, 1, 2, 3, 4, 5]], second
        await server.hub.close()

    play(script)
