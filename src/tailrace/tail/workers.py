"""More than one core: processes that deliver, beside the one that does everything.

Rules.
  when     The event loop of this process has used WORKER_BUSY_SHARE of its core for WORKER_BUSY_TICKS, it has
           WORKER_TAILS_MIN streams, and there is a core for one more: then a process is started, one at a time.
  who      Every tail begins here, where it is let in, counted and given its past. A stream that is live and has nothing
           on its way may move, some at a time, while another process has fewer; see moving.py. WebSockets and
           long-polls stay, and so does a stream that is charged by lines or bytes, or sees more or less than its query.
  back     What falls behind the bus comes back, because only this process reads the store.
  death    A process that dies takes its connections with it; their clients come back here with their checkpoints.
           One without tails for WORKER_IDLE_TICKS is stopped.
  stop     All processes are told at once; each ends its tails. Who takes longer than STOP_SECONDS_MAX is killed.

On the running event loop; starting a process is done in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tailrace.access.quota import Account
from tailrace.cursor import Cursor
from tailrace.limits import (
    STOP_SECONDS_MAX,
    WORKER_BUSY_SHARE,
    WORKER_BUSY_TICKS,
    WORKER_IDLE_TICKS,
    WORKER_MOVE_MAX,
    WORKER_TAILS_MIN,
    WORKER_TICK_S,
)
from tailrace.query import parse
from tailrace.tail.connection import Connections
from tailrace.tail.group import HubStats
from tailrace.tail.hub import Hub
from tailrace.tail.moving import Bus, Packet, Stats, Stop, Tail, Wire, pack, unpack
from tailrace.tail.sse import EventStream
from tailrace.tail.viewer import Viewer

_STEPS = 10
"""Moves of WORKER_MOVE_MAX in a tick."""


class _Process:
    """One other process, seen from here."""

    def __init__(self, running: subprocess.Popen[bytes], stats: Stats) -> None:
        self.running = running
        self.stats = stats
        self.wire: Wire | None = None
        self.accounts: dict[int, Account | None] = {}
        """Of every stream that was moved there and is not known to be gone."""
        self.idle_ticks = 0
        self.stopping = False


class Workers:
    """See the head of this module."""

    def __init__(
        self,
        hub: Hub,
        connections: Connections,
        directory: Path,
        *,
        count_max: int | None = None,
        busy_share: float = WORKER_BUSY_SHARE,
        tails_min: int = WORKER_TAILS_MIN,
    ) -> None:
        """Move streams of ``hub`` out of ``connections``, at most to ``count_max`` processes (a core less than are)."""
        self._hub, self._connections, self._directory = hub, connections, directory
        self._count_max = len(os.sched_getaffinity(0)) - 1 if count_max is None else count_max
        self._busy_share, self._tails_min = busy_share, tails_min
        self._processes: list[_Process] = []
        self._busy_ticks = 0
        self._said = False
        self._off: Callable[[], None] = lambda: None
        self._watch: asyncio.Task[None] | None = None
        self._arriving: set[asyncio.Task[None]] = set()
        self._past = Stats()
        self._numbers = itertools.count()
        self.error = ""
        """Why the last process could not be started, or ended by itself."""

    def start(self) -> None:
        """Begin to look at how busy this process is; on a machine with one core there is nothing to look for."""
        if self._count_max > 0:
            self._watch = asyncio.get_running_loop().create_task(self._look(), name="workers")

    @property
    def elsewhere(self) -> int:
        """How many streams are in other processes."""
        return sum(len(one.accounts) for one in self._processes)

    @property
    def pids(self) -> list[int]:
        """The processes that run now."""
        return [one.running.pid for one in self._processes]

    @property
    def _log_next(self) -> Cursor:
        """The end of the bus: what several processes read together is one log."""
        (end,) = self._hub.bus.next.cursors
        return end

    def stats(self) -> HubStats:
        """Return what the hubs of all processes do together."""
        here = self._hub.stats()
        others = [self._past, *(one.stats for one in self._processes)]
        return HubStats(
            viewers=here.viewers + self.elsewhere,
            queries=max([here.queries, *(one.queries for one in others)]),
            rows_published=here.rows_published + sum(one.rows_published for one in others),
            rows_delivered=here.rows_delivered + sum(one.rows_delivered for one in others),
            rounds=here.rounds + sum(one.rounds for one in others),
        )

    async def close(self, why: str = "The server is stopping; connect again.") -> None:
        """Have every process end its tails, and end."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._off()
        ending = list(self._processes)
        for one in ending:
            one.stopping = True
            if one.wire is not None:
                one.wire.send(Stop(why))
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, _reap, one.running) for one in ending))
        for one in ending:
            if one.wire is not None:
                one.wire.close()
        self._processes.clear()

    async def _look(self) -> None:
        used, began = time.thread_time(), time.monotonic()
        while True:
            await asyncio.sleep(WORKER_TICK_S)
            share = (time.thread_time() - used) / (time.monotonic() - began)
            used, began = time.thread_time(), time.monotonic()
            self._busy_ticks = self._busy_ticks + 1 if share >= self._busy_share else 0
            enough = len(self._connections) >= self._tails_min
            if self._busy_ticks >= WORKER_BUSY_TICKS and enough and len(self._processes) < self._count_max:
                self._busy_ticks = 0
                try:
                    await self._begin()
                except OSError as error:
                    self.error = f"a process that delivers cannot be started: {error.strerror or error}"
            for one in list(self._processes):
                one.idle_ticks = 0 if one.accounts else one.idle_ticks + 1
                if one.idle_ticks > WORKER_IDLE_TICKS and one.wire is not None:
                    one.stopping = True
                    one.wire.send(Stop("nobody watches"))
            await self._balance()

    async def _begin(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            running = await asyncio.get_running_loop().run_in_executor(
                None, _spawn, theirs, self._directory, self._log_next.epoch, self._connections
            )
        except OSError:
            ours.close()
            raise
        one = _Process(running, Stats())
        one.wire = Wire(ours, lambda packet, descriptor: self._hear(one, packet, descriptor), lambda: self._gone(one))
        self._processes.append(one)
        if len(self._processes) == 1:
            loop = asyncio.get_running_loop()

            def committed() -> None:
                if not self._said:
                    self._said = True
                    with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                        loop.call_soon_threadsafe(self._tell)

            self._off()
            self._off = self._hub.bus.on_commit(committed)
        self._tell()

    def _tell(self) -> None:
        """Tell all processes how far the bus goes."""
        self._said = False
        (first,) = self._hub.bus.first.cursors
        bus = Bus(first.offset, self._log_next.offset)
        for one in list(self._processes):
            if one.wire is not None:
                one.wire.send(bus)

    def _hear(self, one: _Process, packet: Packet, descriptor: int | None) -> None:
        match packet:
            case Stats():
                one.stats = packet
                for number in packet.gone:
                    _close(one.accounts.pop(number))
            case Tail() if descriptor is not None:
                task = asyncio.get_running_loop().create_task(self._take_back(one, packet, descriptor))
                self._arriving.add(task)
                task.add_done_callback(self._arriving.discard)
            case _:
                raise ValueError(f"a process says {packet!r}")

    async def _take_back(self, one: _Process, tail: Tail, descriptor: int) -> None:
        account = one.accounts.pop(tail.id)
        stream = await unpack(tail, descriptor, self._hub, self._connections)
        if stream is not None and isinstance(stream.source, Viewer) and not stream.closed:
            stream.source.bill(account)
        else:
            _close(account)

    def _gone(self, one: _Process) -> None:
        """Forget a process that ended; what it has delivered still counts."""
        if one in self._processes:
            self._processes.remove(one)
            self._past.rows_published += one.stats.rows_published
            self._past.rows_delivered += one.stats.rows_delivered
            self._past.rounds += one.stats.rounds
            for account in one.accounts.values():
                _close(account)
            reaped = asyncio.get_running_loop().run_in_executor(None, _reap, one.running)
            reaped.add_done_callback(lambda done: self._note(one, done.result()))

    def _note(self, one: _Process, status: int) -> None:
        if not one.stopping:
            self.error = f"a process that delivers ended by itself (status {status}); its clients have come back"

    async def _balance(self) -> None:
        """Move streams to the process with the fewest, until it has as many as there are here."""
        for _ in range(_STEPS):
            able = [one for one in self._processes if not one.stopping]
            if not able:
                return
            fewest = min(able, key=lambda one: len(one.accounts))
            count = min((len(self._connections) - len(fewest.accounts)) // 2, WORKER_MOVE_MAX)
            if count < min(self._tails_min, WORKER_MOVE_MAX) // 2 or fewest.wire is None or fewest.wire.waiting:
                return
            self._move(fewest, fewest.wire, count)
            await asyncio.sleep(WORKER_TICK_S / _STEPS / 2)

    def _move(self, to: _Process, wire: Wire, count: int) -> None:
        movable: dict[str, bool] = {}
        end = self._log_next
        moved = 0
        for stream in self._connections:
            viewer = stream.source
            if not isinstance(stream, EventStream) or not isinstance(viewer, Viewer):
                continue
            key = viewer.key
            if key not in movable:
                # What cannot be said again in the same words means something only here.
                text = str(viewer.view.query)
                movable[key] = viewer.view.is_plain and str(parse(text, 0)) == text
            number, account = next(self._numbers), viewer.account
            packed = pack(stream, viewer, number, end) if movable[key] else None
            if packed is not None:
                to.accounts[number] = account
                wire.send(*packed)
                moved += 1
                if moved >= count:
                    return


def _close(account: Account | None) -> None:
    if account is not None:
        account.close_tail()


def _spawn(theirs: socket.socket, directory: Path, epoch: int, connections: Connections) -> subprocess.Popen[bytes]:
    given = [theirs.fileno(), directory, epoch, connections.ping_s, connections.stall_s]
    with theirs:
        command = [sys.executable, "-m", "tailrace.tail.worker", *map(str, given)]
        return subprocess.Popen(command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL)  # noqa: S603


def _reap(running: subprocess.Popen[bytes]) -> int:
    try:
        return running.wait(STOP_SECONDS_MAX + 1)
    except subprocess.TimeoutExpired:
        running.kill()
        return running.wait()
