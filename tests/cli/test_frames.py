"""Reading a stream of events, however it is cut into pieces."""

import io
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.cli.client import Client, Unreachable
from tailrace.cli.frames import Frame, Reader, frames
from tests.apps.programs import until

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


def test_an_end_says_when_to_come_back_and_the_tail_goes_on_where_it_was():
    asked = []

    class Busy(BaseHTTPRequestHandler):
        """Ends the first tail at once, as a server whose quota is used up."""

        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'event: ping\nid: 7f-3\ndata: {"checkpoint":"7f-3"}\n\n')
            if len(asked) == 1:
                self.wfile.write(b'event: end\nid: 7f-3\ndata: {"why":"too many lines a second","retry_s":0.2}\n\n')

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as peer:
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        reader = Reader(Client(f"http://127.0.0.1:{peer.server_port}"), {"last": 5})
        came = [until(lambda: reader.next(0.1)) for _ in range(4)]
        reader.close()
        peer.shutdown()
    assert [what.event if isinstance(what, Frame) else what.kind for what in came] == ["ping", "lost", "found", "ping"]
    assert came[1].text == "too many lines a second; connecting again in 0.2 s at 7f-3"
    assert asked[:2] == ["/api/v1/tail?last=5", "/api/v1/tail?after=7f-3"]


def test_an_end_with_nothing_left_to_send_is_the_last_frame_and_nobody_comes_back():
    asked = []

    class Done(BaseHTTPRequestHandler):
        """Ends a replay."""

        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'event: end\nid: replay.x\ndata: {"why":"over","done":true}\n\n')

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Done) as peer:
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        reader = Reader(Client(f"http://127.0.0.1:{peer.server_port}"), {"from": "1h"}, "/api/v1/replay")
        last = until(lambda: reader.next(0.1))
        until(lambda: not reader._thread.is_alive())
        peer.shutdown()
    assert isinstance(last, Frame)
    assert last.event == "end"
    assert asked == ["/api/v1/replay?from=1h"]


def test_a_first_connection_that_fails_is_raised():
    reader = Reader(Client("http://127.0.0.1:1"), {})
    with pytest.raises(Unreachable):
        reader.next(20)
