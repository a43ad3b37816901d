"""Whatever a client says and whenever: between two answers it gets exactly what the query of that time means."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Cursor
from tailrace.frame import Frame
from tailrace.query import parse
from tailrace.tail import poll
from tailrace.tail.conversation import Conversation
from tailrace.tail.hub import Hub
from tailrace.tail.start import Now, Since
from tailrace.tail.view import View
from tests.tail.watching import ListHistory

WORDS = ["apple", "pear", "plum", "fig"]
QUERIES = ["*", "apple", "pear", "apple or plum", "not fig"]


def encode(frame: Frame) -> bytes:
    return poll.encode(frame) + b"\n"


def converse(hub: Hub, query: str, start: Now | Since) -> Conversation:
    return Conversation(hub, View(parse(query, 0)), start, behind_max=0, encode=encode, write=lambda text: text + b"\n")


class Stretch:
    """What came between two answers."""

    def __init__(self, query: str, first: int, paused: bool) -> None:
        self.query, self.first, self.paused = query, first, paused
        self.offsets: list[int] = []
        self.stop: int | None = None
        """Where the next one begins, unless that was wished for."""


class Talker:
    """A client that says things at random, and takes what it is sent when it feels like it."""

    def __init__(self, conversation: Conversation, history: ListHistory, query: str) -> None:
        self.conversation, self.history = conversation, history
        self.stretches = [Stretch(query, history.bus.next.offset, paused=False)]
        self.pings: list[dict[str, Any]] = []
        self.jumped = False

    def take(self) -> bool:
        data = self.conversation.take()
        for line in data.splitlines():
            self.note(json.loads(line))
        return bool(data)

    def note(self, frame: dict[str, Any]) -> None:
        now = self.stretches[-1]
        if frame["event"] == "rows":
            now.offsets += [Cursor.parse(record["cursor"]).offset for record in frame["records"]]
        elif frame["event"] == "changed":
            first = Cursor.parse(frame["checkpoint"]).offset
            now.stop = None if frame.get("id") == "jump" else first
            self.stretches.append(Stretch(frame["q"], first, frame["paused"]))
        elif frame["event"] == "ping":
            self.pings.append(frame)

    async def say(self, **message: Any) -> None:
        """Say something as soon as the conversation listens, and take the answer."""
        count = len(self.stretches)
        while not self.conversation.listening:
            self.take()
            await asyncio.sleep(0)
        self.conversation.hear(json.dumps(message).encode())
        while len(self.stretches) == count:
            assert self.take()


async def live(path: Path, seed: int) -> tuple[Talker, ListHistory]:
    draw = random.Random(seed)
    bus = DiskBus(path / str(seed))
    history = ListHistory(bus)
    hub = Hub(bus, history)
    hub.start()
    talker = Talker(converse(hub, "*", Now()), history, "*")
    for _ in range(60):
        match draw.randrange(6):
            case 0 | 1:
                history.append(*draw.choices(WORDS, k=draw.randrange(1, 9)))
            case 2:
                for _ in range(draw.randrange(4)):
                    talker.take()
                    await asyncio.sleep(0.001 * draw.randrange(3))
            case 3:
                await talker.say(q=draw.choice(QUERIES))
            case 4:
                past = history.at(draw.randrange(bus.next.offset + 1))
                await talker.say(q=draw.choice(QUERIES), after=str(past), id="jump")
            case 5:
                await talker.say(**{draw.choice(["pause", "resume"]): True})
    history.append("apple")
    await talker.say(q="apple or pear", id="last")
    await talker.say(resume=True)
    history.append("pear", "fig")
    wanted = history.expected(parse("apple or pear", 0), talker.stretches[-1].first, bus.next.offset)
    async with asyncio.timeout(20):
        while True:
            talker.take()
            if talker.stretches[-1].offsets == wanted:
                break
            await asyncio.sleep(0.001)
    talker.conversation.close()
    await hub.close()
    bus.close()
    return talker, history


@pytest.mark.parametrize("seed", range(12))
def test_between_two_answers_stands_exactly_what_the_query_of_that_time_means(tmp_path: Path, seed: int) -> None:
    talker, history = asyncio.run(live(tmp_path, seed))
    assert len(talker.stretches) > 10
    for one in talker.stretches:
        stop = history.bus.next.offset if one.stop is None else one.stop
        wanted = [] if one.paused else history.expected(parse(one.query, 0), one.first, stop)
        if one.stop is None:
            assert one.offsets == wanted[: len(one.offsets)]
        else:
            assert one.offsets == wanted
        if one.paused and one.stop is not None:
            assert one.stop == one.first


def test_what_a_start_by_time_left_out_stays_left_out_over_a_pause(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("tailrace.tail.catchup.TAIL_CATCH_UP_ROWS", 10)

    async def run() -> Talker:
        bus = DiskBus(tmp_path / "bus")
        history = ListHistory(bus)
        for number in range(40):
            history.append("apple", time=(number % 2) * 1000)
        hub = Hub(bus, history)
        hub.start()
        talker = Talker(converse(hub, "apple", Since(500)), history, "apple")
        async with asyncio.timeout(20):
            while not talker.stretches[0].offsets:
                talker.take()
                await asyncio.sleep(0)
        await talker.say(pause=True)
        await talker.say(resume=True)
        history.append("apple", time=0)
        async with asyncio.timeout(20):
            while not talker.stretches[-1].offsets or talker.stretches[-1].offsets[-1] != 40:
                talker.take()
                await asyncio.sleep(0.001)
        await hub.close()
        bus.close()
        return talker

    talker = asyncio.run(run())
    assert [offset for one in talker.stretches for offset in one.offsets] == [*range(1, 40, 2), 40]
