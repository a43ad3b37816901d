"""Reading a stream of events, however it is cut into pieces."""

import io
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.client import Client, Unreachable
from tailrace.cli.frames import Frame, Reader, frames

TEXT = (
    b"retry: 1000\n\n"
    b'event: ping\nid: 7f-0\ndata: {"checkpoint":"7f-0"}\n\n'
    b": a comment\n\n"
    b'event: rows\nid: 7f-2\ndata: {"records":[{"a": 1.50,"b":"\xe4\xb8\x8a"},{}],"next":"7f-2"}\n\n'
    b"event: rows\nid: 7f-3\ndata: {"
)


class Pieces(io.RawIOBase):
    """An answer whose bytes come in pieces."""

    def __init__(self, pieces):
        self.pieces = list(pieces)

    def read1(self, _size):
        return self.pieces.pop(0) if self.pieces else b""


@given(st.lists(st.integers(0, len(TEXT)), max_size=20))
def test_frames_are_the_same_however_the_bytes_are_cut(cuts):
    edges = sorted({0, len(TEXT), *cuts})
    found = list(frames(Pieces(TEXT[a:b] for a, b in pairwise(edges))))
    assert [(frame.event, frame.checkpoint) for frame in found] == [("ping", "7f-0"), ("rows", "7f-2")]


def test_records_stay_the_bytes_that_they_were():
    frame = list(frames(Pieces([TEXT])))[-1]
    assert frame.records() == ['{"a": 1.50,"b":"上"}'.encode(), b"{}"]
    assert frame.json()["records"][0] == {"a": 1.5, "b": "上"}


def test_a_frame_knows_nothing_of_what_it_was_not_told():
    assert Frame("rows", "", b'{"records":[],"next":""}').records() == []


def test_a_first_connection_that_fails_is_raised():
    reader = Reader(Client("http://127.0.0.1:1"), {})
    with pytest.raises(Unreachable):
        reader.next(20)
