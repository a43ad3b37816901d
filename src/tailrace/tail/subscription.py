"""One tail, as a state machine without I/O: events in, encoded frames out.

``position`` is where everything before has been queued for the client (or declared missing): a cursor, or one in each
of several logs. It never goes back, and every frame that is queued begins exactly there: so a tail shows nothing twice
and leaves nothing out. A frame is about one log, so each moves the position in one.

    state     what it means                                                  event         -> next state
    BEHIND    the tail reads for itself, from ``position``                    attached(at)  -> JOINING, or LIVE when
                                                                                               position == at
                                                                             read(chunk)   -> BEHIND
                                                                             missing(gap)  -> BEHIND
    JOINING   the hub's chunks from ``joined_at`` on are held back,           read(chunk)   -> LIVE when it ends at
              [position, joined_at) is still being read                                        joined_at, else JOINING
                                                                             published(c)  -> JOINING, or BEHIND when
                                                                                               too much would be held
    LIVE      the hub's chunks are queued as they come                       published(c)  -> LIVE, or BEHIND when the
                                                                                               queue is full: position
                                                                                               is then where c begins
    either    the hub has lost its place on the bus                          let_go()      -> BEHIND
    BEHIND    what follows cannot be read in this process                    stray()       -> ASTRAY
    ASTRAY    the tail waits to be moved to another process                   end()         -> ENDED
    ENDED     an ``End`` frame is the last of the queue                       any           -> ENDED

What sampling leaves out of a chunk is declared by a gap before its rows, so whoever is told of a position has been told
of everything before it.

The queue is bounded in bytes: a tail whose queue is full is not ``reading``, so nothing is read for it until its client
has taken something. The bytes in it are shared with all tails of the same query and transport.

A restart of the server, a cut connection and a change of transport are all the same thing: a new subscription at the
newest checkpoint that the client has seen (``resume``).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum

from tailrace.cursor import Checkpoint, Position
from tailrace.frame import End, Frame, Gap, Ping
from tailrace.limits import TAIL_QUEUE_BYTES_MAX, TAIL_SEND_BYTES
from tailrace.tail.evaluate import Chunk, Encode
from tailrace.tally import NOTHING


class State(Enum):
    """See the table at the head of this module."""

    BEHIND = "behind"
    JOINING = "joining"
    LIVE = "live"
    ASTRAY = "astray"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Standing:
    """All that a tail is while nothing is queued for it: with it, it goes on in another process as if it had stayed.

    The same names in ``Subscription`` mean the same; ``start`` and ``missing`` say how many records were looked at.
    """

    position: Position
    start: Position
    counted_from: Position
    missing: int
    sent: int
    matched: int
    observed_ns: int


def resume(after: Checkpoint, end: Position) -> tuple[Position, list[Gap]]:
    """Return where a client that has seen ``after`` goes on, and the gaps to declare before.

    ``end`` is the end of the log, of every log there is. One that the client knows nothing of is read from its
    beginning, as a partition that was added since. But when it knows logs that are there no more (the data was made
    anew), or none at all, that is a gap of unknown count, ``reset``. So is a place beyond the end (the data was put
    back from an older copy): there it goes on from the end.
    """
    position, gaps = end.beginning, list[Gap]()
    unknown = [last.beginning for last in end.cursors if after.get(last.epoch) is None]
    gone = [seen for seen in after.cursors if end.get(seen.epoch) is None]
    if unknown and (gone or len(unknown) == len(end.cursors)):
        gaps.append(Gap(gone[0] if gone else None, unknown[0], None, "reset"))
    for last in end.cursors:
        seen = after.get(last.epoch)
        if seen is not None and last < seen:
            gaps.append(Gap(seen, last, None, "reset"))
            position = position.with_cursor(last)
        elif seen is not None:
            position = position.with_cursor(seen)
    return position, gaps


class Subscription:
    """See the head of this module. Not thread-safe: one thread owns it."""

    __slots__ = ("_encode", "_has_past", "_held", "_held_bytes", "_missing", "_queue", "_start", "counted_from",
                 "joined_at", "matched", "observed_ns", "position", "queued_bytes", "sent", "state", "token",
                 "was_live")  # fmt: skip

    def __init__(self, encode: Encode, position: Position) -> None:
        """Begin at ``position``: records before it are of no interest or have been seen."""
        self.state = State.BEHIND
        self.position = position
        self.joined_at: Position | None = None
        self.was_live = False
        self.token = ""
        self.sent = self.matched = NOTHING
        self.observed_ns = 0
        self.queued_bytes = 0
        self._start = self.counted_from = position
        self._has_past = False
        self._missing = 0
        self._encode = encode
        self._queue: deque[bytes] = deque()
        self._held: list[Chunk] = []
        self._held_bytes = 0

    @property
    def reading(self) -> bool:
        """Whether the tail has to read for itself now, and has room for what it finds."""
        return self.state in (State.BEHIND, State.JOINING) and self.queued_bytes < TAIL_QUEUE_BYTES_MAX

    def move(self, position: Position, counted_from: Position | None = None) -> None:
        """Set where to begin, before anything was read there: for starts that have to be looked up.

        What is sent from ``counted_from`` on is counted: before it, the time of a record decides whether it is sent.
        """
        self.token = ""
        self.sent = self.matched = NOTHING
        self._missing = 0
        self.position = self._start = position
        self.counted_from = counted_from or position
        self._has_past = counted_from is not None

    def replayed(self, frame: Frame) -> None:
        """Queue a frame of a replay, which comes before ``position`` and is resumed with a token of its own."""
        if self.state is not State.ENDED:
            self._put(self._encode(frame))
            self.token = str(frame.next)

    def attached(self, at: Position) -> None:
        """Note that the hub publishes to this tail from ``at`` on (not before ``position``)."""
        if self.state is not State.BEHIND or not self.position <= at:
            raise ValueError(f"cannot attach at {at}: {self.state} at {self.position}")
        self.joined_at = at
        self.state = State.JOINING
        self._join()

    def read(self, chunk: Chunk) -> None:
        """Queue what the tail read for itself; the chunk begins at ``position`` and ends at ``joined_at`` at most."""
        if self.state not in (State.BEHIND, State.JOINING):
            return
        self._queue_chunk(chunk)
        if self.state is State.JOINING:
            self._join()

    def missing(self, gap: Gap) -> None:
        """Declare records as missing; ``position`` moves behind them."""
        if self.state is State.ENDED:
            return
        position = self.position.with_cursor(gap.end)
        self._put(self._encode(replace(gap, token=str(position))))
        self.matched += gap.tally
        if not gap.tally:
            self._missing += position - self.position
        self.position = position
        if self.state is State.JOINING:
            self._join()

    def published(self, chunk: Chunk) -> bool:
        """Take a chunk from the hub; False when there is no room, and the hub has to let this tail go."""
        if self.state is State.LIVE:
            if self.queued_bytes and self.queued_bytes + self._size_of(chunk) > TAIL_QUEUE_BYTES_MAX:
                self._fall_behind(chunk.start)
                return False
            self.position = chunk.start
            self._queue_chunk(chunk)
            return True
        if self.state is State.JOINING:
            self._held_bytes += self._size_of(chunk)
            if self._held_bytes > TAIL_QUEUE_BYTES_MAX:
                self._fall_behind(self.position)
                return False
            self._held.append(chunk)
            return True
        return False

    def settled(self, at: Position) -> None:
        """Note that the hub has published everything before ``at``: what it did not send did not match."""
        if self.state is State.LIVE and self.position < at:
            self.position = at

    def let_go(self) -> None:
        """Note that the hub publishes to this tail no more: it reads on by itself."""
        if self.state in (State.JOINING, State.LIVE):
            self._fall_behind(self.position)

    def stray(self) -> None:
        """Note that this process cannot read what follows."""
        if self.state in (State.BEHIND, State.JOINING):
            self._fall_behind(self.position)
            self.state = State.ASTRAY

    @property
    def standing(self) -> Standing | None:
        """Where the tail stands, if it can go on elsewhere from there: nothing is queued, and no start is left."""
        if self._queue or self.state not in (State.LIVE, State.ASTRAY):
            return None
        return Standing(
            self.position, self._start, self.counted_from, self._missing, self.sent, self.matched, self.observed_ns
        )

    def restore(self, standing: Standing) -> None:
        """Count on from where a tail stood elsewhere; this one begins at its position, and was live."""
        self.was_live = True
        self._start, self.counted_from, self._missing = standing.start, standing.counted_from, standing.missing
        self.sent, self.matched, self.observed_ns = standing.sent, standing.matched, standing.observed_ns

    def ping(self, lag_ms: float) -> None:
        """Queue a sign of life."""
        if self.state is not State.ENDED:
            ping = Ping(self.position, lag_ms, self.taken, self.counted_from, self.sent, self.matched)
            self._put(self._encode(ping))

    def end(self, why: str, retry_s: float | None = None, limit: str | None = None, *, done: bool = False) -> None:
        """Queue the last frame; a quota says when to come back, and which ``limit`` it was.

        ``done``: all that was asked for was sent.
        """
        if self.state is not State.ENDED:
            self._put(self._encode(End(why, self.token or self.position, retry_s, limit, done)))
            self.state = State.ENDED
            self._held.clear()

    @property
    def taken(self) -> int:
        """How many records were looked at so far."""
        return self.position - self._start - self._missing

    def take(self) -> bytes:
        """Return the next bytes for the client (whole frames, several when they are small), or nothing."""
        queue = self._queue
        if not queue:
            return b""
        first = queue.popleft()
        if queue and len(first) + len(queue[0]) <= TAIL_SEND_BYTES:
            size, several = len(first), [first]
            while queue and size + len(queue[0]) <= TAIL_SEND_BYTES:
                size += len(queue[0])
                several.append(queue.popleft())
            first = b"".join(several)
        self.queued_bytes -= len(first)
        return first

    def take_frames(self) -> list[bytes]:
        """Return all frames that wait, one by one."""
        frames = list(self._queue)
        self._queue.clear()
        self.queued_bytes = 0
        return frames

    def _queue_chunk(self, chunk: Chunk) -> None:
        if chunk.start is not self.position and chunk.start != self.position:
            raise ValueError(f"a chunk from {chunk.start} does not follow {self.position}")
        # Comparing cursors costs more than all the rest, for each delivery: only who has a past has to.
        self._has_past = self._has_past and chunk.start < self.counted_from
        if chunk.left_out:
            self._put(chunk.declared(self._encode))
        if chunk.has_frame:
            self._put(chunk.encoded(self._encode))
        if not self._has_past:
            self.sent += chunk.tally
            self.matched += chunk.tally + chunk.left_out
        self.position = chunk.end
        self.observed_ns = chunk.observed_ns or self.observed_ns

    def _size_of(self, chunk: Chunk) -> int:
        size = len(chunk.encoded(self._encode)) if chunk.has_frame else 0
        return size + len(chunk.declared(self._encode)) if chunk.left_out else size

    def _put(self, frame: bytes) -> None:
        self._queue.append(frame)
        self.queued_bytes += len(frame)

    def _join(self) -> None:
        if self.position != self.joined_at:
            return
        self.state = State.LIVE
        self.was_live = True
        held, self._held, self._held_bytes = self._held, [], 0
        for chunk in held:
            self.position = chunk.start
            self._queue_chunk(chunk)

    def _fall_behind(self, position: Position) -> None:
        self.state = State.BEHIND
        self.position = position
        self.joined_at = None
        self._held.clear()
        self._held_bytes = 0
