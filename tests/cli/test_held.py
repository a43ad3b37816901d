"""The state of the full-screen view, as scripts: frames and keys in, rows and figures out."""

import json
import re

import pytest

from tailrace.cli import held
from tailrace.cli.frames import Frame, Note
from tailrace.cli.held import Held


def rows(first, count, level="info"):
    records = [
        {
            "time": f"2026-11-20T08:00:{n % 60:02}.000000000Z",
            "message": f"line {n}",
            "cursor": f"7f-{n}",
            "level": level,
        }
        for n in range(first, first + count)
    ]
    following = f"7f-{first + count}"
    return Frame("rows", following, json.dumps({"records": records, "next": following}).encode())


def ping(checkpoint, start="7f-0", lag_ms=0.0):
    data = {"checkpoint": checkpoint, "lag_ms": lag_ms, "from": start}
    return Frame("ping", checkpoint, json.dumps(data).encode())


def gap(start, end, count, why="slow"):
    return Frame("gap", end, json.dumps({"from": start, "to": end, "count": count, "why": why}).encode())


def watching(*events):
    state = Held("")
    for event in events:
        state.take(event, 0.0)
    return state


def texts(state):
    return [row.text or row.data["why"] for row in state.rows]


def test_it_holds_rows_gaps_and_notes_in_the_order_in_which_they_came():
    state = watching(
        ping("7f-0"), rows(0, 1), gap("7f-1", "7f-5", 4), Note("lost", "gone"), Note("found", "back"), rows(5, 1)
    )
    assert texts(state) == ["line 0", "slow", "gone", "back", "line 5"]
    assert (state.matched, state.gaps, state.reconnects, state.checkpoint, state.state) == (2, 1, 1, "7f-6", "live")


def test_a_lost_connection_shows_until_the_next_frame():
    state = watching(ping("7f-0"), Note("lost", "gone"))
    assert state.state == "reconnecting"
    state.take(ping("7f-0"), 0.0)
    assert state.state == "live"


def test_a_pause_counts_lines_and_errors_and_goes_on_where_it_began():
    state = watching(ping("7f-0"), rows(0, 2))
    state.pause()
    state.take(rows(2, 3), 0.0)
    state.take(rows(5, 2, "error"), 0.0)
    assert (len(state.rows), state.waiting, state.waiting_errors) == (2, 5, 2)
    assert state.resume() == "7f-2"
    state.take(rows(2, 5), 0.0)
    assert (texts(state), state.matched) == ([f"line {n}" for n in range(7)], 7)


def test_a_pause_in_which_nothing_came_goes_on_with_the_same_connection():
    state = watching(ping("7f-0"), rows(0, 2))
    state.pause()
    state.take(ping("7f-9"), 0.0)
    assert state.resume() == ""


def test_a_gap_that_came_in_a_pause_is_read_again():
    state = watching(ping("7f-0"), rows(0, 2))
    state.pause()
    state.take(gap("7f-2", "7f-5", 3), 0.0)
    assert (state.resume(), state.gaps) == ("7f-2", 0)


def test_to_skip_what_waited_leaves_a_gap():
    state = watching(ping("7f-0"), rows(0, 2))
    state.pause()
    state.take(rows(2, 3, "error"), 0.0)
    state.skip()
    state.take(rows(5, 1), 0.0)
    assert texts(state) == ["line 0", "line 1", "paused", "line 5"]
    assert state.rows[2].data == {"from": "7f-2", "to": "7f-5", "count": 3, "why": "paused", "levels": {"error": 3}}


def test_another_query_is_read_from_where_the_tail_began_and_old_rows_stay_until_it_answers():
    state = watching(ping("7f-3", "7f-3"), rows(3, 2))
    assert state.restart("error") == "7f-3"
    assert len(state.rows) == 2
    state.take(ping("7f-3", "7f-3"), 0.0)
    state.take(rows(4, 1), 0.0)
    assert (texts(state), state.matched, state.query) == (["line 4"], 1, "error")


def test_a_query_that_is_refused_changes_nothing():
    state = watching(ping("7f-0"), rows(0, 2))
    state.restart("level:(")
    state.keep("")
    state.take(rows(2, 1), 0.0)
    assert (len(state.rows), state.query) == (3, "")


def test_the_oldest_rows_are_let_go_and_numbers_stay(monkeypatch):
    monkeypatch.setattr(held, "UI_ROWS_MAX", 10)
    state = watching(rows(0, 10))
    third = state.row(3)
    state.take(rows(10, 2), 0.0)
    assert (len(state.rows), state.let_go, state.first, state.end) == (10, 2, 2, 12)
    assert (state.row(3), state.row(1), state.row(12)) == (third, None, None)


@pytest.mark.parametrize("bound", [1, 500, 5_000])
def test_the_bytes_that_are_held_are_bounded(monkeypatch, bound):
    monkeypatch.setattr(held, "UI_BYTES_MAX", bound)
    state = watching(*(rows(n, 10) for n in range(0, 200, 10)))
    assert sum(row.size for row in state.rows) <= bound
    assert state.let_go == 200 - len(state.rows)


def test_what_is_fetched_takes_the_place_of_its_gap():
    state = watching(rows(0, 1), gap("7f-1", "7f-4", 3), rows(4, 1))
    assert state.fill(1, [rows(1, 2), ping("7f-3"), rows(3, 2)], 100) == 3
    assert texts(state) == [f"line {n}" for n in range(5)]


def test_what_is_too_much_to_fetch_at_once_stays_a_gap():
    state = watching(gap("7f-0", "7f-9", 9))
    state.fill(0, [rows(0, 4)], 4)
    assert texts(state) == [*(f"line {n}" for n in range(4)), "slow"]
    assert (state.rows[4].data["from"], state.rows[4].data["to"]) == ("7f-4", "7f-9")


def test_only_a_gap_can_be_filled():
    state = watching(rows(0, 1))
    assert (state.fill(0, [rows(5, 1)], 9), state.fill(7, [rows(5, 1)], 9), texts(state)) == (0, 0, ["line 0"])


def test_a_search_goes_around_the_end():
    state = watching(rows(0, 12))
    find = re.compile("line 1").search
    assert [state.find(find, 11, -1), state.find(find, 9, -1), state.find(find, 2, 1), state.find(find, 0, -1)] == [
        11,
        1,
        10,
        11,
    ]
    assert state.find(re.compile("nothing").search, 3, 1) is None


def test_the_rate_is_that_of_the_last_seconds():
    state = Held("")
    state.take(rows(0, 30), 100.0)
    state.take(rows(30, 30), 101.0)
    assert (state.rate(102.0), state.rate(103.5), state.rate(110.0)) == (20.0, 10.0, 0.0)


def test_context_is_shown_and_not_counted():
    data = {
        "records": [{"time": "2026-11-20T08:00:00Z", "message": "near", "cursor": "7f-1", "context": True}],
        "next": "7f-2",
    }
    state = watching(Frame("rows", "7f-2", json.dumps(data).encode()))
    assert (texts(state), state.matched) == (["near"], 0)


def test_what_sampling_leaves_out_is_counted_and_no_row():
    state = watching(ping("7f-0"), rows(0, 1), gap("7f-0", "7f-9", 8, "sampled"), gap("7f-9", "7f-20", 11, "sampled"))
    assert (texts(state), state.sampled, state.gaps) == (["line 0"], 19, 0)


def test_groups_of_context_are_set_apart():
    state = Held("", 1)
    state.take(rows(0, 2), 0.0)
    far = {"time": "2026-11-20T08:00:00Z", "message": "far", "cursor": "7f-9", "service": "other"}
    state.take(Frame("rows", "7f-10", json.dumps({"records": [far], "next": "7f-10"}).encode()), 0.0)
    assert [row.kind for row in state.rows] == ["record", "record", "rule", "record"]
