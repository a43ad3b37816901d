from hypothesis import given
from hypothesis import strategies as st

from tailrace.limits import LAG_MARKS_MAX, LAG_STEP_S
from tailrace.sources.waiting import Waiting


def test_the_oldest_byte_that_is_not_acknowledged_counts():
    waiting = Waiting()
    waiting.saw(10, 0, 1.0)
    waiting.saw(20, 0, 2.0)
    assert [waiting.since(acked) for acked in (0, 9, 10, 19, 20)] == [1.0, 1.0, 2.0, 2.0, None]


def test_what_was_acknowledged_before_it_was_seen_has_not_waited():
    waiting = Waiting()
    waiting.saw(10, 10, 1.0)
    assert waiting.since(10) is None


@given(st.lists(st.tuples(st.integers(1, 50), st.floats(0, 3), st.integers(0, 40)), max_size=400))
def test_it_is_never_told_to_have_waited_less_than_it_has_and_memory_is_bounded(steps):
    waiting, size, acked, now, seen = Waiting(), 0, 0, 0.0, []
    for more, later, taken in steps:
        size, now = size + more, now + later
        acked = min(size, acked + taken)
        seen.append((size, now))
        waiting.saw(size, acked, now)
        true = next((when for end, when in seen if end > acked), None)
        told = waiting.since(acked)
        assert (told is None) == (true is None)
        assert told is None or true is None or told <= true
        assert len(waiting._marks) <= LAG_MARKS_MAX


@given(st.lists(st.floats(LAG_STEP_S, 3), min_size=1, max_size=LAG_MARKS_MAX))
def test_few_looks_are_told_exactly(gaps):
    waiting, now, seen = Waiting(), 0.0, []
    for number, gap in enumerate(gaps, 1):
        now += 2 * gap
        waiting.saw(number, 0, now)
        seen.append(now)
    assert [waiting.since(number) for number in range(len(gaps))] == seen
