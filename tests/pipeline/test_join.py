"""Lines become events: each line is in exactly one, wherever a block ends."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.test_traces import AFTER, BEFORE, JAVA, PYTHON, TRACES

from tailrace.errors import ConfigError
from tailrace.limits import EVENT_BYTES_MAX, EVENT_LINES_MAX
from tailrace.lines import Steps
from tailrace.pipeline.join import check, join

AUTO = Steps()
ORDINARY = st.sampled_from(
    [BEFORE, AFTER, "plain words", "", "  indented", '{"a":1}', "2026-11-21 08:00:00 ERROR failed", "a=b c=d", "#1 x"]
)
BLOCK = st.lists(
    st.sampled_from(sorted(TRACES)).map(lambda name: TRACES[name].split("\n")) | ORDINARY.map(lambda x: [x])
)


def events(lines, steps=AUTO, **options):
    """Return the events that are given out, and how many lines wait."""
    text = pa.array(lines, pa.string())
    found = join(text, steps, **options)
    if found is None:
        return list(lines), 0
    return found.texts(text).to_pylist(), len(lines) - found.rows


@settings(deadline=None, max_examples=150)
@given(parts=BLOCK, cuts=st.lists(st.integers(0, 200)))
def test_where_a_block_ends_makes_no_difference_to_the_events(parts, cuts):
    lines = [line for part in parts for line in part]
    found, begin = [], 0
    for end in sorted({min(cut, len(lines)) for cut in cuts} | {len(lines)}):
        last = end == len(lines)
        given_out, waiting = events(lines[begin:end], ended=last, more=not last)
        found += given_out
        begin = end - waiting
    assert found == events(lines)[0]


@settings(deadline=None, max_examples=100)
@given(parts=BLOCK, cuts=st.lists(st.integers(0, 200)), steps=st.sampled_from([AUTO, Steps(multiline="off")]))
def test_every_line_is_in_exactly_one_event_also_when_nothing_more_is_known(parts, cuts, steps):
    lines = [line for part in parts for line in part]
    found, begin = [], 0
    for end in sorted({min(cut, len(lines)) for cut in cuts} | {len(lines)}):
        given_out, waiting = events(lines[begin:end], steps, ended=end == len(lines))
        found += given_out
        begin = end - waiting
    assert "\n".join(found) == "\n".join(lines)


@settings(deadline=None, max_examples=100)
@given(streams=st.lists(BLOCK, min_size=2, max_size=3), draw=st.randoms())
def test_lines_of_several_writers_are_joined_each_with_its_own(streams, draw):
    queues = [[line for part in parts for line in part] for parts in streams]
    codes = [code for code, queue in enumerate(queues) for _ in queue]
    draw.shuffle(codes)
    taken = [iter(queue) for queue in queues]
    lines = [next(taken[code]) for code in codes]
    text = pa.array(lines, pa.string())
    found = join(text, AUTO, codes=np.array(codes)) if lines else None
    firsts = np.arange(len(lines)) if found is None else found.firsts
    texts = lines if found is None else found.texts(text).to_pylist()
    assert sorted(firsts.tolist()) == firsts.tolist()
    for code, queue in enumerate(queues):
        assert [one for one, row in zip(texts, firsts, strict=True) if codes[row] == code] == events(queue)[0]


def test_a_line_that_waits_makes_every_later_line_of_other_writers_wait():
    java = JAVA.split("\n")
    text = pa.array([BEFORE, java[0], "other", java[1], "other", java[2]])
    found = join(text, AUTO, ended=False, codes=np.array([0, 0, 1, 0, 1, 0]))
    assert found.texts(text).to_pylist() == [BEFORE]
    assert found.rows == 1


@pytest.mark.parametrize("line", [BEFORE, "2026-11-21 08:00:00 ERROR failed", "plain words", "", '{"a":1}', "  x"])
def test_an_ordinary_line_never_waits(line):
    assert events([BEFORE, line], ended=False) == ([BEFORE, line], 0)


@pytest.mark.parametrize("name", sorted(TRACES))
def test_a_trace_that_reaches_the_end_waits(name):
    assert events([BEFORE, *TRACES[name].split("\n")], ended=False) == ([BEFORE], len(TRACES[name].split("\n")))


@pytest.mark.parametrize("line", ["java.lang.Error: x", "Traceback (most recent call last):", "panic: x"])
def test_what_looks_like_the_beginning_of_a_trace_waits(line):
    assert events([BEFORE, line], ended=False) == ([BEFORE], 1)


def test_the_line_before_more_waits_when_more_is_known_to_come():
    assert events([BEFORE, "2026-11-21 08:00:00 ERROR failed"], ended=False, more=True) == ([BEFORE], 1)


def test_nothing_waits_when_nothing_more_is_expected():
    assert events(PYTHON.split("\n"), ended=True) == ([PYTHON], 0)


def test_a_pattern_says_where_events_begin():
    steps = Steps(multiline="start", pattern=r"^\d+ ")
    assert events(["lost", "1 a", "b", "2 c", "d"], steps) == (["lost", "1 a\nb", "2 c\nd"], 0)
    assert events(["1 a", "b", "2 c", "d"], steps, ended=False) == (["1 a\nb"], 2)


def test_a_pattern_says_what_continues_an_event():
    steps = Steps(multiline="continue", pattern=r"^[ >]")
    assert events(["a", " b", ">c", "d"], steps) == (["a\n b\n>c", "d"], 0)
    assert events(["a", "d", " e"], steps, ended=False) == (["a"], 2)


def test_nothing_is_joined_when_it_is_off():
    assert events(JAVA.split("\n"), Steps(multiline="off"), ended=False) == (JAVA.split("\n"), 0)


@pytest.mark.parametrize(
    "steps", [Steps(multiline="sometimes"), Steps(multiline="start"), Steps(multiline="start", pattern="(")]
)
def test_what_cannot_be_meant_is_said(steps):
    with pytest.raises(ConfigError):
        check(steps)


def test_an_event_of_too_many_lines_is_cut_and_the_rest_begins_the_next():
    lines = ["java.lang.Error: x"] + [f"\tat a.B.c(B.java:{number})" for number in range(EVENT_LINES_MAX + 9)]
    text = pa.array(lines)
    found = join(text, AUTO)
    assert [one.count("\n") + 1 for one in found.texts(text).to_pylist()] == [EVENT_LINES_MAX, 10]
    assert found.cut.tolist() == [0]


def test_an_event_of_too_many_bytes_is_cut_and_does_not_wait_for_ever():
    lines = ["java.lang.Error: x"] + ["\tat a." + "b" * 1000 + "(B.java:1)"] * 1000
    text = pa.array(lines)
    found = join(text, AUTO, ended=False, more=True)
    texts = found.texts(text).to_pylist()
    assert max(map(len, texts)) <= EVENT_BYTES_MAX
    assert 0 < found.rows < len(lines)
    assert found.cut.tolist() == list(range(len(texts)))
