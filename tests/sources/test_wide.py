"""Lines of UTF-16 and UTF-32."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.sources.wide import MARKS, find, mark_of, split_wide

WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


@settings(deadline=None)
@given(
    encoding=st.sampled_from(WIDE),
    lines=st.lists(st.text(st.sampled_from("a\u0a0a\u0d0a\u0a0dਊ🎉\r"), max_size=5)),
    rest=st.binary(max_size=1),
)
def test_lines_are_found_wherever_the_bytes_of_a_newline_stand(encoding, lines, rest):
    ends = ["\r\n" if row % 2 else "\n" for row in range(len(lines))]
    block = "".join(line + end for line, end in zip(lines, ends, strict=True)).encode(encoding)
    found, begins, taken = split_wide(block + rest, 100, "\n".encode(encoding))
    wanted = [line[:-1] if end == "\n" and line.endswith("\r") else line for line, end in zip(lines, ends, strict=True)]
    assert [line.decode(encoding) for line in found.to_pylist()] == wanted
    assert taken == len(block)
    for begin, line in zip(begins.tolist(), wanted, strict=True):
        assert block[begin:].decode(encoding).startswith(line)


@pytest.mark.parametrize("encoding", WIDE)
def test_of_too_many_lines_the_others_are_left(encoding):
    block = "a\nb\nc\n".encode(encoding)
    found, _, taken = split_wide(block, 2, "\n".encode(encoding))
    assert (len(found), taken) == (2, len(block) * 2 // 3)


def test_half_of_a_character_is_no_newline():
    assert find("ਊ\u0a00\u000a".encode("utf-16-le"), b"\n\0") == 4
    assert find("ਊ".encode("utf-16-le"), b"\n\0") == -1


@pytest.mark.parametrize(("mark", "encoding"), MARKS)
def test_a_byte_order_mark_tells_the_encoding(mark, encoding):
    assert mark_of(mark + "a\n".encode(encoding)) == (mark, encoding)


def test_without_a_mark_nothing_is_told():
    assert mark_of(b"plain") == mark_of(b"\xff") == (b"", "")
