import gzip

import pytest

from tailrace.errors import BadInput, Unsupported
from tailrace.limits import PUSH_BATCH_BYTES
from tailrace.sources.body import Body, zstd

LINES = b"".join(b"line %d %s\n" % (number, b"x" * 90) for number in range(100_000))


def pieces(data, encoding="identity", step=1 << 16):
    body, found = Body(encoding), []
    for start in range(0, len(data), step):
        more = body.feed(data[start : start + step])
        while True:
            while piece := body.piece(ended=False):
                found.append(piece)
            if not more:
                break
            more = body.feed(b"")
    body.end()
    while piece := body.piece(ended=True):
        found.append(piece)
    return found


def test_pieces_are_whole_lines_and_all_of_them():
    found = pieces(LINES)
    assert b"".join(found) == LINES
    assert len(found) > 1
    assert all(piece.endswith(b"\n") and len(piece) <= PUSH_BATCH_BYTES for piece in found)


@pytest.mark.parametrize("step", [1000, 1 << 20, len(LINES)])
def test_pieces_are_the_same_however_the_network_cuts(step):
    assert pieces(LINES, step=step) == pieces(LINES)


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_pieces_are_the_same_however_they_were_packed(encoding, pack):
    assert pieces(pack(LINES), encoding) == pieces(LINES)
    assert pieces(pack(LINES[:500]) + pack(LINES[500:]), encoding) == pieces(LINES)


def test_a_last_line_without_an_end_is_given_one():
    assert pieces(b"a\nb") == [b"a\nb\n"]


def test_an_encoding_that_nobody_knows_is_refused():
    with pytest.raises(Unsupported):
        Body("br")


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("zstd", zstd.compress)])
def test_a_body_that_is_torn_is_refused(encoding, pack):
    with pytest.raises(BadInput):
        pieces(pack(LINES)[:-5], encoding)
