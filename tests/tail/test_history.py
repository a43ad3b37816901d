"""The join rule over the real store: parts, bus, indexer, merges and retention at work while tails catch up.

As in test_join.py, a tail's rows plus its gaps have to be the filter over its cursors, in order; here against the real
history, with segments and parts so small that what a tail has to read is removed under its hands.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Checkpoint
from tailrace.errors import Gone
from tailrace.limits import SECOND_NS
from tailrace.query import parse
from tailrace.store import Progress, Search
from tailrace.store.parts import merge, part
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartSnapshot, PartStore
from tailrace.store.search import History
from tailrace.tail.hub import Hub
from tailrace.tail.start import After, Last, Now, Since, Start
from tailrace.tail.view import View
from tests.apps.programs import until
from tests.tail.test_join import BOUNDS, QUERIES, WORDS
from tests.tail.watching import Client, ListHistory, checkpoint, watch

KEEP_NS = 40
"""What the store keeps: the time of each record is its offset, in nanoseconds, so that many records."""


class Machine:
    """A log on disk, everything that works on it, and a plain list of what was ever appended."""

    def __init__(self, folder: Path) -> None:
        self.bus = DiskBus(folder / "bus", bytes_max=2_000, segment_bytes=2_000)
        self.store = PartStore(folder / "parts", retain_s=KEEP_NS / SECOND_NS)
        self.indexer = Indexer(self.bus, self.store)
        self.log = ListHistory(self.bus)
        self.history = History(self.bus, self.store)
        self.hub = Hub(self.bus, self.history)

    def append(self, *messages: str) -> None:
        at = self.bus.next.offset
        self.log.append(*messages, time=at, observed=at)

    def index(self) -> None:
        """Write a part of what is new; the bus may then let go of it."""
        self.indexer.step(0)
        self.indexer.flush()

    def retain(self) -> None:
        """Drop the oldest parts from the store, and merge."""
        while self.store.maintain(self.bus.next.offset):
            pass

    def wanted(self, query: str, start: int = 0) -> list[int]:
        return self.log.expected(parse(query, 0), start, self.bus.next.offset)

    def watch(self, query: str, start: Start) -> Client:
        return watch(self.hub, parse(query, 0), start)

    def watch_again(self, query: str, client: Client) -> Client:
        """Cut a client with all that is queued, and come back with the last id that it saw."""
        client.viewer.close()
        again = self.watch(query, After(checkpoint(client.last_id)))
        again.offsets, again.gaps, again.last_id = client.offsets, client.gaps, client.last_id
        return again

    async def close(self) -> None:
        await self.hub.close()
        self.store.close()
        self.bus.close()


def make_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tails fall behind and parts be merged after a few records."""
    for name, value in BOUNDS.items():
        monkeypatch.setattr(name, value)
    monkeypatch.setattr(part, "BLOCK_ROWS", 8)
    monkeypatch.setattr(merge, "PARTS_MERGE_MIN", 3)


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)


async def takes_a_little(client: Client, sends: int) -> None:
    """Take so many frames as they come, and leave the rest."""
    taken = 0
    async with asyncio.timeout(30):
        while taken < sends:
            taken += client.take()
            await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(12))
def test_rows_and_gaps_are_all_there_was_while_retention_removes_what_is_read(tmp_path: Path, seed: int) -> None:
    gaps = asyncio.run(_live_through(Machine(tmp_path), random.Random(seed)))
    assert gaps, "retention never came between: this test tests nothing"


async def _live_through(machine: Machine, chance: random.Random) -> int:
    machine.hub.start()
    tails: list[tuple[str, int, Client]] = []
    for _ in range(120):
        await _anything(machine, tails, chance)
    machine.append(*WORDS * 20)
    machine.index()
    machine.retain()
    tails.append(("*", 0, machine.watch("*", After(Checkpoint((machine.log.at(0),))))))
    gaps = 0
    oldest = machine.history.held(machine.log.at(0))[0].offset
    for query, start, client in tails:
        await client.until_now()
        missed = client.missed
        assert all(end <= oldest for _, end in missed), "records that are there were declared as missing"
        wanted = [at for at in machine.wanted(query, start) if not any(a <= at < b for a, b in missed)]
        assert client.offsets == wanted, (query, start, missed)
        gaps += len(missed)
    await machine.close()
    return gaps


async def _anything(machine: Machine, tails: list[tuple[str, int, Client]], chance: random.Random) -> None:
    """Do one thing that may happen at any time."""
    what = chance.choices(("append", "index", "retain", "watch", "take", "again"), (8, 4, 2, 1, 8, 3))[0]
    if what == "append":
        machine.append(*chance.choices(WORDS, k=chance.randint(1, 12)))
    elif what == "index":
        machine.index()
    elif what == "retain":
        machine.retain()
    elif what == "watch":
        query, end = chance.choice(QUERIES), machine.bus.next.offset
        start = chance.choice((0, max(0, end - 60), chance.randint(0, end), end))
        client = machine.watch(query, After(Checkpoint((machine.log.at(start),))))
        client.last_id = str(machine.log.at(start))
        tails.append((query, start, client))
    elif tails:
        at = chance.randrange(len(tails))
        query, start, client = tails[at]
        for _ in range(chance.randint(1, 4)):
            client.take()
        if what == "again":
            tails[at] = (query, start, machine.watch_again(query, client))
    for _ in range(chance.randint(0, 30)):
        await asyncio.sleep(0)


@pytest.fixture
def history(tmp_path: Path) -> Iterator[Machine]:
    """Two hundred records: the first hundred and fifty in parts, some of them on the bus too, the others only there."""
    machine = Machine(tmp_path)
    for number in range(20):
        machine.append(*(f"{'apple' if row % 3 else 'pear'} {number * 10 + row}" for row in range(10)))
        if number in (4, 9, 14):
            machine.index()
    assert machine.bus.first.offset > 0
    return machine


@pytest.mark.parametrize("count", [1, 30, 60, 100])
def test_the_last_matches_are_found_in_the_store_and_on_the_bus(history: Machine, count: int) -> None:
    async def run() -> list[int]:
        history.hub.start()
        client = history.watch("apple", Last(count))
        await client.located()
        await client.until_now()
        await history.close()
        return client.offsets

    wanted = history.wanted("apple")[-count:]
    assert asyncio.run(run()) == wanted


@pytest.mark.parametrize("start", [Last(90), Since(20)])
def test_a_tail_that_is_cut_in_its_history_goes_on_where_it_was(history: Machine, start: Start) -> None:
    wanted = history.wanted("apple", 20) if isinstance(start, Since) else history.wanted("apple")[-90:]

    async def run() -> list[int]:
        history.hub.start()
        client = history.watch("apple", start)
        await client.located()
        for _ in range(3):
            await takes_a_little(client, 2)
            assert 0 < len(client.offsets) < len(wanted)
            client = history.watch_again("apple", client)
        await client.until_now()
        await history.close()
        return client.offsets

    assert asyncio.run(run()) == wanted


def test_what_arrives_while_a_tail_reads_its_history_follows_it(history: Machine) -> None:
    wanted = history.wanted("*", 20)

    async def run() -> list[int]:
        history.hub.start()
        client, live = history.watch("*", Since(20)), history.watch("*", Now())
        await takes_a_little(client, 2)
        history.append("late", "later")
        history.index()
        await client.until_now()
        await live.until_now()
        assert live.offsets == [200, 201]
        await history.close()
        return client.offsets

    assert asyncio.run(run()) == [*wanted, 200, 201]


def test_a_search_does_not_leave_out_what_the_bus_lets_go_of_while_its_snapshot_is_taken(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    for number in range(8):
        machine.append(*(f"apple {number}-{row}" for row in range(20)))
    take = machine.store.snapshot

    @contextmanager
    def and_then_write_a_part() -> Iterator[PartSnapshot]:
        with take() as snapshot:
            machine.index()
            until(lambda: machine.bus.first.offset > 0)
            yield snapshot

    machine.store.snapshot = and_then_write_a_part
    search = Search(parse("apple", 0).filter, order="arrival")
    with pytest.raises(Gone):
        list(machine.history.scan(search, Progress(seconds_max=60)))
    machine.store.snapshot = take
    assert sum(map(len, machine.history.scan(search, Progress(seconds_max=60)))) == 160
    assert machine.bus.first.offset > 0
    asyncio.run(machine.close())


def test_counts_of_a_tail_add_up_to_the_values_of_a_search(tmp_path: Path) -> None:
    async def live() -> None:
        machine = Machine(tmp_path)
        machine.hub.start()
        machine.append(*WORDS)
        machine.index()
        client = watch(machine.hub, View(parse("apple", 0), counts=True), After(Checkpoint((machine.log.at(0),))))
        for service in ("shop", "mail", "shop"):
            machine.log.append("apple 1", "pear", time=machine.bus.next.offset, service=service)
            await client.until_now()
        search = Search(parse("apple", 0).filter)
        found = machine.history.values(search, "service", 10, Progress(60))
        counted: Counter[str] = Counter()
        for counts in client.counts:
            counted.update(counts["facets"]["service"])
        assert counted == found == {"shop": 4, "mail": 1}
        await machine.close()

    asyncio.run(live())


def test_context_is_the_same_from_the_store_and_from_the_bus(tmp_path: Path) -> None:
    async def live() -> None:
        machine = Machine(tmp_path)
        machine.hub.start()
        client = watch(machine.hub, View(parse("pear", 0), context=1), After(Checkpoint((machine.log.at(0),))))
        for number in range(40):
            machine.append(*(WORDS[(number + word) % 4] for word in range(number % 5 + 1)))
            await client.until_now()
            if number % 3 == 0:
                machine.index()
        again = watch(machine.hub, View(parse("pear", 0), context=1), After(Checkpoint((machine.log.at(0),))))
        await again.until_now()
        assert again.offsets == client.offsets
        await machine.close()

    asyncio.run(live())
