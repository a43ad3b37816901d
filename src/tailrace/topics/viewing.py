"""Reading a topic for one viewer: a thread of its own, and the frames that its connection takes.

    thread   resolve the window -> assign (no group, no commit) -> consume -> match -> encode -> queue
    loop     the connection takes what is queued; it is told of news by ``listen``

Rules.
  order    Within a partition as it lies there; partitions as they come.
  frames   ``rows`` as in a tail; ``progress`` every TOPIC_PROGRESS_S while something is read, and as the sign of life;
           ``end`` when the window is at its end, the limit is reached, or reading has failed. Each rows and progress
           carries the checkpoint behind everything that was looked at, with which the same viewer goes on.
  full     When TAIL_QUEUE_BYTES_MAX wait for the client nothing more is consumed; what is fetched ahead is bounded.
  away     Brokers that go away are waited for: the client looks for them, and the viewer is told in ``progress``.
  closed   The thread notices within a tenth of a second. Nothing is left at the brokers.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from tailrace.bus.brokers import sentence
from tailrace.bus.partition import CUT_OFF, PARTITION_EOF
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import TailraceError
from tailrace.frame import End, Frame, Gap, Rows
from tailrace.limits import (
    TAIL_QUEUE_BYTES_MAX,
    TOPIC_MESSAGES,
    TOPIC_PROGRESS_S,
)
from tailrace.query import Query
from tailrace.tail.evaluate import Encode, pieces
from tailrace.topics.shown import Decoder, Messages, matching
from tailrace.topics.window import Catalog, Stretch, Window, checkpoint

if TYPE_CHECKING:
    from confluent_kafka import Consumer, Message

_WAIT_S = 0.05


class Progress:
    """How far a viewer is: messages and bytes read, messages that matched, and of how many there are to read."""

    def __init__(self) -> None:
        self.read = self.bytes = self.matched = 0
        self.total: int | None = None
        self.problem = ""
        self._began = time.monotonic()

    def json(self, next_: Checkpoint) -> bytes:
        """Return the data of a ``progress`` frame."""
        said: dict[str, Any] = {
            "read": self.read,
            "bytes": self.bytes,
            "matched": self.matched,
            "total": self.total,
            "took_ms": round((time.monotonic() - self._began) * 1000),
            "next": str(next_),
        }
        if self.problem:
            said["problem"] = self.problem
        return orjson.dumps(said)


class Viewing:
    """One viewer of a topic; a ``Source`` of a connection. Made, listened to, taken from and closed on the loop."""

    def __init__(
        self,
        catalog: Catalog,
        window: Window,
        query: Query,
        *,
        decoder: Decoder = "auto",
        limit: int = 0,
        encode: Encode,
        event: Callable[[str, str, bytes], bytes],
        on_close: Callable[[], object] = lambda: None,
    ) -> None:
        """Prepare; ``resolve`` and ``start`` follow. ``limit`` 0: without one.

        ``event`` (kind, id, JSON) makes the bytes of a frame that ``encode`` does not know.
        """
        self._catalog = catalog
        self._topic, self._window = catalog.name(window.topic), window
        self._query, self._limit = query, limit
        self._decoder: Decoder = decoder
        self._encode, self._event, self._on_close = encode, event, on_close
        self.progress = Progress()
        self._stretches: dict[int, Stretch] = {}
        self._nexts: dict[int, int] = {}
        self._queue: deque[bytes] = deque()
        self._queued_bytes = 0
        self._lock = threading.Condition()
        self._closed = self._is_asked = False
        self.ended = False
        self._on_news: Callable[[], object] = lambda: None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="topic", daemon=True)

    def resolve(self) -> None:
        """Ask the brokers what the window means: blocks. Raises BadInput, Away."""
        found = self._catalog.stretches(self._window)
        self._stretches = {one.partition: one for one in found}
        self._nexts = {one.partition: one.start for one in found}
        if all(one.stop is not None for one in found):
            self.progress.total = sum(max(0, (one.stop or 0) - one.start) for one in found)

    def start(self) -> None:
        """Begin to read, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._thread.start()

    # -- the connection's side -------------------------------------------------------------------------------------

    def listen(self, on_news: Callable[[], object]) -> None:
        """Have this called whenever there may be something to take."""
        self._on_news = on_news

    def take(self) -> bytes:
        """Return the next bytes, or nothing."""
        with self._lock:
            if not self._queue:
                return b""
            data = self._queue.popleft()
            self._queued_bytes -= len(data)
            self._lock.notify()
        return data

    def ping(self) -> None:
        """Have a sign of life queued: by the thread, which alone knows how far it is."""
        self._is_asked = True

    def close(self) -> None:
        """Stop; the client is gone."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._lock.notify()
        self._on_close()

    @property
    def checkpoint(self) -> Checkpoint:
        """How far everything was looked at."""
        return checkpoint(list(self._stretches.values()), self._nexts)

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            why = self._read()
        except TailraceError as error:
            self._end(str(error))
            return
        except Exception as fault:
            self._end(f"Reading has failed: {fault}")
            raise
        if why:
            self._end(why, done=True)

    def _read(self) -> str:
        """Read until something ends it; return what, or nothing when the client is gone."""
        consumer = self._catalog.brokers.consumer(self._wrong)
        try:
            self._assign(consumer)
            return self._follow(consumer)
        finally:
            consumer.close()

    def _assign(self, consumer: Consumer) -> None:
        from confluent_kafka import TopicPartition

        consumer.assign([TopicPartition(self._topic, partition, at) for partition, at in self._nexts.items()])

    def _follow(self, consumer: Consumer) -> str:
        said_s, said_at = time.monotonic(), 0
        while True:
            if self._at_end():
                return "Everything there was has been read."
            if not self._room():
                return ""
            if self._take_in(consumer.consume(TOPIC_MESSAGES, _WAIT_S), consumer):
                return f"The limit of {self._limit:,} is reached."
            is_due = self.progress.read != said_at and time.monotonic() - said_s >= TOPIC_PROGRESS_S
            if is_due or self._is_asked:
                self._is_asked = False
                said_s, said_at = time.monotonic(), self.progress.read
                self._say_progress()

    def _at_end(self) -> bool:
        return all(one.stop is not None and self._nexts[one.partition] >= one.stop for one in self._stretches.values())

    def _room(self) -> bool:
        """Wait until the client has taken enough; False when it is gone."""
        with self._lock:
            while self._queued_bytes >= TAIL_QUEUE_BYTES_MAX and not self._closed:
                self._lock.wait()
            return not self._closed

    def _wrong(self, sentence: str) -> None:
        self.progress.problem = sentence

    def _take_in(self, found: Sequence[Message], consumer: Consumer) -> bool:
        """Look at messages as they came; tell whether the limit is reached."""
        by_partition: dict[int, list[Message]] = {}
        cut_off: set[int] = set()
        # A Python loop over messages: Kafka's client gives an object for each.
        for message in found:
            error = message.error()
            if error is None:
                by_partition.setdefault(message.partition(), []).append(message)  # pyright: ignore[reportArgumentType]
            elif error.code() == PARTITION_EOF:
                # What lies between the last message and the end are marks of transactions.
                self._moved(message.partition(), message.offset())
            elif error.code() in CUT_OFF:
                cut_off.add(int(message.partition() or 0))
            else:
                self._wrong(sentence(error))
        for partition, messages in by_partition.items():
            self.progress.problem = ""
            if self._look(partition, messages):
                return True
        if cut_off:
            for partition in cut_off:
                self._skip(partition)
            self._assign(consumer)
        return False

    def _moved(self, partition: int | None, offset: int | None) -> None:
        if partition is not None and offset is not None:
            self._nexts[partition] = max(self._nexts[partition], offset)

    def _skip(self, partition: int) -> None:
        """Go on where a partition begins now: retention has removed what was to be read."""
        first = self._catalog.first(self._topic, partition)
        epoch, lost = self._stretches[partition].epoch, self._nexts[partition]
        self._moved(partition, first)
        gap = Gap(Cursor(epoch, lost), Cursor(epoch, first), first - lost, "expired", token=str(self.checkpoint))
        self._put(self._encode(gap))

    def _look(self, partition: int, found: list[Message]) -> bool:
        stretch = self._stretches[partition]
        behind = int(found[-1].offset() or 0) + 1
        if stretch.stop is not None and behind > stretch.stop:
            found = [message for message in found if int(message.offset() or 0) < (stretch.stop or 0)]
        messages = Messages(
            self._topic,
            partition,
            stretch.epoch,
            [message.offset() or 0 for message in found],
            [message.timestamp()[1] for message in found],
            [message.key() for message in found],  # type: ignore[misc]
            [message.value() for message in found],  # type: ignore[misc]
            [message.headers() for message in found],  # type: ignore[misc]
        )
        rows = self._query.piped(matching(self._query, messages, self._decoder))
        encoded = rows.json_rows() if len(rows) else []
        offsets = [] if rows.offsets is None else rows.offsets.tolist()
        left = self._limit - self.progress.matched if self._limit else len(encoded) + 1
        if len(encoded) >= left:
            encoded, behind = encoded[:left], offsets[left - 1] + 1
        self.progress.read += sum(offset < behind for offset in messages.offsets)
        self.progress.bytes += sum(map(len, filter(None, messages.values)))
        self.progress.matched += len(encoded)
        for first, stop in pieces(list(map(len, encoded))):
            self._nexts[partition] = behind if stop == len(encoded) else offsets[stop]
            self._put(self._encode(Rows(tuple(encoded[first:stop]), self.checkpoint, b"")))
        self._nexts[partition] = behind
        return len(encoded) >= left

    def _say_progress(self) -> None:
        here = self.checkpoint
        self._put(self._event("progress", str(here), self.progress.json(here)))

    def _end(self, why: str, *, done: bool = False) -> None:
        self._say_progress()
        frame: Frame = End(why, self.checkpoint, done=done)
        self._put(self._encode(frame), last=True)

    def _put(self, data: bytes, *, last: bool = False) -> None:
        with self._lock:
            self._queue.append(data)
            self._queued_bytes += len(data)
            self.ended = self.ended or last
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop was closed: nobody takes anything any more
                self._loop.call_soon_threadsafe(self._on_news)
