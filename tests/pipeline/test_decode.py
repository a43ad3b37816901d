import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from tailrace.pipeline.decode import decode


@given(lines=st.lists(st.binary(max_size=6) | st.sampled_from(["é".encode(), b"\xc3", b"plain"]), max_size=12))
def test_every_line_is_text_and_what_was_not_can_be_had_back(lines):
    texts, raw = decode(pa.array(lines, pa.binary()))
    for row, (line, text) in enumerate(zip(lines, texts.to_pylist(), strict=True)):
        if row in raw:
            assert raw[row] == line
        else:
            assert text.encode() == line


def test_only_bad_bytes_are_escaped():
    assert decode(pa.array(["é".encode() + b"\xff!"]))[0].to_pylist() == ["é\\xff!"]
