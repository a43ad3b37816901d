"""A second process that delivers: a hub of its own over the same bus, for streams that were moved to it.

It reads the bus as the main process tells it to, and nothing else: a stream that falls further behind than the bus goes
goes back to the main process, which has the store. It listens nowhere, writes nothing, and lets nobody in: who gets
here was let in and counted before.

Told to stop, it sends each tail its end and ends when its clients have it. When the main process dies, it ends at
once, and its clients with it: they come back with their checkpoints. Signals of the terminal are for the main process.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import uvloop

from tailrace.bus.view import BusView
from tailrace.limits import WORKER_GONE_MAX, WORKER_TICK_S
from tailrace.memory import few_arenas
from tailrace.tail.catchup import NoHistory
from tailrace.tail.connection import Connections
from tailrace.tail.hub import Hub
from tailrace.tail.moving import Bus, Packet, Stats, Stop, Tail, Wire, pack, unpack
from tailrace.tail.sse import EventStream
from tailrace.tail.subscription import State
from tailrace.tail.viewer import Viewer


class Worker:
    """See the head of this module; on the running event loop."""

    def __init__(self, end: socket.socket, view: BusView, connections: Connections) -> None:
        """Deliver what is moved here over ``end``, from the bus that ``view`` shows."""
        self.done = asyncio.Event()
        self._view = view
        self._hub = Hub(view, NoHistory())
        self._connections = connections
        self._streams: dict[int, EventStream] = {}
        self._gone: list[int] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._hub.start()
        self._wire = Wire(end, self._hear, self.done.set)

    async def run(self) -> None:
        """Deliver until told to stop, or the main process is gone."""
        while not self.done.is_set():
            self._look()
            try:
                await asyncio.wait_for(self.done.wait(), WORKER_TICK_S)
            except TimeoutError:
                continue
        self._wire.close()

    def _hear(self, packet: Packet, descriptor: int | None) -> None:
        match packet:
            case Bus():
                self._view.told(packet.first, packet.next)
            case Tail() if descriptor is not None:
                self._view.told(0, packet.next)
                self._begin(self._arrive(packet, descriptor))
            case Stop():
                self._begin(self._stop(packet.why))
            case _:
                raise ValueError(f"the main process says {packet!r}")

    async def _stop(self, why: str) -> None:
        await self._hub.close(why)
        await self._connections.close()
        self.done.set()

    async def _arrive(self, tail: Tail, descriptor: int) -> None:
        stream = await unpack(tail, descriptor, self._hub, self._connections)
        if stream is None:
            self._gone.append(tail.id)
        else:
            self._streams[tail.id] = stream

    def _look(self) -> None:
        """Give back the streams whose past is not here, once nothing is on their way; say how it is."""
        for number, stream in list(self._streams.items()):
            viewer = stream.source
            if stream.closed:
                del self._streams[number]
                self._gone.append(number)
            elif isinstance(viewer, Viewer) and viewer.subscription.state is State.ASTRAY:
                packed = pack(stream, viewer, number, self._view.next)
                if packed is not None:
                    del self._streams[number]
                    self._wire.send(*packed)
        now = self._hub.stats()
        gone, self._gone = self._gone[:WORKER_GONE_MAX], self._gone[WORKER_GONE_MAX:]
        self._wire.send(Stats(now.viewers, now.queries, now.rows_published, now.rows_delivered, now.rounds, gone))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _run(descriptor: str, directory: str, epoch: str, ping_s: str, stall_s: str) -> None:
    connections = Connections(float(ping_s), float(stall_s))
    await Worker(socket.socket(fileno=int(descriptor)), BusView(Path(directory), int(epoch)), connections).run()


def main() -> None:
    """Run ``python -m tailrace.tail.worker DESCRIPTOR DIRECTORY EPOCH PING_S STALL_S``, as the main process does."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    few_arenas()
    uvloop.run(_run(*sys.argv[1:]))


if __name__ == "__main__":
    main()
