"""What a client is sent."""

import orjson

from tailrace.cursor import Checkpoint, Cursor
from tailrace.frame import End, Gap, Ping, Rows

HERE = Checkpoint((Cursor(0x7F, 5),))


def test_rows_carry_their_records_and_the_position_behind_them():
    assert orjson.loads(Rows((b'{"a":1}', b'{"a":2}'), HERE).json()) == {
        "records": [{"a": 1}, {"a": 2}],
        "next": "7f-5",
    }


def test_a_gap_says_what_is_missing_and_why():
    gap = Gap(Cursor(0x7F, 2), Cursor(0x7F, 5), 3, "expired")
    assert orjson.loads(gap.json()) == {"from": "7f-2", "to": "7f-5", "count": 3, "why": "expired"}
    assert gap.next == HERE


def test_a_ping_says_where_the_tail_stands():
    assert orjson.loads(Ping(HERE, 1.5, 10, 3).json()) == {"checkpoint": "7f-5", "lag_ms": 1.5, "in": 10, "matched": 3}


def test_the_end_says_why():
    assert orjson.loads(End("the server stops", HERE).json())["why"] == "the server stops"
