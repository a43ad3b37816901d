"""The bytes of files, plain and compressed."""

import gzip
import os
import random

import pytest

from tailrace.sources import content as module
from tailrace.sources.content import Gzip, Plain, Rewritten, content_of

MAKER = random.Random(7)
DATA = b"".join(b"line %d %s\n" % (number, MAKER.randbytes(20).hex().encode()) for number in range(40_000))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "app.log.gz"


@pytest.fixture
def opened(path):
    fds = []

    def open_(data):
        path.write_bytes(data)
        fds.append(os.open(path, os.O_RDONLY))
        return content_of(fds[-1], str(path))

    yield open_
    for fd in fds:
        os.close(fd)


def everything(content, step=100_000):
    found = b""
    while piece := content.pread(step, len(found)):
        found += piece
    return found


@pytest.mark.parametrize("cut", [0, 5, 500_000])
def test_gzip_can_be_read_at_any_place_forwards_and_backwards(opened, cut, monkeypatch):
    monkeypatch.setattr(module, "UNPACK_EVERY_BYTES", 300_000)
    content = opened(gzip.compress(DATA[:cut]) + gzip.compress(DATA[cut:]) + bytes(512))
    places = random.Random(cut)
    for _ in range(50):
        place, length = places.randrange(len(DATA) + 10), places.randrange(400_000)
        assert content.pread(length, place) == DATA[place : place + length]
    assert everything(content) == DATA
    assert content.look()[0] == len(DATA)
    assert content.seal(len(DATA))
    assert not content.seal(len(DATA) - 1)


def test_what_is_kept_to_go_back_does_not_grow_with_the_file(opened, monkeypatch):
    monkeypatch.setattr(module, "UNPACK_EVERY_BYTES", 100_000)
    content = opened(gzip.compress(DATA, 1))
    everything(content, 1 << 20)
    assert len(content._copies) <= module._COPIES


@pytest.mark.parametrize("there", [0, 1, 9, 12, 2_000, -8, -1])
def test_gzip_that_is_being_written_is_read_as_far_as_it_goes_and_then_on(opened, path, there):
    packed = gzip.compress(DATA, mtime=1)
    content = opened(packed[:there] if there else b"")
    first = everything(content)
    assert DATA.startswith(first)
    assert (content.seal(len(first)), content.damage) == ("", "")
    before = content.look()
    with path.open("ab") as file:
        file.write(packed[there:] if there else packed)
    assert content.look() != before
    assert first + content.pread(len(DATA), len(first)) == DATA
    assert content.seal(len(DATA))
    assert not content.seal(len(DATA) - 1)


def test_a_wrong_checksum_is_told_behind_the_content(opened):
    packed = bytearray(gzip.compress(DATA))
    packed[-6] ^= 1
    content = opened(packed)
    assert everything(content) == DATA
    assert "damaged" in content.damage
    assert content.look()[0] == len(DATA)


def test_what_stands_before_the_damage_is_read(opened):
    content = opened(
        gzip.compress(DATA[:50_000]) + gzip.compress(DATA[50_000:])[:100_000] + random.Random(1).randbytes(50_000)
    )
    found = everything(content)
    assert DATA.startswith(found[:100_000])
    assert len(found) > 100_000
    assert "damaged" in content.damage


def test_what_is_no_gzip_is_damaged(opened):
    content = opened(b"this is text\n")
    assert everything(content) == b""
    assert "damaged" in content.damage


def test_gzip_that_became_shorter_was_rewritten(opened, path):
    content = opened(gzip.compress(DATA))
    everything(content)
    os.truncate(path, 100)
    with pytest.raises(Rewritten):
        content.look()
    content.begin_again()
    assert content.look()[0] > 0


def test_gzip_is_known_by_its_first_bytes_too(tmp_path):
    (tmp_path / "packed").write_bytes(gzip.compress(b"x"))
    (tmp_path / "plain").write_bytes(b"x")
    for name, kind in (("packed", Gzip), ("plain", Plain)):
        fd = os.open(tmp_path / name, os.O_RDONLY)
        assert isinstance(content_of(fd, name), kind)
        os.close(fd)


def test_data_behind_a_hole_is_found_without_reading_the_hole(tmp_path):
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.seek(1 << 33)
        file.write(b"x")
    fd = os.open(path, os.O_RDONLY)
    assert 0 < Plain(fd).data_from(0) <= 1 << 33
    assert Plain(fd).data_from((1 << 33) + 1) == (1 << 33) + 1
    os.close(fd)
