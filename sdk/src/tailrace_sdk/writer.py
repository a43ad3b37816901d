"""The asynchronous writer: the program appends to a queue, a thread does everything else.

    log() -> queue (bounded) -> this thread: encode, a batch at a time -> every sink

**The caller** checks the length of the queue and appends (time, shallow copy of the record, context): no lock, no
system call, no encoding. A deque's append is atomic, so threads, signal handlers and `__del__` may all log. What is
nested in a record is shared with the program until it is written: whoever changes it later changes the record.

**Waking.** While records come the thread looks every LOOK_S_MIN. When nothing comes it sets ``_attention`` to 0 and
sleeps: the one comparison of every ``log`` then leads to ``_attend``, which wakes it. ``_attend`` also starts the
thread (with the first record, so a program may fork before) and stands between a full queue and the program. A record
that slips past while the thread falls asleep is written ``flush_interval`` later: that is the most a record waits.

**Full.** ``log`` returns False, ``queue_full_events`` counts it; with ``block_s`` it waits that long for room first.
The newest is what is dropped. Threads that come at the same moment may exceed the bound by one record each.

**A sink that fails** is tried ``max_retries`` times more, ``retry_interval`` apart; then the batch is lost for it,
counted in ``errors``, and until it works again it gets one attempt for each batch, so it holds up neither the other
sinks nor the queue. Losses are also written: the next batch that gets through begins with a record that says how many.

**Fork.** The child begins with an empty queue, counters at zero and a thread of its own; what waited is the parent's.

**Exit.** `atexit` (and the exit of a `multiprocessing` child) drains the queue, FLUSH_S at most; what other handlers of
`atexit` log after that is written at once, in their thread. `os._exit` and SIGKILL
skip that: lost are the records of the queue and of the batch in hand, at most ``max_queue_size + batch_size``; as a
rule those of the last LOOK_S_MIN. ``flush`` beforehand loses none.

``enqueued == written + errors + queue_size`` whenever no batch is in hand; a call of ``log`` is in ``enqueued``,
``queue_full_events`` or ``after_shutdown``.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from contextvars import copy_context
from types import TracebackType
from typing import Any

from tailrace_sdk.context import Capture
from tailrace_sdk.count import Count
from tailrace_sdk.encode import Encoder
from tailrace_sdk.files import FileSink
from tailrace_sdk.limits import (
    BATCH_BYTES,
    BATCH_RECORDS,
    FLUSH_S,
    LOOK_S_MAX,
    LOOK_S_MIN,
    SLICE_RECORDS,
    SPARE_S,
)
from tailrace_sdk.plain import plain
from tailrace_sdk.sink import Partly, Sink

_time_ns = time.time_ns


class _State:
    """How one sink is doing."""

    __slots__ = ("dropped", "failing", "sink", "written")

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.failing = False
        self.written = 0
        self.dropped = 0


class AsyncLogWriter:
    """Writes records from any thread to files, a server, standard output, in the background."""

    def __init__(  # noqa: PLR0917 - in this order people know them
        self,
        log_dir: str | None = None,
        file_prefix: str = "realtime",
        max_queue_size: int = 10_000,
        flush_interval: float = 1.0,
        retry_interval: float = 0.5,
        max_retries: int = 3,
        *,
        sinks: Iterable[Sink] = (),
        fields: Mapping[str, Any] | None = None,
        batch_size: int = BATCH_RECORDS,
        block_s: float = 0.0,
    ) -> None:
        """Write to files in ``log_dir`` (None: none) and to ``sinks``; ``fields`` are of every record that has none."""
        if max_queue_size < 1 or batch_size < 1 or max_retries < 0 or min(flush_interval, retry_interval, block_s) < 0:
            raise ValueError("sizes are at least 1, times and retries at least 0")
        self._sinks: list[Sink] = [FileSink(log_dir, file_prefix)] if log_dir is not None else []
        self._sinks += sinks
        if not self._sinks:
            raise ValueError("records have nowhere to go: give log_dir or sinks")
        self._fields = dict(fields or {})
        self._max = max_queue_size
        self._high = max(max_queue_size // 2, 1)
        self._batch_size = batch_size
        self._flush_interval = max(flush_interval, 0.001)
        self._retry_interval = retry_interval
        self._max_retries = max_retries
        self._block_s = block_s
        self._fresh()
        _WRITERS.add(self)

    def _fresh(self) -> None:
        """Begin, or begin again in a forked child."""
        Capture.look()
        self._queue: deque[Any] = deque()
        self._attention = 0
        self._closed = False
        self._exiting = False
        self._asleep = False
        self._wake = threading.Lock()
        self._wake.acquire()
        self._starting = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._encoder = Encoder(self._fields)
        self._states = [_State(sink) for sink in self._sinks]
        self._full, self._late = Count(), Count()
        self._taken = self._written = self._errors = self._retries = self._batches = 0
        self._noted = 0  # losses that the records tell of already
        self._stop_at = float("inf")
        self._error = ""

    # In the program.

    def log(self, record: Mapping[str, Any]) -> bool:
        """Write a record some milliseconds later; False when it was dropped. Never raises, waits up to ``block_s``."""
        queue = self._queue
        if len(queue) >= self._attention and not self._attend():
            return self._log_late(_time_ns(), record)
        try:
            queue.append((_time_ns(), record.copy(), copy_context() if Capture.on else None))  # type: ignore[attr-defined]
        except Exception:  # noqa: BLE001 - it was not a dict
            queue.append((_time_ns(), _record_of(record), None))
        return True

    def log_at(self, time_ns: int, record: dict[str, Any]) -> bool:
        """Write a record that was made before, at ``time_ns`` since 1970, and that nobody changes any more."""
        queue = self._queue
        if len(queue) >= self._attention and not self._attend():
            return self._log_late(time_ns, record)
        queue.append((time_ns, record, copy_context() if Capture.on else None))
        return True

    def log_many(self, records: Iterable[Mapping[str, Any]]) -> int:
        """Write several records; return how many were not dropped."""
        return sum(map(self.log, records))

    def flush(self, timeout: float = FLUSH_S) -> bool:
        """Wait until every record logged before is written (for a server: acknowledged, or on disk)."""
        if threading.current_thread() is self._thread:
            return False
        until = time.monotonic() + timeout
        if self._thread is not None and not self._closed:
            done = threading.Event()
            self._queue.append((None, done, None))
            self._rouse()
            if not done.wait(timeout):
                return False
        elif self._queue and not self._closed:
            self._attend()
            return self.flush(timeout) if self._thread is not None else False
        flushed = [sink.flush(max(until - time.monotonic(), 0)) for sink in self._sinks]
        return all(flushed)

    def shutdown(self, timeout: float = FLUSH_S) -> bool:
        """Write what waits and end; False when the time was too short, what is left is lost and counted.

        Takes SPARE_S longer at most, to put on disk what a server did not take.
        """
        if self._closed:
            return not self._queue
        self._closed = True
        self._attention = 0
        self._stop_at = time.monotonic() + timeout
        self._stopping.set()
        if self._thread is None or not self._thread.is_alive():
            self._end()  # there never was a thread, or none may be started any more
        elif threading.current_thread() is not self._thread:
            self._rouse()
            self._thread.join(timeout + SPARE_S)
        left = not self._queue
        lost = self._full.value() + self._errors + len(self._queue)
        if lost:
            self._say(f"{lost} records were lost: {self._error or 'the queue was full'}")
        return left

    @property
    def is_shut_down(self) -> bool:
        """Return whether it takes no more records."""
        return self._closed

    def get_stats(self) -> dict[str, Any]:
        """Return the counters of this process."""
        size = len(self._queue)
        return {
            "enqueued": self._taken + size,
            "written": self._written,
            "errors": self._errors,
            "retries": self._retries,
            "batches": self._batches,
            "queue_full_events": self._full.value(),
            "queue_size": size,
            "after_shutdown": self._late.value(),
            "last_error": self._error,
            "sinks": [
                {"kind": one.sink.kind, "written": one.written, "dropped": one.dropped, **one.sink.get_stats()}
                for one in self._states
            ],
        }

    def __enter__(self) -> Any:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Shut down."""
        self.shutdown()

    def _attend(self) -> bool:
        """Do what ``log`` has no time for, and return whether there is room. Takes no lock that could be held."""
        if self._closed:
            return False
        self._attention = self._high
        if self._closed:  # meanwhile
            self._attention = 0
        Capture.look()
        if self._thread is None:
            self._start()
        else:
            self._rouse()
        if len(self._queue) < self._max:
            return True
        if self._block_s and threading.current_thread() is not self._thread:
            until = time.monotonic() + self._block_s
            while time.monotonic() < until:
                time.sleep(0.001)
                if len(self._queue) < self._max:
                    return True
        self._full.add()
        return False

    def _log_late(self, time_ns: int, record: Any) -> bool:
        """Write at once what is logged while the interpreter ends; refuse it after any other shutdown."""
        if not self._closed:
            return False  # the queue was full
        if not self._exiting or not self._starting.acquire(timeout=FLUSH_S):
            self._late.add()
            return False
        try:
            self._taken += 1
            self._encode([(time_ns, _record_of(record), None)])
        except Exception as error:  # noqa: BLE001 - the program must not notice
            self._failed(error)
        finally:
            self._starting.release()
        return True

    def exit(self) -> None:
        """Write what waits because the process ends. Whatever is logged even later is written by whoever logs it."""
        if not self._closed:
            self.shutdown()
            self._exiting = True

    def _rouse(self) -> None:
        if self._asleep:
            with contextlib.suppress(RuntimeError):  # another thread was faster
                self._wake.release()

    def _start(self) -> None:
        if self._starting.acquire(blocking=False):
            try:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="tailrace-sdk", daemon=True)
                    thread.start()
                    self._thread = thread
                    _drain_with_multiprocessing()
            except RuntimeError:  # the interpreter is ending: shutdown writes what waits
                self._attention = 0
            finally:
                self._starting.release()

    # The thread.

    def _run(self) -> None:
        pause = LOOK_S_MIN
        while not self._stopping.is_set():
            try:
                taken = self._turn()
            except BaseException as error:  # noqa: BLE001 - a thread that ends would lose everything after it
                self._failed(error)
                continue
            if taken >= self._batch_size:
                continue
            pause = LOOK_S_MIN if taken else pause * 2
            self._rest(pause)
        self._end()

    def _rest(self, pause: float) -> None:
        """Wait so long, or until half the queue is full or somebody flushes; after long silence, for a record."""
        self._asleep = True
        if pause > LOOK_S_MAX:
            pause = self._flush_interval
            self._attention = 0
        if len(self._queue) < max(self._attention, 1) and not self._stopping.is_set():
            self._wake.acquire(timeout=min(pause, self._flush_interval))
        self._asleep = False
        if self._queue and not self._closed:
            self._attention = self._high
            if self._closed:  # meanwhile
                self._attention = 0

    def _turn(self) -> int:
        """Write a batch and look after the sinks; return how many records it had."""
        Capture.look()
        queue = self._queue
        count = min(len(queue), self._batch_size)
        if count:
            take = queue.popleft
            self._batch([take() for _ in range(count)])
        for state in self._states:
            state.sink.tick()
        return count

    def _batch(self, entries: Sequence[Any]) -> None:
        flushes = [entry[1] for entry in entries if entry[0] is None]
        if flushes:
            entries = [entry for entry in entries if entry[0] is not None]
        try:
            if entries:
                self._taken += len(entries)
                self._encode(entries)
        finally:
            for done in flushes:
                done.set()

    def _encode(self, entries: Sequence[Any]) -> None:
        """Encode and write entries, large ones a few at a time."""
        pieces: list[bytes] = []
        size = records = 0
        for start in range(0, len(entries), SLICE_RECORDS):
            data, count = self._encoder.encode(entries[start : start + SLICE_RECORDS])
            pieces.append(data)
            size += len(data)
            records += count
            if size >= BATCH_BYTES:
                self._write(b"".join(pieces), records)
                pieces.clear()
                size = records = 0
        self._write(b"".join(pieces), records)

    def _write(self, data: bytes, count: int) -> None:
        """Give lines to every sink, and before them what was lost since the last ones."""
        if self._encoder.broken:
            self._errors += self._encoder.broken
            self._error = self._encoder.error
            self._encoder.broken = 0
        lost = self._full.value() + self._errors
        notices = int(lost > self._noted)
        if notices:
            data = self._notice(lost - self._noted) + data
        if not data:
            return
        least = count
        said = True
        for state in self._states:
            taken = self._offer(state, data, count + notices) - notices
            said = said and taken >= 0
            taken = max(taken, 0)
            state.written += taken
            state.dropped += count - taken
            least = min(least, taken)
        self._batches += 1
        self._written += least
        self._errors += count - least
        if said:
            self._noted = lost

    def _offer(self, state: _State, data: bytes, count: int) -> int:
        """Give a batch to a sink; return how many of its first lines it took."""
        attempts = 1 if state.failing else 1 + self._max_retries
        taken = 0
        for attempt in range(attempts):
            if attempt:
                self._retries += 1
                if self._stopping.wait(self._retry_interval) and time.monotonic() > self._stop_at:
                    break
            try:
                state.sink.write(data, count - taken)
            except Exception as error:  # noqa: BLE001 - whatever a sink raises, the program must not notice
                self._error = f"{state.sink.kind}: {error}"
                if isinstance(error, Partly):
                    taken += data.count(b"\n", 0, error.taken_bytes)
                    data = data[error.taken_bytes :]
            else:
                state.failing = False
                return count
        if not state.failing:
            state.failing = True
            self._say(f"records are being lost, {self._error}")
        return taken

    def _notice(self, lost: int) -> bytes:
        record = {
            "level": "warn",
            "message": f"{lost} records before this one were lost: {self._error or 'the queue was full'}",
            "logger": "tailrace_sdk",
            "lost": lost,
        }
        return self._encoder.encode([(_time_ns(), record, None)])[0]

    def _failed(self, error: BaseException) -> None:
        """Count what can only be a fault of ours, and do not turn in circles over it."""
        self._error = f"{type(error).__name__}: {error}"
        self._errors = self._taken - self._written
        self._stopping.wait(LOOK_S_MAX)

    def _end(self) -> None:
        """Write what is left, as long as there is time, and close the sinks."""
        with contextlib.suppress(Exception):
            while self._queue and time.monotonic() < self._stop_at:
                self._turn()
            lost = self._full.value() + self._errors
            if lost > self._noted:
                for state in self._states:
                    with contextlib.suppress(Exception):
                        state.sink.write(self._notice(lost - self._noted), 0)
        for state in self._states:
            with contextlib.suppress(Exception):
                state.sink.close(max(self._stop_at - time.monotonic(), 0))

    def _say(self, text: str) -> None:
        """Tell people: losses are never silent."""
        with contextlib.suppress(Exception):
            sys.stderr.write(f"tailrace_sdk: {text}\n")

    def _after_fork(self) -> None:
        closed = self._closed
        for sink in self._sinks:
            sink.after_fork()
        self._fresh()
        self._closed = closed


def _record_of(value: Any) -> dict[str, Any]:
    """Return a record for what is no dict."""
    simple = plain(value)
    return simple if isinstance(simple, dict) else {"message": simple if isinstance(simple, str) else str(simple)}


_WRITERS: weakref.WeakSet[AsyncLogWriter] = weakref.WeakSet()
_finalizer_of = 0


def _drain() -> None:
    for writer in list(_WRITERS):
        writer.exit()


def _drain_with_multiprocessing() -> None:
    """Drain also where a child of multiprocessing ends, which skips `atexit`."""
    global _finalizer_of  # noqa: PLW0603 - one for each process
    util = sys.modules.get("multiprocessing.util")
    if util is not None and _finalizer_of != os.getpid():
        _finalizer_of = os.getpid()
        util.Finalize(None, _drain, exitpriority=0)


def _begin_again() -> None:
    for writer in list(_WRITERS):
        writer._after_fork()


atexit.register(_drain)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_again)
