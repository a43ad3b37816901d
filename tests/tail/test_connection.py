"""Connections over real sockets: pings, stalling, the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

import pytest

from tailrace.limits import TAIL_STALL_S
from tailrace.tail.connection import Connection, Connections


class Lines:
    """A source of what it was given, that counts its pings."""

    def __init__(self) -> None:
        self.on_news: Callable[[], object] = lambda: None
        self.queue: list[bytes] = []
        self.pings = 0
        self.ended = self.closed = False

    def listen(self, on_news: Callable[[], object]) -> None:
        self.on_news = on_news

    def take(self) -> bytes:
        return self.queue.pop(0) if self.queue else b""

    def ping(self) -> None:
        self.pings += 1

    def close(self) -> None:
        self.closed = True

    def give(self, *data: bytes) -> None:
        self.queue += data
        self.on_news()


async def connected(connections: Connections) -> tuple[Lines, Connection, socket.socket]:
    """Return a source, its connection, and the client's end."""
    listener = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listener.getsockname())
    ours, _ = listener.accept()
    listener.close()
    source = Lines()
    _, connection = await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Connection(connections, source), ours
    )
    return source, connection, theirs


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.001)


def play(script: Callable[[Connections], Awaitable[None]], ping_s: float = 1000.0) -> None:
    async def run() -> None:
        connections = Connections(ping_s)
        await script(connections)
        await connections.close()

    asyncio.run(run())


def test_every_connection_pings_at_once_and_then_once_in_each_turn_of_the_wheel() -> None:
    async def script(connections: Connections) -> None:
        made = []
        for _ in range(20):
            made.append(await connected(connections))
            await asyncio.sleep(0.001)
        assert all(source.pings for source, _, _ in made)
        await until(lambda: min(source.pings for source, _, _ in made) >= 6)
        counts = [source.pings for source, _, _ in made]
        assert max(counts) - min(counts) <= 2
        for source, _, theirs in made:
            source.ended = True
            source.on_news()
            theirs.close()

    play(script, ping_s=0.1)


def test_what_is_given_arrives_and_the_end_closes_the_connection() -> None:
    async def script(connections: Connections) -> None:
        source, _, theirs = await connected(connections)
        source.give(b"one ", b"two")
        source.ended = True
        source.on_news()
        await until(lambda: source.closed)
        with theirs:
            assert theirs.recv(100) + theirs.recv(100) == b"one two"
        assert len(connections) == 0

    play(script)


def test_nothing_more_is_taken_for_a_client_that_does_not_read() -> None:
    async def script(connections: Connections) -> None:
        source, _, theirs = await connected(connections)
        source.give(*[b"x" * 100_000] * 200)
        left = len(source.queue)
        assert left > 150
        theirs.settimeout(20)
        received = 0
        while received < 200 * 100_000:
            received += len(await asyncio.to_thread(theirs.recv, 1 << 20))
        assert not source.queue
        theirs.close()
        await until(lambda: source.closed)

    play(script)


def test_a_client_is_cut_off_only_when_it_has_taken_nothing_for_the_whole_time() -> None:
    async def script(connections: Connections) -> None:
        source, connection, theirs = await connected(connections)
        source.give(*[b"x" * 4_000_000] * 2)
        now = asyncio.get_running_loop().time()
        size = connection.transport.get_write_buffer_size()
        connection.beat(now + TAIL_STALL_S - 1)
        await asyncio.to_thread(theirs.recv, 1 << 20)
        await until(lambda: connection.transport.get_write_buffer_size() < size)
        connection.beat(now + TAIL_STALL_S + 1)
        connection.beat(now + 2 * TAIL_STALL_S - 1)
        assert not connection.transport.is_closing()
        connection.beat(now + 2 * TAIL_STALL_S + 2)
        await until(lambda: source.closed)
        theirs.close()

    play(script)


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has it")
def test_the_kernel_is_told_to_give_up_a_machine_that_is_gone() -> None:
    async def script(connections: Connections) -> None:
        source, connection, theirs = await connected(connections)
        ours = connection.transport.get_extra_info("socket")
        assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == TAIL_STALL_S * 1000
        theirs.close()
        await until(lambda: source.closed)

    play(script)


def test_a_stop_waits_for_the_ends_and_cuts_off_who_takes_none(monkeypatch) -> None:
    monkeypatch.setattr("tailrace.tail.connection.STOP_SECONDS_MAX", 0.1)

    async def script(connections: Connections) -> None:
        quick, _, theirs = await connected(connections)
        stuck, _, stuck_theirs = await connected(connections)
        stuck.give(*[b"x" * 4_000_000] * 2)
        for source in (quick, stuck):
            source.ended = True
            source.give(b"end")
        await connections.close()
        assert theirs.recv(100) == b"end"
        await until(lambda: quick.closed and stuck.closed)
        theirs.close()
        stuck_theirs.close()

    play(script)
