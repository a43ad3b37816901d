"""One output: a thread that brings an agent's log to one server. The rules stand in the head of the package.

    ask how far the server is -> read the bus from there -> block -> call -> the server's answer moves the position
         ^                                                            |
         +----------------- wait, longer each time <---- anything else

A position is moved by nothing but the server's word. It may move back: a server that has lost what it had gets it
again, as far as the spool still has it. What it asked for and nobody has any more is counted in ``lost``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable

import msgspec

from tailrace.bus.disk import DiskBus
from tailrace.cursor import Cursor
from tailrace.errors import DataError, Gone, TailraceError
from tailrace.limits import (
    BATCH_ROWS_MAX,
    BLOCK_READ_BYTES,
    SHIP_BRANCHES_MAX,
    SHIP_REST_S,
    SHIP_RETRY_AFTER_S_MAX,
    SHIP_RETRY_S_MAX,
    SHIP_RETRY_S_MIN,
)
from tailrace.record import Batch
from tailrace.ship.block import MEDIA_TYPE, PATH, Taken, encode, mark_of, source_of
from tailrace.ship.connection import Again, Answer, Connection, Failed, Server
from tailrace.ship.dead import DeadLetters

_IDLE_S = 0.5
_PROBLEM = "application/problem+json"


class OutputStatus(msgspec.Struct):
    """How an output is doing. ``state`` is asking (not answered yet), shipping, idle (the server has all), failing.

    ``waiting`` records are in the spool for it; ``dead`` were refused and are in ``dead_path``; ``lost`` are nowhere.
    """

    server: str
    state: str
    waiting: int
    shipped: int
    dead: int
    dead_path: str
    lost: int
    error: str


class _Delayed(Failed):
    """A refusal that may pass; the server wants to be left alone for so long."""

    def __init__(self, message: str, *, retry_after_s: float = 0.0, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.retry_after_s = retry_after_s


class _Piece:
    """Records that are shipped together, and the places of the log that they cover."""

    def __init__(self, batch: Batch, first: int, following: int) -> None:
        self.batch = batch
        self.first = first
        self.following = following

    def halves(self) -> tuple[_Piece, _Piece]:
        """Return both halves; what lies between two records is covered by the second."""
        at = len(self.batch) // 2
        left, right = self.batch.slice(0, at), self.batch.slice(at, len(self.batch))
        return _Piece(left, self.first, left.next.offset), _Piece(right, left.next.offset, self.following)


class Output:
    """Ships a bus to one server from ``start`` until ``stop``. ``on_taken`` is called whenever its position moved."""

    def __init__(
        self, bus: DiskBus, server: Server, dead: DeadLetters, *, host: str, on_taken: Callable[[], None]
    ) -> None:
        self.server = server
        self._bus = bus
        self._dead = dead
        self._host = host
        self._on_taken = on_taken
        self._connection = Connection(server)
        self._stopping = threading.Event()
        self._answered = False
        self._branch = 0
        self._heard: int | None = None
        self._again = False
        self._at = bus.first
        self._shipped = 0
        self._lost = 0
        self._failures = 0
        self._error: TailraceError | None = None
        self._thread = threading.Thread(target=self._run, name=f"ship {server.url}", daemon=True)

    @property
    def taken(self) -> Cursor:
        """The position before which the server has everything; the spool's beginning until it has said so."""
        return self._at if self._answered else self._bus.first

    @property
    def done(self) -> bool:
        """Whether there is nothing to wait for: the server has everything, or does not take it, or this has ended."""
        return not self._thread.is_alive() or self._error is not None or (self._answered and self._at >= self._bus.next)

    def start(self) -> None:
        """Begin to ship."""
        self._thread.start()

    def stop(self) -> None:
        """Ship no more; a call that is under way is left to itself (what it brings, the server will tell)."""
        self._stopping.set()

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, for so long at most."""
        self._thread.join(timeout_s)

    def status(self) -> OutputStatus:
        """Return how it is doing. From any thread."""
        error = self._error
        waiting = self._bus.next - self.taken
        state = "failing" if error else "asking" if not self._answered else "shipping" if waiting else "idle"
        said = f"{error.message}. {error.cure}".strip() if error else ""
        return OutputStatus(
            self.server.url,
            state,
            waiting,
            self._shipped,
            self._dead.records,
            str(self._dead.path),
            self._lost,
            said,
        )

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                try:
                    self._ship()
                except Again as error:
                    self._connection.close()
                    if self._again:  # twice, and nothing was taken between
                        self._error = error
                        self._stopping.wait(self._pause_s(0.0))
                    self._again = True
                except (Failed, DataError) as error:
                    self._error = error
                    self._failures += 1
                    self._connection.close()
                    self._stopping.wait(self._pause_s(getattr(error, "retry_after_s", 0.0)))
        except Exception as fault:
            self._error = Failed(f"shipping has stopped, a restart goes on where it was: {fault!r}")
            raise
        finally:
            self._connection.close()

    def _pause_s(self, retry_after_s: float) -> float:
        """Return how long to wait: longer each time, at least what the server asked for, and never the same twice."""
        pause = min(SHIP_RETRY_S_MIN * 2 ** min(self._failures - 1, 16), SHIP_RETRY_S_MAX)
        asked = min(retry_after_s, SHIP_RETRY_AFTER_S_MAX)
        return max(pause, asked) * (1 + random.random() * (0.2 if asked > pause else 1))  # noqa: S311 - only spreads

    def _ship(self) -> None:
        """Ask where the server is and deliver from there, until stopped or something fails."""
        self._begin(self._ask())
        while not self._stopping.is_set():
            if not self._bus.wait(self._at, _IDLE_S):
                continue
            piece = self._read()
            if piece is None:
                continue
            self._deliver(piece)
            self._failures = 0
            if piece.batch.nbytes < BLOCK_READ_BYTES // 2:
                self._stopping.wait(SHIP_REST_S)

    def _ask(self) -> int | None:
        """Return how far the server is; it goes to another branch while the server has other records than we."""
        for branch in range(SHIP_BRANCHES_MAX):
            self._branch = branch
            answer = self._connection.call("GET", f"{PATH}?source={self._source}")
            if answer.status != 200:
                raise _refusal(answer, self.server)
            known = self._believed(answer)
            if known.taken is None or self._is_ours(known.taken, known.mark):
                self._heard = known.taken
                return known.taken
        raise Failed("it has other records of this log than there are here, under every name that was tried")

    def _is_ours(self, taken: int, mark: str) -> bool:
        """Tell whether the last record that the server has is the one that is here, as far as that can be seen."""
        if taken > self._bus.next.offset:
            return False
        try:
            last = self._bus.read(Cursor(self._bus.epoch, max(taken - 1, 0)), 1)
        except Gone:  # shipped long ago, or damaged: nothing speaks against it
            return True
        if not last or last[0].first.offset != taken - 1:
            return True
        return mark_of(last[0].slice(0, 1)) == mark

    @property
    def _source(self) -> str:
        return source_of(self._bus.epoch, self._branch)

    def _begin(self, taken: int | None) -> None:
        at = max(Cursor(self._bus.epoch, taken or 0), self._bus.first)
        if taken is not None and at.offset > taken:
            self._lost += at.offset - taken
        self._at, self._answered, self._error = at, True, None
        self._on_taken()

    def _read(self) -> _Piece | None:
        """Return what follows on the bus, about BLOCK_READ_BYTES of it; None when damage or retention took it."""
        try:
            found = self._bus.read(self._at, BLOCK_READ_BYTES)
        except Gone as gone:
            self._lost += gone.next - self._at
            self._moved(gone.next.offset)
            return None
        rows = size = count = 0
        for batch in found:
            if count and (rows + len(batch) > BATCH_ROWS_MAX or size + batch.nbytes > 2 * BLOCK_READ_BYTES):
                break
            rows, size, count = rows + len(batch), size + batch.nbytes, count + 1
        if not count:
            return None
        batch = Batch.concat(found[:count])
        return _Piece(batch, self._at.offset, batch.next.offset)

    def _deliver(self, piece: _Piece) -> None:
        """Bring all of it to the server, or raise; what is refused for its content is halved, or kept as dead."""
        pieces = [piece]
        while pieces and not self._stopping.is_set():
            piece = pieces.pop()
            if len(piece.batch) > 1 and piece.batch.nbytes > 2 * BLOCK_READ_BYTES:  # a large frame of the bus
                pieces += reversed(piece.halves())
                continue
            body = encode(
                piece.batch,
                piece.first,
                piece.following,
                branch=self._branch,
                after=self._heard,
                host=self._host,
                end=self._bus.next.offset,
            )
            answer = self._connection.call("POST", PATH, body, media=MEDIA_TYPE)
            if answer.status in (200, 409):
                taken = self._believed(answer).taken
                if answer.status == 409 or taken != piece.following:
                    raise Again(f"it is not where it was: it has what is before {taken}")
                self._heard, self._again = taken, False
                self._shipped += len(piece.batch)
                self._delivered(piece)
            elif _is_poison(answer) and len(piece.batch) > 1:
                pieces += reversed(piece.halves())
            elif _is_poison(answer):
                self._dead.add(piece.batch, str(_refusal(answer, self.server)))
                self._delivered(piece)
            else:
                raise _refusal(answer, self.server)

    def _delivered(self, piece: _Piece) -> None:
        self._lost += piece.following - piece.first - len(piece.batch)  # damage may leave places without a record
        self._moved(piece.following)

    def _moved(self, offset: int) -> None:
        self._at = Cursor(self._bus.epoch, min(offset, self._bus.next.offset))
        self._on_taken()

    def _believed(self, answer: Answer) -> Taken:
        """Read what a server says about this log. Raises Failed when it says nothing that can be believed."""
        try:
            taken = msgspec.json.decode(answer.body, type=Taken)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Failed(
                f"its answer ({answer.status}) is none of a tailrace server",
                cure="Is the address right? What stands between?",
            ) from None
        if taken.source != self._source:
            raise Failed(f"it answered about another log ({taken.source[:80]})")
        return taken


def _is_poison(answer: Answer) -> bool:
    """Tell whether a server of ours has refused a block for what is in it; an error page of a proxy says nothing."""
    return answer.status in (400, 413) and answer.media == _PROBLEM


def _refusal(answer: Answer, server: Server) -> _Delayed:
    """Return what a refusal means, for people."""
    try:
        problem = msgspec.json.decode(answer.body, type=dict[str, object])
        detail, cure = str(problem.get("detail", "")), str(problem.get("cure") or "")
    except (msgspec.DecodeError, UnicodeDecodeError):
        detail = cure = ""
    if answer.status in (401, 403):
        cure = server.let_in
    if answer.status in (404, 405, 415) and not cure:
        cure = "Is the address right, and the server not older than this agent?"
    message = f"it answered {answer.status}{f': {detail[:300]}' if detail else ''}"
    return _Delayed(message, retry_after_s=answer.retry_after_s, cure=cure)
