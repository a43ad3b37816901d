"""Searches run in a few threads of their own, and their answers stream; the event loop never waits for a disk.

    handler -> Answer -> Pool.run -> thread: work(progress) yields chunks -> bounded queue -> client

Rules. At most SEARCHES_AT_ONCE_MAX work at a time, SEARCHES_WAITING_MAX wait in line, the next is told to come back.
A thread is at most SEARCH_QUEUE_CHUNKS ahead of its client; the time it waits for a slow client does not count against
the time it may take. When the client goes, the work is cancelled, and the thread notices at its next block.
An error before the first chunk becomes the answer's status; later the work itself must have said it.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncGenerator, Callable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from tailrace.errors import Busy
from tailrace.limits import SEARCH_QUEUE_CHUNKS, SEARCH_SECONDS_MAX, SEARCHES_AT_ONCE_MAX, SEARCHES_WAITING_MAX
from tailrace.metrics import Metrics
from tailrace.store import Cancelled, Progress

Work = Callable[[Progress], Iterator[bytes]]
Bill = Callable[[float, bool], None]
"""Told when a search has ended: the seconds that it took of a thread, and whether it ran out of its time."""
_LOOK_S = 0.2


class Pool:
    """The threads of all searches. Belongs to one event loop."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(SEARCHES_AT_ONCE_MAX, "search")
        self._running: dict[int, Progress] = {}

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, work: Work, progress: Progress, bill: Bill | None = None) -> AsyncGenerator[bytes]:
        """Yield what ``work`` yields in a thread; ends quietly when it was cancelled. Raises Busy, and its errors."""
        if len(self._running) >= SEARCHES_AT_ONCE_MAX + SEARCHES_WAITING_MAX:
            raise Busy("too many searches are waiting", retry_s=1, cure="Try again in a second.")
        loop = asyncio.get_running_loop()
        chunks: asyncio.Queue[bytes | None] = asyncio.Queue()
        room = threading.Semaphore(SEARCH_QUEUE_CHUNKS)

        def produce() -> None:
            progress.started = time.monotonic()  # waiting in line is not searching
            try:
                for chunk in work(progress):
                    _wait_for_room(room, progress)
                    loop.call_soon_threadsafe(chunks.put_nowait, chunk)
            except Cancelled:
                return

        def done(_: object) -> None:
            seconds = time.monotonic() - progress.started
            self._metrics.search_seconds.observe(seconds)
            if bill is not None:
                bill(seconds, progress.timed_out)
            end = "timed out" if progress.timed_out else "cancelled" if progress.cancelled else "answered"
            self._metrics.searches.labels(end).inc()
            self._running.pop(id(progress), None)
            chunks.put_nowait(None)

        self._running[id(progress)] = progress
        made = loop.run_in_executor(self._threads, produce)
        made.add_done_callback(done)
        try:
            while (chunk := await chunks.get()) is not None:
                room.release()
                yield chunk
            await made
        finally:
            progress.cancel()

    def close(self) -> None:
        """Cancel everything and wait for the threads."""
        for progress in self._running.values():
            progress.cancel()
        self._threads.shutdown(cancel_futures=True)


def _wait_for_room(room: threading.Semaphore, progress: Progress) -> None:
    began = time.monotonic()
    while not room.acquire(timeout=_LOOK_S):
        now = time.monotonic()
        progress.started += now - began
        began = now
        progress.check()


class Answer:
    """An ASGI answer whose body a thread makes; see the head of this module."""

    def __init__(self, pool: Pool, work: Work, media_type: str, saved: str = "", bill: Bill | None = None) -> None:
        """Take the work; ``saved`` is the name of the file as which a browser is to keep the answer."""
        self._pool = pool
        self._work = work
        self._bill = bill
        self._headers = [(b"content-type", media_type.encode()), (b"cache-control", b"no-store")]
        if saved:
            self._headers.append((b"content-disposition", f'attachment; filename="{saved}"'.encode()))

    async def __call__(
        self,
        scope: MutableMapping[str, Any],  # noqa: ARG002 - every ASGI application is given one
        receive: Callable[[], Any],
        send: Callable[[MutableMapping[str, Any]], Any],
    ) -> None:
        """Send the answer; stop the work when the client goes."""
        progress = Progress(SEARCH_SECONDS_MAX)
        gone = asyncio.ensure_future(_gone(receive, progress))
        started = False
        try:
            async with aclosing(self._pool.run(self._work, progress, self._bill)) as chunks:
                async for chunk in chunks:
                    if not started:
                        started = True
                        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            if not started:
                await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            gone.cancel()


async def _gone(receive: Callable[[], Any], progress: Progress) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    progress.cancel()
