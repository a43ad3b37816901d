"""Replay over the real store: parts, bus, indexer, merges and retention at work while windows are shown."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput, Busy
from tailrace.query import parse
from tailrace.tail.pace import PLACE, Place
from tailrace.tail.replay import Ranges, Replays, without
from tailrace.tail.sse import encode
from tailrace.tail.start import After
from tailrace.tail.subscription import State
from tailrace.tail.view import View
from tests.tail.test_history import Machine, make_small
from tests.tail.test_join import QUERIES, WORDS
from tests.tail.watching import Client

SECOND = 1_000_000_000


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    make_small(monkeypatch)
    monkeypatch.setattr("tailrace.tail.replay.REPLAY_PAGE_ROWS_FIRST", 4)
    monkeypatch.setattr("tailrace.tail.replay.REPLAY_PAGE_ROWS_MAX", 12)
    monkeypatch.setattr("tailrace.tail.replay.TAIL_QUEUE_BYTES_MAX", 1_500)
    monkeypatch.setattr("tailrace.tail.replay.REPLAY_COALESCE_S", 0.001)
    monkeypatch.setattr("tailrace.tail.pace.TAIL_FRAME_BYTES_MAX", 600)


@dataclass
class Watcher(Client):
    """A client of a replay, which notes the first checkpoint of the tail that follows."""

    live_from: int | None = None
    oldest: int = 0
    """Where the log began when the replay did."""

    def note(self, event: str, last_id: str, data: dict[str, Any]) -> None:
        if self.live_from is None and last_id and not last_id.startswith(PLACE):
            self.live_from = Cursor.parse(data["from"]).offset if event == "ping" else None
        super().note(event, last_id, data)


class Past:
    """A log on a real disk, replays of it, and the time of each record."""

    def __init__(self, folder: Path) -> None:
        self.machine = Machine(folder)
        self.replays = Replays(self.machine.hub)
        self.first_ns = time.time_ns() - 20 * SECOND

    def append(self, message: str, seconds: float) -> None:
        """Append a record that happened so many seconds after the window began."""
        self.machine.log.append(
            message, time=self.first_ns + int(seconds * SECOND), observed=self.machine.bus.next.offset
        )

    def begin(self, to: float | None = None) -> Place:
        return self.replays.begin(self.first_ns, None if to is None else self.first_ns + int(to * SECOND))

    def show(self, query: str, place: Place, speed: int | None) -> Watcher:
        viewer = self.replays.open(View(parse(query, 0)), place, speed, encode)
        viewer.ping()
        return Watcher(viewer, last_id=place.token(), oldest=place.oldest.cursors[0].offset)

    def again(self, query: str, client: Watcher, speed: int | None) -> Watcher:
        """Cut a client with all that is queued, and come back with the last id that it saw."""
        client.viewer.close()
        replaying = client.last_id.startswith(PLACE)
        place = Place.of(client.last_id) if replaying else After(Checkpoint.parse(client.last_id))
        viewer = self.replays.open(View(parse(query, 0)), place, speed, encode)
        viewer.ping()
        return replace(client, viewer=viewer)

    def wanted(self, query: str, live_from: int) -> list[int]:
        """Return what the window has, and from where it went live everything."""
        times = [int(at) for batch in self.machine.log.batches for at in batch.numpy("time")]
        found = self.machine.wanted(query)
        return [offset for offset in found if offset >= live_from or times[offset] >= self.first_ns]


@pytest.fixture
def past(tmp_path: Path) -> Past:
    return Past(tmp_path)


@pytest.mark.parametrize("seed", range(4))
def test_rows_and_gaps_are_the_window_and_then_everything_while_retention_removes(tmp_path: Path, seed: int) -> None:
    asyncio.run(_live_through(Past(tmp_path), random.Random(seed)))


async def _live_through(past: Past, chance: random.Random) -> None:
    machine = past.machine
    machine.hub.start()
    shows: list[tuple[str, Watcher]] = []
    for _ in range(80):
        await _anything(past, shows, chance)
    oldest = machine.history.held(machine.log.at(0))[0].offset
    shows = [(query, past.again(query, client, None)) for query, client in shows]
    for _, client in shows:
        await client.until_now()
        await client.until(lambda client=client: client.live_from is not None)
    for query, client in shows:
        assert client.live_from is not None
        missed = client.missed
        assert all(end <= oldest for _, end in missed), "records that are there were declared as missing"
        wanted = past.wanted(query, client.live_from)
        assert len(set(client.offsets)) == len(client.offsets)
        assert set(client.offsets) <= set(wanted)
        left_out = {offset for offset in wanted if offset >= client.oldest} - set(client.offsets)
        assert all(any(a <= offset < b for a, b in missed) for offset in left_out), (query, left_out, missed)
    await machine.close()


async def _anything(past: Past, shows: list[tuple[str, Watcher]], chance: random.Random) -> None:
    """Do one thing that may happen at any time."""
    what = chance.choices(("append", "index", "retain", "show", "take", "again"), (10, 3, 1, 1, 8, 3))[0]
    if what == "append":
        for _ in range(chance.randint(1, 8)):
            past.append(chance.choice(WORDS), chance.choice((-1, 0, 5, 5, chance.uniform(0, 20), 25)))
    elif what == "index":
        past.machine.index()
    elif what == "retain":
        past.machine.retain()
    elif what == "show":
        shows.append((query := chance.choice(QUERIES), past.show(query, past.begin(), chance.choice((20, 1000, None)))))
    elif shows:
        at = chance.randrange(len(shows))
        query, client = shows[at]
        for _ in range(chance.randint(1, 4)):
            client.take()
        if what == "again":
            shows[at] = query, past.again(query, client, chance.choice((20, 1000, None)))
    for _ in range(chance.randint(0, 30)):
        await asyncio.sleep(0.0001)


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 - a condition, and nobody who tells of it
            await asyncio.sleep(0.001)


async def _showing(past: Past, query: str, speed: int | None, to: float | None = None) -> Watcher:
    past.machine.hub.start()
    return past.show(query, past.begin(to), speed)


def _parts(past: Past) -> None:
    """Write a hundred records, a second apart from each other, in ten parts."""
    for number in range(100):
        past.append("apple", number / 10)
        if number % 10 == 9:
            past.machine.index()


def _remove(past: Past) -> int:
    """Have retention remove all but the newest parts, and return where the log begins now."""
    for number in range(80):
        past.append("apple", 15 + number / 100)
        if number % 20 == 19:
            past.machine.index()
    past.machine.retain()
    return past.machine.history.held(past.machine.log.at(0))[0].offset


@pytest.mark.parametrize("cut", [False, True])
def test_what_retention_removes_while_somebody_replays_is_a_gap(past: Past, cut: bool) -> None:
    async def play() -> None:
        _parts(past)
        client = await _showing(past, "*", 10, 30)
        await client.until(lambda: len(client.offsets) > 0)
        if cut:
            client.viewer.close()
        oldest = _remove(past)
        assert oldest > 100, "of what came while it was replayed something is gone, too"
        client = past.again("*", client, None) if cut else client
        await client.until(lambda: client.ended is not None)
        seen, gone = set(client.offsets), {n for first, end in client.missed for n in range(first, end)}
        assert len(seen) == len(client.offsets)
        assert seen | gone >= set(range(past.machine.bus.next.offset))
        assert seen >= set(range(oldest, past.machine.bus.next.offset))
        assert gone
        await past.machine.close()

    asyncio.run(play())


def test_a_window_shows_what_a_search_of_its_time_finds(past: Past) -> None:
    async def play() -> None:
        _parts(past)
        past.append("pear", 3)
        client = await _showing(past, "apple", 1000, 5.0)
        await client.until(lambda: client.ended is not None)
        assert client.offsets == list(range(51))
        assert client.viewer.subscription.state is State.ENDED
        await past.machine.close()

    asyncio.run(play())


def test_pipes_leave_of_the_records_what_they_leave_in_a_tail(past: Past) -> None:
    async def play() -> None:
        for second, message in enumerate(("apple", "pear", "apple pear")):
            past.append(message, second)
        client = await _showing(past, "apple | where pear | fields message", None, 10)
        await client.until(lambda: client.ended is not None)
        assert client.offsets == [2]
        await past.machine.close()

    asyncio.run(play())


def test_a_client_that_does_not_read_has_a_bounded_queue(past: Past) -> None:
    async def play() -> None:
        _parts(past)
        client = await _showing(past, "*", None)
        subscription = client.viewer.subscription
        await until(lambda: subscription.queued_bytes >= 1_500)
        for _ in range(100):
            await asyncio.sleep(0.001)
            assert subscription.queued_bytes < 1_500 + 2_000
        await past.machine.close()

    asyncio.run(play())


def test_an_end_of_the_server_leaves_the_client_with_the_place_it_was_at(past: Past) -> None:
    async def play() -> None:
        _parts(past)
        client = await _showing(past, "*", 1)
        await client.until(lambda: len(client.offsets) > 0)
        await past.machine.hub.close()
        await client.until(lambda: client.ended is not None)
        assert Place.of(client.last_id).after is not None
        past.machine.store.close()
        past.machine.bus.close()

    asyncio.run(play())


def test_more_replays_than_the_limit_are_told_to_come_back(past: Past, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tailrace.tail.replay.REPLAYS_MAX", 1)

    async def play() -> None:
        past.append("apple", 0)
        client = await _showing(past, "*", 1)
        with pytest.raises(Busy):
            past.show("*", past.begin(), 1)
        client.viewer.close()
        await until(lambda: not past.replays._count)
        await past.machine.close()

    asyncio.run(play())


def test_a_window_that_ends_before_it_begins_is_refused(past: Past) -> None:
    with pytest.raises(BadInput):
        past.begin(-1)
    asyncio.run(past.machine.close())


@pytest.mark.parametrize(
    ("ranges", "others", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(2, 4), (6, 20)], [(0, 2), (4, 6)]),
        ([(0, 4), (6, 10)], [(3, 7)], [(0, 3), (7, 10)]),
        ([(0, 4)], [(4, 8)], [(0, 4)]),
    ],
)
def test_ranges_without_others(ranges: Ranges, others: Ranges, left: Ranges) -> None:
    assert without(ranges, others) == left
