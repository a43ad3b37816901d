"""The join rule as a property: whatever happens, a tail's rows plus its gaps are the filter over its cursors, in order.

Random appends, queries, starts, speeds, patience, disconnects, retention and restarts of the hub, on a real bus,
against a plain list: what was sent, what each ping proves of it, what each gap says of what was skipped. Bounds are
made small, so that tails fall behind, catch up and join again all the time.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Checkpoint, Cursor
from tailrace.query import parse
from tailrace.tail.hub import Hub
from tailrace.tail.start import After, Last, Now
from tailrace.tail.view import View
from tests.tail.watching import Client, ListHistory, checkpoint, grep, watch

BOUNDS = {
    "tailrace.tail.subscription.TAIL_QUEUE_BYTES_MAX": 1_500,
    "tailrace.tail.evaluate.TAIL_FRAME_BYTES_MAX": 600,
    "tailrace.tail.subscription.TAIL_SEND_BYTES": 900,
    "tailrace.tail.catchup.TAIL_BUS_ROWS_MAX": 12,
    "tailrace.tail.catchup.PRIME_ROWS": 16,
    "tailrace.tail.context.TAIL_CONTEXT_LOOKBACK_ROWS": 8,
    "tailrace.tail.context.TAIL_CONTEXT_WAIT_ROWS": 3,
    "tailrace.tail.catchup.TAIL_CATCH_UP_BYTES": 600,
    "tailrace.tail.hub.TAIL_ROUND_BYTES": 2_000,
    "tailrace.tail.hub.TAIL_ROUNDS_WAIT_BYTES": 3_000,
    "tailrace.tail.hub.TAIL_CATCH_UP_ROWS": 6,
    "tailrace.tail.catchup.TAIL_CATCH_UP_ROWS": 6,
    "tailrace.tail.hub.TAIL_INLINE_ROWS": 4,
    "tailrace.tail.hub.COALESCE_MS_MAX": 2,
    "tailrace.tail.hub.TAIL_YIELD_TAILS": 2,
    "tailrace.query.together.TOGETHER_QUERIES_MIN": 2,
    "tailrace.query.together.TOGETHER_ROWS": 3,
}
WORDS = ("apple", "pear", "apple pear", "plum")
QUERIES = ("*", "apple", "pear", "absent")


@dataclass
class Tail:
    """One client's whole life: the connections it had, and all that it was sent."""

    query: str
    start: int
    client: Client
    offsets: list[int] = field(default_factory=list)
    missed: list[tuple[int, int]] = field(default_factory=list)
    behind: int = 0

    def gather(self, history: ListHistory) -> None:
        self.check(history)
        self.offsets += self.client.offsets
        self.missed += self.client.missed
        self.client.offsets, self.client.hits, self.client.gaps, self.client.pinged = [], [], [], []

    def check(self, history: ListHistory) -> None:
        """Compare what this connection was told with what it was sent, and with what it was not sent."""
        query, counted = parse(self.query, 0), lambda gap: "digest" in gap
        for ping, rows, gaps in self.client.pinged:
            sent, declared = self.client.hits[:rows], self.client.gaps[:gaps]
            assert (ping["sent"], ping["digest"]) == (rows, history.digest(sent)), (sent, ping)
            assert ping["matched"] == rows + sum(gap["count"] for gap in filter(counted, declared)), (sent, ping)
            first, stop = (Cursor.parse(ping[name]).offset for name in ("from", "checkpoint"))
            lost = [range_of(gap) for gap in declared if not counted(gap) and gap["count"] is not None]
            meant = [n for n in history.expected(query, first, stop) if not any(a <= n < b for a, b in lost)]
            digests = [ping["digest"], *(gap["digest"] for gap in filter(counted, declared))]
            assert f"{sum(int(one, 16) for one in digests) % 2**64:016x}" == history.digest(meant), (sent, ping)
        for gap in self.client.gaps:
            if gap["why"] == "slow":
                skipped = history.expected(query, *range_of(gap))
                assert (gap["count"], gap["digest"]) == (len(skipped), history.digest(skipped)), gap


def range_of(gap: dict[str, Any]) -> tuple[int, int]:
    return Cursor.parse(gap["from"]).offset, Cursor.parse(gap["to"]).offset


class TailMachine(RuleBasedStateMachine):
    """Drives a hub, a bus and clients; ``teardown`` compares."""

    bus_bytes_max = 1_000
    behinds = (0, 5, 20)
    """How far behind a tail may be that skips; 0: it never does."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = [mock.patch(name, value) for name, value in BOUNDS.items()]
        for patch in self.patches:
            patch.start()
        self.loop = asyncio.new_event_loop()
        self.folder = tempfile.TemporaryDirectory()
        self.tails: list[Tail] = []

    @initialize()
    def begin(self) -> None:
        self.bus = DiskBus(Path(self.folder.name) / "bus", bytes_max=self.bus_bytes_max, segment_bytes=1_000)
        self.history = ListHistory(self.bus)
        self.start_hub()

    def start_hub(self) -> None:
        async def start() -> None:
            self.hub = Hub(self.bus, self.history)
            self.hub.start()

        self.loop.run_until_complete(start())

    async def turns(self, count: int) -> None:
        for _ in range(count):
            await asyncio.sleep(0)

    @rule(words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=9), turns=st.integers(0, 5))
    def append(self, words: list[str], turns: int) -> None:
        self.history.append(*words)
        self.loop.run_until_complete(self.turns(turns))

    def view(self, query: str) -> View:
        return View(parse(query, 0))

    @rule(query=st.sampled_from(QUERIES), data=st.data())
    def watch_from_now(self, query: str, data: st.DataObject) -> None:
        self.add(query, Now(), data.draw(st.sampled_from(self.behinds)))

    @rule(query=st.sampled_from(QUERIES), behind=st.integers(0, 60))
    def watch_after(self, query: str, behind: int) -> None:
        self.add(query, After(Checkpoint((self.history.at(max(0, self.bus.next.offset - behind)),))))

    @rule(query=st.sampled_from(QUERIES), count=st.integers(1, 20))
    def watch_last(self, query: str, count: int) -> None:
        held = self.history.expected(parse(query, 0), self.history.first, self.bus.next.offset)
        at_rest = self.hub.stats().queries == 0

        async def begin() -> Tail:
            client = watch(self.hub, self.view(query), Last(count))
            await client.located()
            return Tail(query, client.viewer.subscription.position.offset, client)

        tail = self.loop.run_until_complete(begin())
        if at_rest and len(held) >= count:
            assert tail.start == held[-count]
        self.tails.append(tail)

    def add(self, query: str, start: Now | After, behind: int = 0) -> None:
        async def begin() -> Tail:
            client = watch(self.hub, self.view(query), start, behind)
            offset = client.viewer.subscription.position.offset
            return Tail(query, offset, client, behind=behind)

        self.tails.append(self.loop.run_until_complete(begin()))

    @precondition(lambda self: self.tails)
    @rule(data=st.data(), sends=st.integers(1, 4), turns=st.integers(0, 20))
    def a_client_takes_something(self, data: st.DataObject, sends: int, turns: int) -> None:
        tail = data.draw(st.sampled_from(self.tails))

        async def take() -> None:
            for _ in range(sends):
                tail.client.take()
            await self.turns(turns)

        self.loop.run_until_complete(take())

    @precondition(lambda self: self.tails)
    @rule(data=st.data())
    def a_client_is_pinged(self, data: st.DataObject) -> None:
        tail = data.draw(st.sampled_from(self.tails))

        async def ping() -> None:
            tail.client.viewer.ping()

        self.loop.run_until_complete(ping())

    @precondition(lambda self: self.tails)
    @rule(data=st.data(), ping=st.booleans())
    def a_client_connects_again(self, data: st.DataObject, ping: bool) -> None:
        tail = data.draw(st.sampled_from(self.tails))

        async def reconnect() -> None:
            if ping:
                tail.client.viewer.ping()
                tail.client.take()
            self.resume(tail)

        self.loop.run_until_complete(reconnect())

    def resume(self, tail: Tail) -> None:
        """Drop the connection with all that is queued, and come back with the last id that was seen."""
        tail.gather(self.history)
        tail.client.viewer.close()
        seen = checkpoint(tail.client.last_id) if tail.client.last_id else Checkpoint((self.history.at(tail.start),))
        last_id = tail.client.last_id
        tail.client = watch(self.hub, self.view(tail.query), After(seen), tail.behind)
        tail.client.last_id = last_id

    @rule()
    def the_server_restarts(self) -> None:
        async def restart() -> None:
            for tail in self.tails:
                tail.client.take()
            await self.hub.close()
            self.hub = Hub(self.bus, self.history)
            self.hub.start()
            for tail in self.tails:
                self.resume(tail)

        self.loop.run_until_complete(restart())

    @rule(part=st.floats(0, 1))
    def retention_removes(self, part: float) -> None:
        """Remove the oldest records from the store, and whatever the bus is willing to let go."""
        self.bus.release(self.history.at(int(part * self.bus.next.offset)))
        self.history.first = max(self.history.first, min(self.bus.first.offset, int(part * self.bus.next.offset)))

    def teardown(self) -> None:
        try:
            if hasattr(self, "hub"):
                self.loop.run_until_complete(self.compare())
                self.bus.close()
        finally:
            self.loop.close()
            for patch in self.patches:
                patch.stop()
            self.folder.cleanup()

    async def compare(self) -> None:
        for tail in self.tails:
            await tail.client.until_now()
            tail.client.viewer.ping()
            await tail.client.until(lambda tail=tail: not tail.client.viewer.subscription.queued_bytes)
            tail.gather(self.history)
            self.judge(tail)
        await self.hub.close()

    def judge(self, tail: Tail) -> None:
        """Compare all that a tail was sent with what the log holds."""
        assert tail.offsets == self.wanted(tail), (tail.query, tail.start, tail.missed)

    def wanted(self, tail: Tail) -> list[int]:
        wanted = self.history.expected(parse(tail.query, 0), tail.start, self.bus.next.offset)
        return [offset for offset in wanted if not any(a <= offset < b for a, b in tail.missed)]


class ContextMachine(TailMachine):
    """The same with lines around the matches, of two services, where nothing is removed."""

    bus_bytes_max = 1_000_000
    behinds = (0,)

    @rule(
        words=st.lists(st.sampled_from(WORDS), min_size=1, max_size=9),
        service=st.sampled_from(["shop", "mail"]),
        turns=st.integers(0, 5),
    )
    def append(self, words: list[str], service: str, turns: int) -> None:
        self.history.append(*words, service=service)
        self.loop.run_until_complete(self.turns(turns))

    def retention_removes(self) -> None:
        """Not here: what is around a match may then be gone."""

    def view(self, query: str) -> View:
        return View(parse(query, 0), context=1 + QUERIES.index(query), counts=query == "pear")

    def wanted(self, tail: Tail) -> list[int]:
        query, lines = parse(tail.query, 0), []
        for batch in self.history.batches:
            lines += [(batch.streams[0].labels["service"], bool(hit)) for hit in query.filter.matches(batch)]
        around = self.view(tail.query).context
        return [offset for sent_at, offset, _ in grep(lines, around, 8) if sent_at >= tail.start]


class SampledMachine(TailMachine):
    """The same with tails that are shown a part: each connection's gaps say what it was not shown."""

    def view(self, query: str) -> View:
        return View(parse(query, 0), rate_max=1 + QUERIES.index(query))

    def judge(self, tail: Tail) -> None:
        meant = self.history.expected(parse(tail.query, 0), tail.start, self.bus.next.offset)
        assert tail.offsets == sorted(set(tail.offsets) & set(meant))


TestJoin = TailMachine.TestCase
TestJoin.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestContext = ContextMachine.TestCase
TestContext.settings = settings(max_examples=25, stateful_step_count=30, deadline=None)
TestSampled = SampledMachine.TestCase
TestSampled.settings = settings(max_examples=30, stateful_step_count=40, deadline=None)
