"""Blocks on their way to the cluster: a few threads, each with one block, and patience.

A block is sent until all its documents are settled; what the answers mean stands in the head of the package. Between
tries a thread rests BULK_RETRY_S_MIN, doubled each time up to BULK_RETRY_S_MAX, each up to twice as long by chance.
Progress, be it one document, makes the next rest short again.

``end`` lets blocks be settled for a while; what is not by then stays unsettled, so its offsets are never committed.
"""

from __future__ import annotations

import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from tailrace.errors import TailraceError
from tailrace.indexing import answers
from tailrace.indexing.counts import Counts
from tailrace.limits import (
    BULK_BYTES_MAX,
    BULK_BYTES_MIN,
    BULK_RETRY_S_MAX,
    BULK_RETRY_S_MIN,
    BULKS_AT_ONCE,
)
from tailrace.store.elastic.client import Client, Rejected


class Letters(Protocol):
    """Where poison goes (dead.py)."""

    def put(self, letters: Sequence[tuple[Any, str]], ending: threading.Event) -> bool:
        """Keep (message, why) for a person; tell whether all are safe, which only ``ending`` prevents."""
        ...


class Block:
    """Documents of one request, each with the message that it was made from; ``settled`` never becomes false again."""

    __slots__ = ("documents", "messages", "nbytes", "settled")

    def __init__(self, documents: list[bytes], messages: Sequence[Any]) -> None:
        self.documents = documents
        self.messages = messages
        self.nbytes = sum(map(len, documents))
        self.settled = False


class Writing:
    """Brings blocks to the cluster from ``start`` until ``end``."""

    def __init__(self, client: Client, letters: Letters, counts: Counts, *, at_once: int = BULKS_AT_ONCE) -> None:
        self._client = client
        self._letters = letters
        self._counts = counts
        self._queue: queue.SimpleQueue[Block | None] = queue.SimpleQueue()
        self._moved = threading.Condition()
        self._ending = threading.Event()
        self._bytes_max = BULK_BYTES_MAX
        self._why: dict[int, str] = {}
        self.flight_bytes = 0
        self.blocks = 0
        names = range(at_once)
        self._threads = [threading.Thread(target=self._run, name=f"bulk {n}", daemon=True) for n in names]

    @property
    def problems(self) -> list[str]:
        """Why blocks are waiting now, each reason once."""
        return sorted(set(self._why.copy().values()))

    def start(self) -> None:
        """Begin to write."""
        for thread in self._threads:
            thread.start()

    def put(self, block: Block) -> None:
        """Take a block; it is settled some time."""
        with self._moved:
            self.blocks += 1
            self.flight_bytes += block.nbytes
        self._queue.put(block)

    def wait(self, enough: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until ``enough``, which is asked whenever a block was settled, for so long at most; return it."""
        with self._moved:
            return self._moved.wait_for(enough, timeout_s)

    def end(self, timeout_s: float) -> None:
        """Write what was taken, for so long at most, and end the threads."""
        self.wait(lambda: not self.blocks, timeout_s)
        self._ending.set()
        for _ in self._threads:
            self._queue.put(None)
        for thread in self._threads:
            thread.join(1.0)  # a request that is under way is left to itself

    def _run(self) -> None:
        while (block := self._queue.get()) is not None and not self._ending.is_set():
            try:
                settled = self._bring(block)
            except Exception as fault:
                self._why[threading.get_ident()] = f"writing has stopped, a restart goes on where it was: {fault!r}"
                raise
            if not settled:
                return
            with self._moved:
                block.settled = True
                self.blocks -= 1
                self.flight_bytes -= block.nbytes
                self._moved.notify_all()

    def _bring(self, block: Block) -> bool:
        """Have all documents of a block settled; False when this ends before."""
        pieces = deque(self._cut(block, list(range(len(block.documents)))))
        failures = 0
        while pieces:
            if self._ending.is_set():
                return False
            rows = pieces.popleft()
            try:
                answer = self._send(block, rows)
            except _TooMuch:
                pieces.extendleft(reversed(_halves(rows)))
                continue
            if answer.poison:
                letters = [(block.messages[rows[place]], why) for place, why in answer.poison]
                if not self._letters.put(letters, self._ending):
                    return False
                self._counts.add(dead=len(letters))
                self._counts.why = letters[-1][1]
            failures = 0 if answer.settled else failures + 1
            if not answer.again:
                self._why.pop(threading.get_ident(), None)
                continue
            pieces.appendleft([rows[place] for place in answer.again])
            self._why[threading.get_ident()] = answer.why
            self._counts.add(retries=1, rejected=answer.rejected)
            self._ending.wait(_pause_s(failures))
        return True

    def _cut(self, block: Block, rows: list[int]) -> list[list[int]]:
        """Return pieces that are as large as requests may be."""
        pieces: list[list[int]] = [[]]
        size = 0
        for row in rows:
            length = len(block.documents[row])
            if pieces[-1] and size + length > self._bytes_max:
                pieces.append([])
                size = 0
            pieces[-1].append(row)
            size += length
        return pieces

    def _send(self, block: Block, rows: list[int]) -> answers.Answer:
        """Send documents once, and return what became of them. Raises _TooMuch."""
        body = b"".join([block.documents[row] for row in rows])
        started = time.monotonic()
        try:
            said = self._client.raw("POST", "/_bulk", body, answers.ASKED)
            answer = answers.read(said, len(rows))
        except Rejected as error:
            return self._refused(error, len(body), len(rows))
        except (TailraceError, ValueError) as error:
            return answers.Answer(again=list(range(len(rows))), why=str(error))
        finally:
            self._counts.took(time.monotonic() - started)
        self._counts.add(written=answer.written, there=answer.there, written_bytes=len(body))
        return answer

    def _refused(self, error: Rejected, size: int, documents: int) -> answers.Answer:
        """Return what it means that a request was refused as a whole. Raises _TooMuch."""
        if error.status == 413 or (error.status == 400 and error.kind):  # an error page of a proxy has no kind
            if documents == 1:
                return answers.Answer(poison=[(0, f"{error.kind or error.status}: {error.message}")])
            if error.status == 413:
                self._bytes_max = max(min(self._bytes_max, size // 2), BULK_BYTES_MIN)
            raise _TooMuch
        busy = documents if error.status == 429 else 0
        return answers.Answer(again=list(range(documents)), why=str(error), rejected=busy)


class _TooMuch(Exception):
    """A request was refused as a whole for what is in it; its halves may be taken."""


def _halves(rows: list[int]) -> list[list[int]]:
    return [rows[: len(rows) // 2], rows[len(rows) // 2 :]]


def _pause_s(failures: int) -> float:
    """Return how long to rest: longer each time, and never the same twice."""
    pause = min(BULK_RETRY_S_MIN * 2 ** min(max(failures - 1, 0), 16), BULK_RETRY_S_MAX)
    return pause * (1 + random.random())  # noqa: S311 - only spreads
