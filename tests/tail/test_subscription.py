"""Scripts: events in, frames out."""

from __future__ import annotations

import numpy as np
import orjson
import pytest

from tailrace.cursor import Checkpoint, Cursor
from tailrace.frame import EVENTS, Frame, Gap
from tailrace.limits import TAIL_QUEUE_BYTES_MAX, TAIL_SEND_BYTES
from tailrace.tail.evaluate import Chunk
from tailrace.tail.subscription import State, Subscription, resume
from tailrace.tally import tally

EPOCH = 0x7F3A


def at(offset: int) -> Cursor:
    return Cursor(EPOCH, offset)


def encode(frame: Frame) -> bytes:
    return b"%b %b\n" % (EVENTS[type(frame)].encode(), frame.json())


def chunk(start: int, end: int, *matches: int, size: int = 0) -> Chunk:
    rows = [b'{"n":%d,"x":"%b"}' % (match, b"x" * size) for match in matches]
    return Chunk(at(start), at(end), rows, counted(*matches), 1)


def counted(*matches: int) -> int:
    """The tally of matches of level info, whose hashes are their numbers."""
    return tally(np.full(len(matches), 3, np.uint8), np.array(matches, np.uint64))


def shown(subscription: Subscription) -> list[int]:
    """Take everything, and return the numbers of the rows."""
    numbers: list[int] = []
    while data := subscription.take():
        for line in data.splitlines():
            event, _, body = line.partition(b" ")
            if event == b"rows":
                numbers += [record["n"] for record in orjson.loads(body)["records"]]
    return numbers


def live(position: int) -> Subscription:
    subscription = Subscription(encode, at(position))
    subscription.attached(at(position))
    return subscription


def test_a_tail_that_attaches_at_its_position_is_live_at_once() -> None:
    assert live(5).state is State.LIVE


def test_history_comes_before_what_the_hub_published_meanwhile() -> None:
    subscription = Subscription(encode, at(0))
    subscription.attached(at(10))
    assert subscription.published(chunk(10, 12, 10, 11))
    subscription.read(chunk(0, 6, 1, 5))
    assert shown(subscription) == [1, 5]
    subscription.read(chunk(6, 10, 9))
    assert subscription.state is State.LIVE
    assert shown(subscription) == [9, 10, 11]
    assert subscription.position == at(12)


def test_what_the_hub_publishes_to_a_tail_that_is_behind_is_refused() -> None:
    subscription = Subscription(encode, at(0))
    assert not subscription.published(chunk(0, 1, 0))
    assert shown(subscription) == []


def test_a_full_queue_detaches_at_the_beginning_of_the_chunk_that_did_not_fit() -> None:
    subscription = live(0)
    assert subscription.published(chunk(0, 1, 0, size=TAIL_QUEUE_BYTES_MAX // 2))
    assert subscription.published(chunk(3, 4, 3, size=TAIL_QUEUE_BYTES_MAX // 4))
    assert not subscription.published(chunk(7, 9, 8, size=TAIL_QUEUE_BYTES_MAX // 2))
    assert subscription.state is State.BEHIND
    assert subscription.position == at(7)
    assert shown(subscription) == [0, 3]
    subscription.read(chunk(7, 9, 8))
    assert shown(subscription) == [8]


def test_a_chunk_larger_than_the_queue_is_taken_by_an_empty_queue() -> None:
    subscription = live(0)
    assert subscription.published(chunk(0, 1, 0, size=2 * TAIL_QUEUE_BYTES_MAX))
    assert shown(subscription) == [0]


def test_a_tail_that_holds_too_much_while_it_joins_reads_on_by_itself() -> None:
    subscription = Subscription(encode, at(0))
    subscription.attached(at(10))
    assert subscription.published(chunk(10, 11, 10, size=TAIL_QUEUE_BYTES_MAX // 2))
    assert not subscription.published(chunk(11, 12, 11, size=TAIL_QUEUE_BYTES_MAX // 2))
    assert (subscription.state, subscription.position) == (State.BEHIND, at(0))
    subscription.read(chunk(0, 10, 4))
    assert shown(subscription) == [4]


def test_nothing_is_read_for_a_tail_whose_queue_is_full() -> None:
    subscription = Subscription(encode, at(0))
    assert subscription.reading
    subscription.read(chunk(0, 1, 0, size=TAIL_QUEUE_BYTES_MAX))
    assert not subscription.reading
    subscription.take()
    assert subscription.reading


def test_a_chunk_that_does_not_follow_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="does not follow"):
        Subscription(encode, at(3)).read(chunk(4, 5, 4))


def test_attaching_before_the_position_is_a_fault_of_the_program() -> None:
    with pytest.raises(ValueError, match="cannot attach"):
        Subscription(encode, at(3)).attached(at(2))


def test_a_chunk_without_matches_moves_the_position_and_sends_nothing() -> None:
    subscription = Subscription(encode, at(0))
    subscription.read(chunk(0, 9))
    assert (subscription.position, subscription.take()) == (at(9), b"")


def test_settling_moves_only_a_live_tail_and_only_forward() -> None:
    subscription = live(5)
    subscription.settled(at(4))
    assert subscription.position == at(5)
    subscription.settled(at(8))
    assert subscription.position == at(8)
    behind = Subscription(encode, at(5))
    behind.settled(at(8))
    assert behind.position == at(5)


def test_a_gap_moves_the_position_behind_it_and_completes_a_join() -> None:
    subscription = Subscription(encode, at(2))
    subscription.attached(at(10))
    subscription.missing(Gap(at(2), at(10), 8, "expired"))
    assert subscription.state is State.LIVE
    assert subscription.take() == b'gap {"from":"7f3a-2","to":"7f3a-10","count":8,"why":"expired"}\n'


def test_a_ping_counts_what_was_looked_at_without_gaps() -> None:
    subscription = Subscription(encode, at(0))
    subscription.missing(Gap(at(0), at(4), 4, "expired"))
    subscription.read(chunk(4, 10, 5, 6))
    subscription.take()
    subscription.ping(1.5)
    event, _, data = subscription.take().partition(b" ")
    ping = orjson.loads(data)
    assert (event, ping["checkpoint"], ping["lag_ms"], ping["in"], ping["matched"]) == (b"ping", "7f3a-10", 1.5, 6, 2)


def pinged(subscription: Subscription) -> dict:
    subscription.ping(0)
    return orjson.loads(subscription.take().splitlines()[-1].partition(b" ")[2])


def test_what_was_sent_and_what_was_skipped_add_up_to_what_matched() -> None:
    subscription = Subscription(encode, at(0))
    subscription.read(chunk(0, 4, 1, 3))
    subscription.missing(Gap(at(4), at(9), 2, "slow", counted(5, 7)))
    ping = pinged(subscription)
    assert (ping["in"], ping["matched"], ping["sent"], ping["digest"]) == (9, 4, 2, f"{4:016x}")
    assert ping["levels"] == {"info": {"shown": 2, "total": 4}}


def test_a_past_that_is_bounded_by_time_is_not_counted() -> None:
    subscription = Subscription(encode, at(0))
    subscription.move(at(2), counted_from=at(6))
    subscription.read(chunk(2, 6, 3, 5))
    assert (pinged(subscription)["from"], pinged(subscription)["sent"]) == ("7f3a-6", 0)
    subscription.read(chunk(6, 9, 6, 7))
    assert pinged(subscription)["sent"] == 2


def test_the_end_is_the_last_frame() -> None:
    subscription = live(0)
    subscription.end("bye")
    subscription.end("again")
    subscription.ping(0)
    assert not subscription.published(chunk(0, 1, 0))
    assert subscription.take() == b'end {"why":"bye","checkpoint":"7f3a-0"}\n'
    assert subscription.take() == b""


def test_small_frames_are_taken_together_up_to_a_bound() -> None:
    subscription = live(0)
    for number in range(100):
        subscription.published(chunk(number, number + 1, number, size=TAIL_SEND_BYTES // 20))
    assert TAIL_SEND_BYTES // 2 < len(subscription.take()) <= TAIL_SEND_BYTES


def test_tails_of_one_transport_share_the_encoded_bytes() -> None:
    shared = chunk(0, 1, 0)
    first, second = live(0), live(0)
    first.published(shared)
    second.published(shared)
    assert first.take() is second.take()


def test_a_checkpoint_of_this_log_is_resumed_exactly() -> None:
    assert resume(Checkpoint.of([at(7), Cursor(1, 2)]), at(9)) == (at(7), [])


def test_a_checkpoint_of_another_log_is_a_reset_from_the_beginning() -> None:
    position, gaps = resume(Checkpoint.of([Cursor(1, 2)]), at(9))
    assert position == at(0)
    assert gaps == [Gap(Cursor(1, 2), at(0), None, "reset")]


def test_a_checkpoint_beyond_the_end_is_a_reset_from_the_end() -> None:
    position, gaps = resume(Checkpoint.of([at(20)]), at(9))
    assert position == at(9)
    assert gaps == [Gap(at(20), at(9), None, "reset")]


SEVERAL = Checkpoint.of([Cursor(1, 10), Cursor(2, 20), Cursor(3, 0)])


def test_a_checkpoint_of_several_logs_is_resumed_in_each() -> None:
    seen = Checkpoint.of([Cursor(1, 4), Cursor(2, 20), Cursor(3, 0)])
    assert resume(seen, SEVERAL) == (seen, [])


def test_a_log_that_was_added_since_is_read_from_its_beginning() -> None:
    position, gaps = resume(Checkpoint.of([Cursor(2, 20), Cursor(3, 0)]), SEVERAL)
    assert (position.get(1), gaps) == (Cursor(1, 0), [])


def test_a_log_that_is_read_no_more_is_left_alone() -> None:
    position, gaps = resume(Checkpoint.of([*SEVERAL.cursors, Cursor(9, 5)]), SEVERAL)
    assert (position, position.get(9), gaps) == (SEVERAL, None, [])


def test_logs_that_were_made_anew_are_a_reset_and_those_that_stayed_go_on() -> None:
    position, gaps = resume(Checkpoint.of([Cursor(1, 4), Cursor(8, 5), Cursor(9, 5)]), SEVERAL)
    assert gaps == [Gap(Cursor(8, 5), Cursor(2, 0), None, "reset")]
    assert (position.get(1), position.get(2)) == (Cursor(1, 4), Cursor(2, 0))


def test_a_place_beyond_the_end_of_one_log_is_a_reset_there() -> None:
    position, gaps = resume(Checkpoint.of([Cursor(1, 99), Cursor(2, 3), Cursor(3, 0)]), SEVERAL)
    assert gaps == [Gap(Cursor(1, 99), Cursor(1, 10), None, "reset")]
    assert position == Checkpoint.of([Cursor(1, 10), Cursor(2, 3)])


def left_out(start: int, end: int, *matches: int, rows: int = 0) -> Chunk:
    """A chunk of which sampling left some matches out; ``rows`` others are sent."""
    sent = [b'{"n":%d}' % row for row in range(rows)]
    return Chunk(at(start), at(end), sent, counted(*range(rows)), 1, left_out=counted(*matches))


def told(subscription: Subscription) -> list[tuple[bytes, dict]]:
    """Take everything, and return events and data."""
    lines = [line.partition(b" ") for line in subscription.take().splitlines()]
    return [(event, orjson.loads(data)) for event, _, data in lines]


def test_what_sampling_leaves_out_is_declared_before_the_rows_of_its_stretch() -> None:
    subscription = live(0)
    subscription.published(left_out(0, 5, 3, 4, rows=1))
    subscription.published(left_out(5, 9, 6))
    assert [(event, data.get("from"), data.get("to"), data.get("count")) for event, data in told(subscription)] == [
        (b"gap", "7f3a-0", "7f3a-5", 2),
        (b"rows", None, None, None),
        (b"gap", "7f3a-5", "7f3a-9", 1),
    ]


def test_who_is_cut_off_before_the_rows_of_a_sampled_stretch_comes_back_to_its_beginning() -> None:
    def place(frame: Frame) -> bytes:
        return b"%b %b;" % (EVENTS[type(frame)].encode(), str(frame.next).encode())

    subscription = Subscription(place, at(0))
    subscription.attached(at(0))
    subscription.published(left_out(0, 5, 3, rows=1))
    subscription.published(left_out(5, 9, 6))
    assert subscription.take() == b"gap 7f3a-0;rows 7f3a-5;gap 7f3a-9;"


def test_a_ping_counts_what_was_left_out() -> None:
    subscription = live(0)
    subscription.published(left_out(0, 5, 3, 4, rows=1))
    subscription.ping(0)
    *_, (_, said) = told(subscription)
    assert (said["sent"], said["matched"]) == (1, 3)
    assert said["levels"] == {"info": {"shown": 1, "total": 3}}


def test_what_was_left_out_of_an_uncounted_past_is_declared_by_itself() -> None:
    subscription = Subscription(encode, at(0))
    subscription.move(at(0), counted_from=at(6))
    subscription.read(left_out(0, 6, 1, 2))
    subscription.read(left_out(6, 9, 7))
    subscription.ping(0)
    past, counted_gap, ping = [orjson.loads(line.partition(b" ")[2]) for line in subscription.take().splitlines()]
    assert [(gap["from"], gap["count"]) for gap in (past, counted_gap)] == [("7f3a-0", 2), ("7f3a-6", 1)]
    assert ping["matched"] == 1


def test_counts_are_sent_without_records_too() -> None:
    subscription = live(0)
    subscription.published(Chunk(at(0), at(3), counts=b'{"levels":{"info":3}}', left_out=counted(1, 2)))
    _, rows = subscription.take().splitlines()
    assert rows == b'rows {"records":[],"next":"7f3a-3","counts":{"levels":{"info":3}}}'
