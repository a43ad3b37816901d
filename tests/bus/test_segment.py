"""The bytes of a segment."""

import os
from pathlib import Path

import pytest

from tailrace.bus.segment import Segment, decode, encode
from tailrace.errors import Damaged
from tests.batches import batch_of, messages_of


def segment_with(directory: Path, *groups: list[str]) -> Segment:
    segment = Segment.create(directory, epoch=5, first=100)
    for group in groups:
        batch = batch_of(group).placed(5, segment.next)
        segment.append(encode(batch), batch)
    return segment


def test_a_large_batch_is_compressed_and_comes_back():
    batch = batch_of(["the same words again"] * 5000).placed(5, 7)
    frame = encode(batch)
    assert len(frame) < batch.nbytes / 3
    assert decode(frame, 5).columns.equals(batch.columns)


def test_a_slice_is_written_without_the_rows_around_it():
    batch = batch_of(["x" * 1000] * 100).placed(5, 0)
    assert len(encode(batch.slice(50, 51))) < 3000


def test_any_changed_byte_is_damage():
    frame = bytearray(encode(batch_of(["a", "b"]).placed(5, 7)))
    for position in range(0, len(frame), 7):
        broken = frame.copy()
        broken[position] ^= 0x40
        with pytest.raises(Damaged):
            decode(bytes(broken), 5)


def test_a_torn_end_is_cut_off(tmp_path):
    segment = segment_with(tmp_path, ["a"], ["b"])
    os.truncate(segment.path, segment.size - 1)
    again = Segment.open(segment.path)
    assert [frame.first for frame in again.mend(Segment.HEAD_BYTES)] == [100]
    assert again.next == 101
    assert os.path.getsize(segment.path) == again.size


def test_a_damaged_frame_between_good_ones_is_stepped_over(tmp_path):
    segment = segment_with(tmp_path, ["a"], ["b"], ["c"])
    second = list(segment.frames(Segment.HEAD_BYTES))[1]
    with segment.path.open("r+b") as file:
        file.seek(second.position + second.size // 2)
        file.write(b"\xff\xff\xff")
    again = Segment.open(segment.path)
    assert [frame.first for frame in again.mend(Segment.HEAD_BYTES)] == [100, 102]
    assert messages_of(again.read(100, 103, 1 << 20)) == ["a", "c"]


def test_a_damaged_frame_head_is_stepped_over(tmp_path):
    segment = segment_with(tmp_path, ["a"], ["b"], ["c"])
    second = list(segment.frames(Segment.HEAD_BYTES))[1]
    with segment.path.open("r+b") as file:
        file.seek(second.position)
        file.write(bytes(40))
    again = Segment.open(segment.path)
    assert [frame.first for frame in again.mend(Segment.HEAD_BYTES)] == [100, 102]


@pytest.mark.parametrize("byte", range(20, 32))
def test_a_damaged_place_or_number_of_rows_in_a_frame_head_hides_nothing_behind_it(tmp_path, byte):
    segment = segment_with(tmp_path, ["a"], ["b"], ["c"])
    second = list(segment.frames(Segment.HEAD_BYTES))[1]
    data = bytearray(segment.path.read_bytes())
    data[second.position + byte] ^= 0x80
    segment.path.write_bytes(data)
    again = Segment.open(segment.path)
    assert messages_of(again.read(100, 103, 1 << 20)) == ["a", "c"]
    assert [frame.first for frame in again.mend(Segment.HEAD_BYTES)] == [100, 102]


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = tmp_path / "00000000000000000000.seg"
    path.write_bytes(b"x" * 100)
    with pytest.raises(Damaged):
        Segment.open(path)


def test_frames_behind_the_start_of_the_next_segment_are_not_read(tmp_path):
    segment = segment_with(tmp_path, ["a"], ["b"])
    assert messages_of(segment.read(100, 101, 1 << 20)) == ["a"]


def test_a_read_in_the_middle_of_a_long_segment_finds_its_place(tmp_path):
    segment = segment_with(tmp_path, *([f"{n}-" + os.urandom(3000).hex()] for n in range(300)))
    assert messages_of(segment.read(350, 351, 1 << 20))[0].startswith("250-")
