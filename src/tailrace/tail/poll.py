"""Long-poll: the frames of a tail, one answer at a time, for clients that cannot hold a stream.

Each call is a tail of its own that begins at ``after`` and ends with its answer: what there is at once, else what comes
within ``wait`` seconds, else nothing. What is there already is read first, so that an answer without frames has got on,
or stands at the end. ``from`` is where this call began, ``next`` where the following one begins; nothing is kept in
between.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

import orjson

from tailrace.cursor import Position
from tailrace.frame import EVENTS, Frame
from tailrace.limits import POLL_WAIT_S_MAX
from tailrace.tail.subscription import Subscription
from tailrace.tail.viewer import Viewer


def encode(frame: Frame) -> bytes:
    """Return a frame as one JSON object that names its event."""
    return b'{"event":"%b",%b' % (EVENTS[type(frame)].encode(), frame.json()[1:])


async def answer(viewer: Viewer, wait_s: float) -> bytes:
    """Return the answer of one call: ``{"from":"...","frames":[...],"next":"..."}``."""
    subscription, news = viewer.subscription, asyncio.Event()
    viewer.listen(news.set)
    await _while(lambda: not viewer.located, news, None)
    start = subscription.position
    # What is there already is read first, however short the wait: who does not wait gets on all the same.
    await _while(lambda: _unread(subscription, start), news, POLL_WAIT_S_MAX)
    await _while(lambda: not subscription.queued_bytes, news, wait_s)
    frames = viewer.take_frames()
    began, here = orjson.dumps(str(subscription.counted_from)), orjson.dumps(str(viewer.checkpoint))
    return b'{"from":%b,"frames":[%b],"next":%b}' % (began, b",".join(frames), here)


def _unread(subscription: Subscription, start: Position) -> bool:
    return not subscription.queued_bytes and subscription.reading and subscription.position == start


async def _while(holds: Callable[[], bool], news: asyncio.Event, seconds_max: float | None) -> None:
    """Wait for news while this holds, or until the time is up."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds_max):
            while holds():
                await news.wait()
                news.clear()
