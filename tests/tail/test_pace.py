"""The pace of a replay as a script: pages and moments in, frames out; no clock, no thread."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import BadInput
from tailrace.frame import Frame, Gap, Rows
from tailrace.tail.pace import PLACE, Pace, Page, Place, Span, State, resume

EPOCH = 0x7F
EPOCHS = (EPOCH, 2**64 - 1, 0x11)
ROOM = 1 << 20
SECOND = 1_000_000_000
FROM = 1_000 * SECOND


def at(seconds: float) -> int:
    """Return a moment: seconds from the beginning of the window."""
    return FROM + int(seconds * SECOND)


class Log:
    """The times of records, by their numbers: those of a log, or of several that take turns."""

    def __init__(self, *times: int, logs: int = 1) -> None:
        self.times = list(times)
        self.epochs = EPOCHS[:logs]

    def cursor(self, number: int) -> Cursor:
        return Cursor(self.epochs[number % len(self.epochs)], number // len(self.epochs))

    @property
    def next(self) -> Checkpoint:
        count, logs = len(self.times), len(self.epochs)
        return Checkpoint.of(
            Cursor(epoch, (count - place + logs - 1) // logs) for place, epoch in enumerate(self.epochs)
        )

    def in_order(self, numbers: Iterable[int]) -> list[int]:
        """Return records as a replay shows them: by time, and then by cursor."""
        return sorted(numbers, key=lambda n: (self.times[n], self.cursor(n).epoch, self.cursor(n).offset))

    def page(self, span: Span, rows: int = 100, lost: Iterable[tuple[int, int]] = ()) -> Page:
        def place(position: Checkpoint, n: int) -> int:
            return (position.get(self.cursor(n).epoch) or Cursor(1, 0)).offset

        after = span.after and (span.after[0], span.after[1].epoch, span.after[1].offset)
        found = [
            (time, self.cursor(n).epoch, self.cursor(n).offset, n)
            for n, time in enumerate(self.times)
            if place(span.start, n) <= self.cursor(n).offset < place(span.stop, n)
            and span.first_ns <= time <= span.last_ns
        ]
        found = sorted(key for key in found if after is None or key[:3] > after)
        ends, found = len(found) < rows, found[:rows]
        last = (found[-1][0], Cursor(*found[-1][1:3])) if found else None
        return Page(
            np.array([key[0] for key in found], np.int64),
            np.array([key[1] for key in found], np.uint64),
            np.array([key[2] for key in found], np.int64),
            [b"%d" % key[3] for key in found],
            last,
            ends,
            [(Cursor(EPOCH, first), Cursor(EPOCH, behind)) for first, behind in lost],
        )


class Show:
    """A replay of a log, with a clock that goes when it is told to."""

    def __init__(
        self, log: Log, speed: int | None, now_ns: int, *, to: int | None = None, place: Place | None = None
    ) -> None:
        self.log = log
        self.now_ns = now_ns
        self.pace = Pace(place or Place.begin(FROM, to, log.next), speed, now_ns)
        self.frames: list[Frame] = []

    def step(self, room: int = ROOM, rows: int = 100) -> list[int]:
        """Read what is wanted, and return the offsets that are shown now."""
        shown: list[int] = []
        while True:
            read = False
            while (span := self.pace.wanted()) is not None:
                self.pace.read(self.log.page(span, rows))
                read = True
            frames = self.pace.step(self.now_ns, self.log.next, room)
            self.frames += frames
            shown += offsets(frames)
            if not frames and not read and self.pace.wanted() is None:
                return shown

    def wait(self) -> list[int]:
        """Let the clock go to the next moment that is asked for."""
        wake_ns = self.pace.wake_ns(self.now_ns)
        assert wake_ns is not None
        self.now_ns = wake_ns
        return self.step()

    def to_the_end(self) -> list[int]:
        """Let the clock go until there is nothing more to show."""
        shown = self.step()
        while self.pace.state is State.SHOWING:
            shown += self.wait()
        return shown

    @property
    def token(self) -> Place:
        return Place.of(str(self.frames[-1].next))


def offsets(frames: Iterable[Frame]) -> list[int]:
    return [int(record) for frame in frames if isinstance(frame, Rows) for record in frame.records]


def test_a_record_is_shown_when_its_time_is_due() -> None:
    show = Show(Log(at(0), at(10), at(30)), 10, at(1000))
    assert show.step() == [0]
    assert show.wait() == [1]
    assert show.now_ns == at(1001)
    assert show.wait() == [2]
    assert show.now_ns == at(1003)


def test_one_nanosecond_earlier_a_record_is_not_due() -> None:
    show = Show(Log(at(0), at(10)), 7, at(1000))
    show.step()
    show.wait()
    due_ns = show.now_ns
    early = Show(Log(at(0), at(10)), 7, at(1000))
    early.step()
    early.now_ns = due_ns - 1
    assert early.step() == []


def test_equal_times_are_shown_in_the_order_of_their_cursors() -> None:
    show = Show(Log(at(5), at(1), at(5), at(1)), 10, at(1000))
    shown = show.step() + show.wait() + show.wait()
    assert shown == [1, 3, 0, 2]


def test_what_happened_before_the_window_is_not_shown() -> None:
    assert Show(Log(at(-1), at(0)), 10, at(1000)).step() == [1]


def test_without_pace_everything_is_shown_at_once_and_then_it_is_live() -> None:
    show = Show(Log(at(20), at(10), at(5000)), None, at(1000))
    assert show.step() == [1, 0, 2]
    assert show.pace.state is State.LIVE
    assert show.pace.place.stop == show.log.next


def test_a_window_with_an_end_ends_when_the_clock_has_passed_it() -> None:
    show = Show(Log(at(0), at(20), at(40)), 10, at(1000), to=at(30))
    assert show.step() + show.wait() == [0, 1]
    assert show.pace.state is State.SHOWING
    assert show.wait() == []
    assert (show.now_ns, show.pace.state) == (at(1003), State.OVER)


def test_what_arrives_for_a_moment_that_the_clock_has_passed_is_shown_before_the_end() -> None:
    show = Show(Log(at(0), at(20)), 10, at(1000), to=at(30))
    show.step()
    show.wait()
    show.log.times += [at(10), at(31)]
    assert show.wait() == [2]
    assert show.pace.state is State.OVER


def test_what_arrives_meanwhile_is_shown_in_the_next_phase_and_then_it_is_live() -> None:
    show = Show(Log(at(0)), 2, at(100))
    assert show.step() == [0]
    show.log.times += [at(120), at(50)]
    assert show.wait() == [2]
    assert show.now_ns == at(150), "the clock has come to where the first phase began"
    assert show.wait() == [1]
    assert show.now_ns == at(160)
    while show.pace.state is State.SHOWING:
        assert show.wait() == []
    assert at(200) <= show.now_ns < at(201), "the clock has come to now"
    assert show.pace.place.stop == show.log.next


def test_what_claims_to_be_of_the_future_is_shown_when_the_clock_has_come_to_now() -> None:
    show = Show(Log(at(0), at(10**6)), 10, at(90))
    shown = show.step()
    while show.pace.state is State.SHOWING:
        shown += show.wait()
    assert shown == [0, 1]
    assert show.now_ns < at(101)


def test_at_its_own_speed_the_past_never_comes_to_now() -> None:
    show = Show(Log(at(0)), 1, at(100))
    show.step()
    shown: list[int] = []
    for second in range(150, 1000, 50):
        show.log.times.append(at(second))
        while show.now_ns < at(second):
            shown += show.wait()
    assert show.pace.state is State.SHOWING
    assert show.now_ns - show.pace.clock(show.now_ns) == at(100) - at(0)
    assert shown == list(range(1, len(shown) + 1))
    assert len(shown) >= 14


def test_a_replay_goes_on_behind_the_last_frame_at_another_speed() -> None:
    log = Log(at(0), at(10), at(20))
    show = Show(log, 10, at(1000))
    show.step()
    show.wait()
    again = Show(log, 5, at(5000), place=show.token)
    assert again.step() == []
    assert again.wait() == [2]
    assert again.now_ns == at(5002), "ten seconds at x5"


def test_a_speed_after_none_goes_on_at_the_moment_of_the_last_record() -> None:
    log = Log(at(0), at(50), at(60))
    pace = Pace(Place.begin(FROM, None, log.next), None, at(1000))
    span = pace.wanted()
    assert span is not None
    pace.read(log.page(span, 2))
    (frame,) = pace.step(at(1000), log.next, ROOM)
    show = Show(log, 10, at(1000), place=Place.of(str(frame.next)))
    assert show.step() == []
    assert show.wait() == [2]
    assert show.now_ns == at(1001)


def test_a_pause_in_a_quiet_stretch_goes_on_in_it() -> None:
    log = Log(at(0), at(100))
    show = Show(log, 10, at(1000))
    show.step()
    show.now_ns = at(1006)
    show.step()
    again = Show(log, 10, at(5000), place=Place.of(show.pace.place.token()))
    again.step()
    assert again.wait() == [1]
    assert again.now_ns == at(5004)


def test_a_full_queue_holds_the_frames_back_but_not_the_clock() -> None:
    show = Show(Log(at(0), at(10), at(20), at(30)), 10, at(1000))
    show.step()
    show.now_ns = at(1002)
    assert show.step(room=0) == []
    assert show.step() == [1, 2]


def test_no_more_than_two_pages_are_asked_for() -> None:
    log = Log(*(at(second) for second in range(100)))
    pace = Pace(Place.begin(FROM, None, log.next), 1, at(1000))
    pages = 0
    while (span := pace.wanted()) is not None:
        pace.read(log.page(span, 10))
        pages += 1
    assert pages == 2


def test_what_was_removed_is_a_gap_in_front_of_the_page_that_found_it() -> None:
    log = Log(at(0), at(1), at(2))
    pace = Pace(Place.begin(FROM, None, log.next), None, at(1000))
    for lost, oldest in (([], Checkpoint()), ([(7, 9)], Checkpoint((Cursor(EPOCH, 9),)))):
        span = pace.wanted()
        assert span is not None
        pace.read(replace(log.page(span, 2, lost), oldest=oldest))
    before, gap, behind = pace.step(at(1000), log.next, ROOM)
    assert offsets([before, behind]) == [0, 1, 2]
    assert isinstance(gap, Gap)
    assert (gap.start, gap.end, gap.count, gap.why) == (Cursor(EPOCH, 7), Cursor(EPOCH, 9), 2, "expired")
    assert Place.of(str(gap.next)).oldest == Checkpoint((Cursor(EPOCH, 9),))


def test_in_another_log_a_replay_shows_the_window_from_its_beginning_and_says_so() -> None:
    old = Cursor(0x11, 50)
    place = replace(Place.begin(FROM, None, Checkpoint((old,))), clock_ns=at(10), after=(at(10), Cursor(0x11, 7)))
    again, (gap,) = resume(place, Log(at(0), at(5)).next)
    assert (gap.start, gap.end, gap.count, gap.why) == (Cursor(0x11, 50), Cursor(EPOCH, 0), None, "reset")
    assert Show(Log(at(0), at(5)), 10, at(1000), place=again).step() == [0, 1]


def test_in_an_older_copy_of_the_log_a_replay_goes_on_with_what_is_left() -> None:
    log = Log(at(0), at(5))
    old = Checkpoint((Cursor(EPOCH, 50),))
    place = replace(Place.begin(FROM, None, old), clock_ns=at(3), after=(at(3), Cursor(EPOCH, 40)))
    again, (gap,) = resume(place, log.next)
    assert (gap.count, gap.why, again.stop) == (None, "reset", log.next)
    assert Show(log, None, at(1000), place=again).step() == [1]


def test_of_several_logs_those_that_are_there_no_more_are_said_and_the_others_go_on() -> None:
    log = Log(at(0), at(1), at(5), at(6), logs=2)
    gone = Checkpoint((Cursor(EPOCH, 1), Cursor(0x99, 50)))
    place = replace(Place.begin(FROM, None, gone), clock_ns=at(3), after=(at(0), Cursor(EPOCH, 0)))
    again, (gap,) = resume(place, log.next)
    assert (gap.start, gap.end, gap.why) == (Cursor(0x99, 50), Cursor(EPOCHS[1], 0), "reset")
    assert str(again.stop) == f"{EPOCH:x}-1"
    assert Show(log, 1000, at(1000), place=again).to_the_end() == [1, 2, 3]


def test_a_log_that_was_added_is_shown_from_its_beginning_and_nothing_is_declared() -> None:
    place = replace(Place.begin(FROM, None, Log(at(0)).next), clock_ns=at(3), after=(at(0), Cursor(EPOCH, 0)))
    log = Log(at(0), at(1), at(5), at(6), logs=2)
    assert resume(place, log.next) == (place, [])
    assert Show(log, 1000, at(1000), place=place).to_the_end() == [1, 2, 3]


def test_the_order_over_several_logs_is_that_of_time_and_then_of_cursors() -> None:
    log = Log(at(2), at(1), at(2), at(3), at(1), at(2), logs=3)
    assert Show(log, None, at(1000)).step() == log.in_order(range(6))


def token_of(*plain: object) -> str:
    return PLACE + base64.urlsafe_b64encode(msgspec.msgpack.encode(plain)).decode().rstrip("=")


@pytest.mark.parametrize(
    "token",
    [
        "",
        PLACE,
        PLACE + "%%%",
        PLACE + "A" * 100_000,
        token_of("now"),
        token_of(0, None, 0, 0, [(EPOCH, 5, 6, 0)], None),
        token_of(0, None, 0, 0, [(EPOCH, -5, 0, 0)], None),
        token_of(0, None, 2**63, 0, [(EPOCH, 5, 0, 0)], None),
        token_of(0, None, 0, 0, [(0, 5, 0, 0)], None),
        token_of(0, None, 0, 0, [(EPOCH, 5, 0, 0)], [0, EPOCH, 2 * 10**18]),
    ],
)
def test_what_is_not_a_token_is_refused(token: str) -> None:
    with pytest.raises(BadInput):
        Place.of(token)


TIMES = st.integers(-(2**63), 2**63 - 1)
LOGS = st.lists(st.integers(1, 2**64 - 1), unique=True, max_size=5)


@st.composite
def places(draw: st.DrawFn) -> Place:
    """Return any place: of no log, of one, of several."""

    def position(first: int, last: int) -> Checkpoint:
        return Checkpoint.of(Cursor(epoch, draw(st.integers(first, last))) for epoch in epochs)

    epochs = draw(LOGS)
    stop, low, oldest = position(10**17, 10**18), position(0, 10**17), position(0, 10**18)
    cursors = st.builds(Cursor, st.integers(1, 2**64 - 1), st.integers(0, 10**18))
    after = draw(st.none() | st.tuples(TIMES, cursors))
    return Place(draw(TIMES), draw(st.none() | TIMES), draw(TIMES), stop, oldest, low, draw(TIMES), after)


@given(places())
def test_a_token_is_read_back_as_the_place_it_was(place: Place) -> None:
    assert Place.of(place.token()) == place


def test_the_token_of_a_hundred_partitions_fits_into_an_address() -> None:
    logs = Checkpoint.of(Cursor(2**64 - 1 - number, 10**9) for number in range(100))
    assert len(replace(Place.begin(FROM, None, logs, logs), low=logs).token()) < 4_000


MOMENTS = st.integers(-5, 60)
SPEEDS = st.sampled_from((1, 2, 10, 1000, None))
ACTIONS = st.one_of(
    st.tuples(st.just("append"), st.lists(MOMENTS, min_size=1, max_size=6)),
    st.tuples(st.just("wait"), st.integers(1, 30)),
    st.tuples(st.just("step"), st.integers(1, 8)),
    st.tuples(st.just("cut"), st.integers(0, 9), st.integers(0, 40), SPEEDS),
)


@example(1, [60], None, None, [("step", 1), ("cut", 0, 0, 10), ("wait", 30), ("step", 1)])
@given(
    st.integers(1, len(EPOCHS)),
    st.lists(MOMENTS, max_size=12),
    SPEEDS,
    st.none() | st.integers(0, 40),
    st.lists(ACTIONS, max_size=25),
)
def test_whatever_happens_each_record_of_the_window_is_shown_once(
    logs: int, moments: list[int], speed: int | None, to: int | None, actions: list[tuple]
) -> None:
    """Of the frames of a connection that is cut some were on their way: they are lost, and the last token counts."""
    log = Log(*map(at, moments), logs=logs)
    place = Place.begin(FROM, None if to is None else at(to), log.next)
    show = Show(log, speed, at(40), place=place)
    got: list[int] = []
    for action, *how in actions:
        if action == "append":
            log.times += map(at, how[0])
        elif action == "wait":
            show.now_ns += how[0] * SECOND
        elif action == "step":
            _step(show, how[0])
        else:
            lost, away, speed = how
            came = show.frames[: max(0, len(show.frames) - lost)]
            got += offsets(came)
            place = Place.of(str(came[-1].next)) if came else place
            show = Show(log, speed, show.now_ns + away * SECOND, place=place)
    if show.pace.state is State.SHOWING:
        got += offsets(show.frames)
        show = Show(log, None, show.now_ns, place=show.token if show.frames else place)
        _step(show, 100)
    got += offsets(show.frames)
    end = sum(cursor.offset for cursor in show.pace.place.stop.cursors)
    assert show.pace.state is (State.LIVE if to is None else State.OVER)
    wanted = [n for n, time in enumerate(log.times[:end]) if time >= FROM and (to is None or time <= at(to))]
    assert sorted(got) == wanted


def _step(show: Show, rows: int) -> None:
    """Step with small pages, and hold that no record is early and that those of a half of a phase are in order."""
    place, clock_ns = show.pace.place, show.pace.clock(show.now_ns)
    begun = len(show.frames)
    show.step(rows=rows)
    live = show.pace.state is not State.SHOWING or show.pace._last_phase or not show.pace.paced
    for frame in show.frames[begun:]:
        numbers = offsets([frame])
        assert numbers == show.log.in_order(numbers)
        assert live or all(show.log.times[number] <= clock_ns for number in numbers)
        now = Place.of(str(frame.next))
        if place.after and now.after and (now.low, now.stop) == (place.low, place.stop):
            first = (show.log.times[numbers[0]], show.log.cursor(numbers[0])) if numbers else now.after
            assert [(t, c.epoch, c.offset) for t, c in (place.after, first)] == sorted(
                (t, c.epoch, c.offset) for t, c in (place.after, first)
            )
        place = now
