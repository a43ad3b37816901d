"""Long-poll: the frames of a tail, one answer at a time, for clients that cannot hold a stream.

Each call is a tail of its own that begins at ``after`` and ends with its answer: what there is at once, else what comes
within ``wait`` seconds, else nothing. ``next`` is where the following call begins; nothing is kept in between.
"""

from __future__ import annotations

import asyncio
import contextlib

import orjson

from tailrace.frame import EVENTS, Frame
from tailrace.tail.viewer import Viewer


def encode(frame: Frame) -> bytes:
    """Return a frame as one JSON object that names its event."""
    return b'{"event":"%b",%b' % (EVENTS[type(frame)].encode(), frame.json()[1:])


async def answer(viewer: Viewer, wait_s: float) -> bytes:
    """Return the answer of one call: ``{"frames":[...],"next":"..."}``."""
    news = asyncio.Event()
    viewer.listen(news.set)
    with contextlib.suppress(TimeoutError):  # Nothing came: the answer is empty, and says from where to go on.
        async with asyncio.timeout(wait_s):
            while not viewer.subscription.queued_bytes:
                await news.wait()
                news.clear()
    while not viewer.located:
        await news.wait()
        news.clear()
    frames = viewer.take_frames()
    return b'{"frames":[%b],"next":%b}' % (b",".join(frames), orjson.dumps(str(viewer.checkpoint)))
