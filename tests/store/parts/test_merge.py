import pytest

from tailrace.limits import PARTS_MERGE_MIN
from tailrace.store.parts.merge import choose, merge
from tailrace.store.parts.part import Part
from tests.store.parts.making import at, random_part, rows_of_part


@pytest.fixture
def parts(tmp_path):
    return [random_part(tmp_path, first, 300) for first in range(0, 300 * PARTS_MERGE_MIN, 300)]


def test_enough_neighbours_of_a_size_are_merged(parts):
    assert choose(parts) == parts
    assert not choose(parts[1:])


def test_a_merged_part_has_the_rows_of_all_in_its_order(parts, tmp_path):
    crc = merge(parts, tmp_path / "merged", lambda: None)
    merged = Part(tmp_path / "merged", crc)
    rows = rows_of_part(merged)
    assert sorted(rows, key=lambda row: row[2]) == sorted(
        (row for part in parts for row in rows_of_part(part)), key=lambda row: row[2]
    )
    assert rows == sorted(rows, key=lambda row: row[:3])
    assert (merged.first, merged.next) == (at(0), at(300 * PARTS_MERGE_MIN))


def test_a_merge_can_be_stopped(parts, tmp_path):
    def stop():
        raise InterruptedError

    with pytest.raises(InterruptedError):
        merge(parts, tmp_path / "merged", stop)
