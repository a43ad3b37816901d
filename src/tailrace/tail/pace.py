"""The pace of a replay, as a state machine without I/O: pages and the time in, frames and "wake me at" out.

A replay shows what happened from ``first_ns`` on in the order of event time (time, cursor), each record when it is due:

    clock(now) = clock + (now - began) * speed, and never later than now;    due(time) = when the clock gets there

Phases. The log grows while it is replayed, and what arrives may have happened at any time. So a phase shows exactly
the records before ``stop`` (the end of the log when it began) that happened until ``until`` (the moment when it began)
and that no phase before has shown. Those are known by a position and a time: a record before ``low`` that happened at
``shown_ns`` or earlier was shown. Hence a phase has two halves, each in the order of time, each read in pages:

    late    positions [low, stop), times [first_ns, shown_ns]   came while the clock had passed them: shown at once
    ahead   positions [0, stop),   times (shown_ns, until]      shown when they are due

    phase ends when      and then
    clock >= until       the next phase begins: low = stop, shown_ns = until, stop = the end of the log, until = now
    ... and clock = now  one last phase, without waiting and without an end of time: what is left, also what claims to
                         be of the future. Then LIVE: an ordinary tail goes on from ``stop``
    ... or past last_ns  one last phase for what came late. Then OVER

Speed ``None`` waits for nothing: its first phase is the last one, or the last but one when the window has an end.

Of several logs (partitions) ``low`` and ``stop`` are a place in each, and the order is that of time over all of them. A
log that is added while they are replayed is not before any ``low``: what it has is shown in the next phase.

``Place`` is all there is to remember. It goes out with every frame, as a token, and whoever comes back with it goes on
behind that frame, at any speed: a pause, a change of speed and a restart of the server are the same thing.

Full, late, closed, crashed. Pages are asked for (``wanted``) while fewer than REPLAY_PAGES wait, and frames are made
while there is room. When pages or room come late, everything that is overdue is shown at once; the clock is not held.
"""

from __future__ import annotations

import base64
from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum

import msgspec
import numpy as np

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput
from tailrace.frame import Frame, Gap, Rows
from tailrace.limits import REPLAY_PAGES, REPLAY_TOKEN_BYTES_MAX, TAIL_FRAME_BYTES_MAX
from tailrace.query.times import TIME_MAX_NS, TIME_MIN_NS

PLACE = "replay."
"""What the token of a place begins with, and no cursor."""
_Plain = tuple[int, int | None, int, int, list[tuple[int, int, int, int]], tuple[int, int, int] | None]
"""Times, then each log: epoch, stop, low, oldest; then time, epoch and offset of the last record."""
OFFSET_MAX = 10**18
"""No log is so long."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a replay is; see the head of this module. Times in ns, positions over all logs that are replayed.

    ``last_ns`` ends the window (included), None: goes on into live. ``after`` is the (time, cursor) of the last record
    that was looked at in this phase. Nothing before ``oldest`` is needed any more.
    """

    first_ns: int
    last_ns: int | None
    clock_ns: int
    stop: Checkpoint
    oldest: Checkpoint = field(default=Checkpoint())
    low: Checkpoint = field(default=Checkpoint())
    shown_ns: int = TIME_MIN_NS
    after: tuple[int, Cursor] | None = None

    @staticmethod
    def begin(first_ns: int, last_ns: int | None, log_next: Checkpoint, oldest: Checkpoint | None = None) -> Place:
        """Return the place of a replay that begins now; before ``oldest`` there is nothing of the window any more."""
        before_ns = max(TIME_MIN_NS, first_ns - 1)
        return Place(first_ns, last_ns, first_ns, log_next, oldest or Checkpoint(), shown_ns=before_ns)

    def within(self, logs: Checkpoint) -> Place:
        """Return this place without the logs that are not among these."""
        stop, oldest, low = (
            Checkpoint(tuple(cursor for cursor in position.cursors if logs.get(cursor.epoch)))
            for position in (self.stop, self.oldest, self.low)
        )
        return replace(self, stop=stop, oldest=oldest, low=low)

    def token(self) -> str:
        """Return it as text for an address."""
        logs = [
            (
                last.epoch,
                last.offset,
                *((one.get(last.epoch) or last.beginning).offset for one in (self.low, self.oldest)),
            )
            for last in self.stop.cursors
        ]
        after = self.after and (self.after[0], self.after[1].epoch, self.after[1].offset)
        plain = (self.first_ns, self.last_ns, self.clock_ns, self.shown_ns, logs, after)
        return PLACE + base64.urlsafe_b64encode(msgspec.msgpack.encode(plain)).rstrip(b"=").decode()

    @staticmethod
    def of(token: str) -> Place:
        """Read a token. Raises BadInput."""
        try:
            if len(token) > REPLAY_TOKEN_BYTES_MAX:
                raise ValueError(token)
            text = token.removeprefix(PLACE)
            bytes_ = base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True)
            plain = msgspec.msgpack.decode(bytes_, type=_Plain)
        except (ValueError, msgspec.DecodeError) as error:
            raise BadInput("after is not the token of a replay", cure="Send the id of a frame of one.") from error
        first_ns, last_ns, clock_ns, shown_ns, logs, after = plain
        times = (first_ns, clock_ns, shown_ns, last_ns, after and after[0])
        cursors = [(epoch, offset) for epoch, *offsets in logs for offset in offsets]
        cursors += [after[1:]] if after else []
        if (
            not all(TIME_MIN_NS <= time <= TIME_MAX_NS for time in times if time is not None)
            or not all(0 < epoch < 2**64 and 0 <= offset <= OFFSET_MAX for epoch, offset in cursors)
            or not all(low <= stop for _, stop, low, _ in logs)
        ):
            raise BadInput("the token of a replay makes no sense", cure="Send the id of a frame of one.")
        stop, low, oldest = (Checkpoint.of(Cursor(log[0], log[one]) for log in logs) for one in (1, 2, 3))
        last = (after[0], Cursor(after[1], after[2])) if after else None
        return Place(first_ns, last_ns, clock_ns, stop, oldest, low, shown_ns, last)


def resume(place: Place, log_next: Checkpoint) -> tuple[Place, list[Gap]]:
    """Return where a client that has seen ``place`` goes on, and the gaps to declare before: as a tail does.

    A log that the place knows nothing of is shown from its beginning, as a partition that was added since. But when it
    knows logs that are there no more (the data was made anew) that is a gap of unknown count, ``reset``; when it knows
    none that is there, everything of the window is shown. A place beyond the end of a log (the data was put back from
    an older copy) is such a gap, too: there it goes on with what is left.
    """
    gaps: list[Gap] = []
    known = [last for last in log_next.cursors if place.stop.get(last.epoch)]
    unknown = [last.beginning for last in log_next.cursors if last not in known]
    gone = [seen for seen in place.stop.cursors if log_next.get(seen.epoch) is None]
    again = place.within(log_next) if gone else place
    if unknown and gone:
        gaps.append(Gap(gone[0], unknown[0], None, "reset"))
    if gone and not known:
        again = replace(Place.begin(place.first_ns, place.last_ns, log_next), clock_ns=place.clock_ns)
    for last in known:
        seen = place.stop.get(last.epoch)
        if seen is not None and last < seen:
            gaps.append(Gap(seen, last, None, "reset"))
            low = again.low.get(last.epoch) or last.beginning
            again = replace(again, low=again.low.with_cursor(min(low, last)), stop=again.stop.with_cursor(last))
    return again, [replace(gap, token=again.token()) for gap in gaps]


@dataclass(frozen=True, slots=True)
class Span:
    """What to read next: positions [start, stop), times [first_ns, last_ns], behind the (time, cursor) ``after``."""

    start: Checkpoint
    stop: Checkpoint
    first_ns: int
    last_ns: int
    after: tuple[int, Cursor] | None


@dataclass(frozen=True, slots=True)
class Page:
    """The next records of a span, in the order (time, cursor): times, epochs (uint64), offsets and JSON, row by row.

    ``last`` is the last record that was looked at, and ``ends`` whether there is nothing behind it. ``lost`` are
    stretches that were removed since the page before was read; of the rest, nothing before ``oldest`` is needed here.
    """

    times: np.ndarray
    epochs: np.ndarray
    offsets: np.ndarray
    rows: list[bytes]
    last: tuple[int, Cursor] | None
    ends: bool
    lost: list[tuple[Cursor, Cursor]] = field(default_factory=list[tuple[Cursor, Cursor]])
    oldest: Checkpoint = field(default=Checkpoint())


class State(Enum):
    """See the table at the head of this module."""

    SHOWING = "showing"
    LIVE = "live"
    OVER = "over"


class Pace:
    """See the head of this module. Not thread-safe: one thread owns it."""

    def __init__(self, place: Place, speed: int | None, now_ns: int) -> None:
        """Go on at ``place``, ``speed`` times as fast as it happened; None: as fast as it is taken."""
        self.place = place
        self.state = State.SHOWING
        self.shown = 0
        self._speed = speed
        self._began_ns = now_ns
        self._clock_ns = min(place.clock_ns, now_ns)
        self._last_phase = speed is None and place.last_ns is None
        self._pages: deque[Page] = deque()
        self._at = 0
        self._begin_phase(now_ns)

    @property
    def paced(self) -> bool:
        """Whether anything is waited for, but for pages and room."""
        return self._speed is not None

    def clock(self, now_ns: int) -> int:
        """Return the moment of the past that is shown now."""
        if self._speed is None:
            return self.place.clock_ns
        return min(now_ns, self._clock_ns + (now_ns - self._began_ns) * self._speed)

    def wanted(self) -> Span | None:
        """Return what to read next, for ``read``; None while enough waits or there is nothing more in this phase."""
        if self._spans and len(self._pages) < REPLAY_PAGES and self.state is State.SHOWING:
            return self._spans[0]
        return None

    def read(self, page: Page) -> None:
        """Take the page of the span that is wanted."""
        self._pages.append(page)
        if page.ends:
            self._spans.popleft()
        else:
            self._spans[0] = replace(self._spans[0], after=page.last)

    def step(self, now_ns: int, log_next: Checkpoint, room_bytes: int) -> list[Frame]:
        """Return the frames that are due, about ``room_bytes`` of them at most; ``state`` and ``wake_ns`` follow."""
        frames: list[Frame] = []
        clock_ns = self.clock(now_ns)
        self.place = replace(self.place, clock_ns=clock_ns)
        due_until = TIME_MAX_NS if self._speed is None or self._last_phase else clock_ns
        while self.state is State.SHOWING and room_bytes > 0:
            if not self._pages:
                if self._spans or not self._end_phase(now_ns, clock_ns, log_next):
                    break
                continue
            page = self._pages[0]
            if not self._at:
                frames += self._lost(page)
            size = self._show(page, due_until, frames)
            room_bytes -= size
            if self._at == len(page.rows):
                self._turn(page)
            elif not size:
                break
        return frames

    def wake_ns(self, now_ns: int) -> int | None:
        """Return when something is due next, in the time of ``now_ns``; None when that hangs on a page or on room."""
        if self._speed is None or self._last_phase or self.state is not State.SHOWING:
            return None
        if self._pages:
            due_ns = int(self._pages[0].times[self._at]) if self._at < len(self._pages[0].rows) else self._clock_ns
        elif self._spans:
            return None
        else:
            due_ns = self._until
        return max(now_ns, due_ns, self._began_ns - (self._clock_ns - due_ns) // self._speed)

    def _begin_phase(self, now_ns: int) -> None:
        """Note what this phase has to read."""
        place = self.place
        last_ns = TIME_MAX_NS if place.last_ns is None else place.last_ns
        self._until = last_ns if self._speed is None or self._last_phase else min(last_ns, now_ns)
        if place.after is not None:
            self._until = max(self._until, place.after[0])
        spans = [Span(Checkpoint(), place.stop, max(place.first_ns, place.shown_ns + 1), self._until, place.after)]
        if place.after is None or place.after[0] <= place.shown_ns:
            late_ns = min(place.shown_ns, last_ns)
            spans.insert(0, Span(place.low, place.stop, place.first_ns, late_ns, place.after))
        self._spans = deque(span for span in spans if span.first_ns <= span.last_ns and not span.stop <= span.start)

    def _end_phase(self, now_ns: int, clock_ns: int, log_next: Checkpoint) -> bool:
        """Begin the next phase when the clock has passed this one, or end; False: the clock has not."""
        place = self.place
        if self._last_phase:
            self.state = State.LIVE if place.last_ns is None else State.OVER
            return True
        if self._speed is not None and clock_ns < self._until:
            return False
        self._last_phase = clock_ns >= now_ns if place.last_ns is None else self._until >= place.last_ns
        self.place = replace(place, low=place.stop, shown_ns=self._until, stop=log_next, after=None)
        self._begin_phase(now_ns)
        return True

    def _show(self, page: Page, due_until: int, frames: list[Frame]) -> int:
        """Add one frame of what is due, and return its size."""
        behind = int(np.searchsorted(page.times, due_until, side="right"))
        at, size = self._at, 0
        while at < behind and (not size or size + len(page.rows[at]) <= TAIL_FRAME_BYTES_MAX):
            size += len(page.rows[at])
            at += 1
        if at > self._at:
            time_ns = int(page.times[at - 1])
            clock_ns = self.place.clock_ns if self.paced else max(self.place.clock_ns, time_ns)
            last = Cursor(int(page.epochs[at - 1]), int(page.offsets[at - 1]))
            self.place = replace(self.place, after=(time_ns, last), clock_ns=clock_ns)
            frames.append(Rows(tuple(page.rows[self._at : at]), self.place.token()))
            self.shown += at - self._at
            self._at = at
        return size

    def _lost(self, page: Page) -> list[Frame]:
        """Return the gaps in front of a page that comes to be shown."""
        self.place = replace(self.place, oldest=page.oldest)
        token = self.place.token()
        gaps: list[Frame] = [Gap(first, end, end - first, "expired", token=token) for first, end in page.lost]
        page.lost.clear()
        return gaps

    def _turn(self, page: Page) -> None:
        """Go on to the next page."""
        self._pages.popleft()
        self._at = 0
        if page.last is not None:
            self.place = replace(self.place, after=page.last)
