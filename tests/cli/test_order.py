"""Orders of lines, as scripts: lines and a clock in, lines out."""

from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli import order
from tailrace.cli.order import Arrival, Event, late_text


def at(second, number=0, **more):
    return {
        "time": f"2026-11-20T08:{second // 60:02}:{second % 60:02}.000000000Z",
        "message": f"{second}.{number}",
        **more,
    }


def shown(found):
    return [(record["message"], late) for record, late in found]


def test_in_the_order_of_arrival_everything_is_shown_at_once():
    assert shown(Arrival().add([at(9), at(5), at(10)], 0.0)) == [("9.0", ""), ("5.0", ""), ("10.0", "")]


def test_what_happened_long_before_the_newest_line_is_late():
    arrival = Arrival()
    list(arrival.add([at(30)], 0.0))
    assert shown(arrival.add([at(25), at(18), at(29), at(31)], 0.0)) == [
        ("25.0", ""),
        ("18.0", "12s"),
        ("29.0", ""),
        ("31.0", ""),
    ]


def test_context_is_never_late_and_makes_nothing_late():
    arrival = Arrival()
    assert shown(arrival.add([at(30), at(10, context=True), at(50, context=True), at(31)], 0.0))[-1] == ("31.0", "")


def test_in_the_order_of_events_lines_wait_and_are_sorted():
    event = Event()
    assert shown(event.add([at(2), at(1, 1), at(1, 2)], 10.0)) == []
    assert shown(event.due(10.5)) == []
    assert shown(event.due(11.0)) == [("1.1", ""), ("1.2", ""), ("2.0", "")]


def test_what_comes_behind_its_place_is_late_however_little():
    event = Event()
    list(event.add([at(9)], 0.0))
    list(event.due(1.0))
    assert shown(event.add([at(8), at(10)], 1.5)) == [("8.0", "1s")]
    assert shown(event.due(2.5)) == [("10.0", "")]


def test_a_line_that_waits_does_not_hold_up_what_happened_before_it():
    event = Event()
    list(event.add([at(5)], 0.0))
    list(event.add([at(3), at(7)], 0.9))
    assert shown(event.due(1.0)) == [("3.0", ""), ("5.0", "")]
    assert shown(event.rest()) == [("7.0", "")]


def test_what_waits_is_bounded(monkeypatch):
    monkeypatch.setattr(order, "TAIL_ORDER_ROWS_MAX", 2)
    assert shown(Event().add([at(3), at(1), at(2)], 0.0)) == [("1.0", "")]


@given(st.lists(st.tuples(st.integers(0, 59), st.floats(0, 2)), max_size=30))
def test_every_line_is_shown_once_and_those_not_late_are_in_order(lines):
    event, clock, found = Event(), 0.0, []
    for number, (second, pause) in enumerate(lines):
        clock += pause
        found += event.add([at(second, number)], clock)
    found += event.rest()
    assert sorted(record["message"] for record, _ in found) == sorted(
        f"{second}.{n}" for n, (second, _) in enumerate(lines)
    )
    in_time = [record["time"] for record, late in found if not late]
    assert in_time == sorted(in_time)


def test_lateness_is_short():
    assert [late_text(seconds) for seconds in (0.44, 12.3, 119, 180, 7300, 200_000)] == [
        "0.4s",
        "12s",
        "119s",
        "3m",
        "2h",
        "2d",
    ]
