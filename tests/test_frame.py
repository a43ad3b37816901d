"""What a client is sent."""

import numpy as np
import orjson

from tailrace.cursor import Checkpoint, Cursor
from tailrace.frame import End, Gap, Ping, Rows
from tailrace.tally import NOTHING, tally

HERE = Checkpoint((Cursor(0x7F, 5),))


def test_an_end_says_when_to_come_back_only_when_it_is_known():
    assert orjson.loads(End("stopping").json()) == {"why": "stopping", "checkpoint": ""}
    over = orjson.loads(End("too much", retry_s=5.0, limit="tails").json())
    assert (over["retry_s"], over["limit"]) == (5, "tails")


def test_rows_carry_their_records_and_the_position_behind_them():
    assert orjson.loads(Rows((b'{"a":1}', b'{"a":2}'), HERE).json()) == {
        "records": [{"a": 1}, {"a": 2}],
        "next": "7f-5",
    }


def test_a_gap_says_what_is_missing_and_why():
    gap = Gap(Cursor(0x7F, 2), Cursor(0x7F, 5), 3, "expired")
    assert orjson.loads(gap.json()) == {"from": "7f-2", "to": "7f-5", "count": 3, "why": "expired"}
    assert str(gap.next) == str(HERE)


def test_a_gap_of_what_matched_counts_the_levels_and_says_the_digest():
    skipped = tally(np.array([3, 5, 5], np.uint8), np.array([1, 2, 3], np.uint64))
    gap = Gap(Cursor(0x7F, 2), Cursor(0x7F, 5), 3, "slow", skipped)
    said = orjson.loads(gap.json())
    assert (said["levels"], said["digest"]) == ({"info": 1, "error": 2}, "0000000000000006")


def test_a_ping_says_where_the_tail_stands_and_what_was_sent():
    sent = tally(np.array([0, 3], np.uint8), np.array([1, 2], np.uint64))
    matched = sent + tally(np.array([5], np.uint8), np.array([9], np.uint64))
    assert orjson.loads(Ping(HERE, 1.5, 10, Cursor(0x7F, 1), sent, matched).json()) == {
        "checkpoint": "7f-5",
        "lag_ms": 1.5,
        "in": 10,
        "matched": 3,
        "from": "7f-1",
        "sent": 2,
        "digest": "0000000000000003",
        "levels": {
            "none": {"shown": 1, "total": 1},
            "info": {"shown": 1, "total": 1},
            "error": {"shown": 0, "total": 1},
        },
    }


def test_a_frame_of_a_replay_carries_its_token_and_the_moment_that_it_shows():
    assert Gap(Cursor(0x7F, 2), Cursor(0x7F, 5), 3, "expired", token="replay.x").next == "replay.x"
    assert orjson.loads(Rows((), "replay.x").json())["next"] == "replay.x"
    ping = Ping("replay.x", 0.0, 0, Cursor(0x7F, 2), NOTHING, NOTHING, clock="2026-11-20T08:00:00.000000000Z")
    assert orjson.loads(ping.json())["clock"] == "2026-11-20T08:00:00.000000000Z"


def test_an_end_with_nothing_left_to_send_says_so():
    assert orjson.loads(End("over", HERE, done=True).json())["done"] is True
    assert "done" not in orjson.loads(End("stopping", HERE).json())


def test_the_end_says_why():
    assert orjson.loads(End("the server stops", HERE).json())["why"] == "the server stops"
