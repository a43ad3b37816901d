import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.pipeline.unwrap import STREAMS, detect, looks, unwrap

TIME = "2026-11-20T08:00:00.123456789Z"
TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8)


def cri(text, tag="F", stream="stdout"):
    return f"{TIME} {stream} {tag} {text}"


def docker(text, stream="stdout"):
    return orjson.dumps({"log": text, "stream": stream, "time": TIME}).decode()


def unwrapped(envelope, *lines, ended=True):
    return unwrap(envelope, pa.array(lines, pa.string()), ended=ended)


WRAP = {"cri": lambda text, whole, stream: cri(text, "F" if whole else "P", stream),
        "docker": lambda text, whole, stream: docker(text + "\n" * whole, stream)}  # fmt: skip


@pytest.mark.parametrize("envelope", WRAP)
def test_an_envelope_is_recognised(envelope):
    lines = pa.array([WRAP[envelope]("a", True, "stdout"), "junk", WRAP[envelope]("b", False, "stderr")])
    assert detect(lines, ("cri", "docker")) == looks(lines[0].as_py(), ("cri", "docker")) == envelope


@pytest.mark.parametrize("line", ["plain", '{"message":"x"}', "2026-11-20T08:00:00Z INFO F x", ""])
def test_other_lines_have_no_envelope(line):
    assert looks(line, ("cri", "docker")) == detect(pa.array([line]), ("cri", "docker")) == ""


@pytest.mark.parametrize("envelope", WRAP)
def test_parts_are_joined_apart_for_each_stream(envelope):
    wrap = WRAP[envelope]
    found = unwrapped(
        envelope,
        wrap("a", False, "stdout"),
        wrap("x", False, "stderr"),
        wrap("b", True, "stdout"),
        wrap("y", True, "stderr"),
    )
    assert found.text.to_pylist() == ["ab", "xy"]
    assert [STREAMS[code] for code in found.stream] == ["stdout", "stderr"]
    assert found.first.tolist() == [0, 1]
    assert found.row.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize("envelope", WRAP)
def test_an_open_part_is_held_back_with_what_stands_behind_it(envelope):
    wrap = WRAP[envelope]
    lines = [wrap("a", True, "stdout"), wrap("b", False, "stdout"), wrap("c", True, "stderr")]
    found = unwrapped(envelope, *lines, ended=False)
    assert (found.text.to_pylist(), found.held) == (["a"], 1)


def test_a_line_that_ends_behind_an_open_part_is_held_back_whole():
    found = unwrapped("cri", cri("a"), cri("b1", "P"), cri("x", "P", "stderr"), cri("b2"), ended=False)
    assert (found.text.to_pylist(), found.held) == (["a"], 1)


@pytest.mark.parametrize("envelope", WRAP)
def test_a_part_without_its_end_is_given_out_and_marked_when_nothing_follows(envelope):
    found = unwrapped(envelope, WRAP[envelope]("half", False, "stdout"))
    assert (found.text.to_pylist(), found.partial.tolist()) == (["half"], [True])


@pytest.mark.parametrize(
    ("envelope", "broken"), [("cri", "2026-11-20 stdout F x"), ("docker", '{"log":"half'), ("docker", "[1]")]
)
def test_a_corrupt_line_is_kept_whole_and_marked(envelope, broken):
    found = unwrapped(envelope, WRAP[envelope]("a", True, "stdout"), broken)
    assert found.text.to_pylist() == ["a", broken]
    assert found.timed.tolist() == [True, False]


def test_an_empty_line_of_cri_is_empty():
    assert unwrapped("cri", f"{TIME} stdout F", f"{TIME} stdout F ").text.to_pylist() == ["", ""]


@pytest.mark.parametrize("text", ['say "hi"', "a\\n", "tab\there", "back\\", "\u001b[31mred", "<é&>", "two\nlines", ""])
def test_escapes_of_docker_are_what_was_written(text):
    assert unwrapped("docker", docker(text + "\n")).text.to_pylist() == [text]


def test_other_keys_and_another_order_are_understood():
    lines = (
        f'{{"log":"a\\n","stream":"stdout","attrs":{{"tag":"t"}},"time":"{TIME}"}}',
        f'{{"time": "{TIME}", "stream": "stderr", "log": "b\\n"}}',
    )
    assert unwrapped("docker", *lines).text.to_pylist() == ["a", "b"]


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, st.booleans(), st.sampled_from(STREAMS[1:])), max_size=12), st.integers(0, 12))
def test_two_reads_with_what_was_held_back_are_one_read(parts, cut):
    for wrap, envelope in zip(WRAP.values(), WRAP, strict=True):
        lines = [wrap(*part) for part in parts]
        first = unwrapped(envelope, *lines[:cut], ended=False)
        again = unwrapped(envelope, *lines[first.held :], ended=True)
        assert first.text.to_pylist() + again.text.to_pylist() == unwrapped(envelope, *lines).text.to_pylist()
