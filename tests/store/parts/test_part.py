import pytest

from tailrace.errors import Damaged
from tailrace.limits import BLOCK_ROWS
from tailrace.store.parts.part import Part
from tests.batches import batch_of
from tests.store.parts.making import part_of, random_part, rows_of_part


def test_rows_are_sorted_by_stream_time_and_offset(tmp_path):
    rows = rows_of_part(random_part(tmp_path, 0, 500))
    assert len(rows) == 500
    assert rows == sorted(rows, key=lambda row: row[:3])


def test_what_is_known_of_blocks_is_true(tmp_path):
    part = random_part(tmp_path, 0, BLOCK_ROWS + 100)
    assert part.rows.tolist() == [BLOCK_ROWS, 100]
    file = part.open()
    for block in range(2):
        times, offsets = file.read(block, "time").to_numpy(), file.read(block, "offset").to_numpy()
        assert (part.first_ns[block], part.last_ns[block]) == (times.min(), times.max())
        assert (part.first_offset[block], part.last_offset[block]) == (offsets.min(), offsets.max())
        assert part.levels[block].sum() == part.rows[block]


def test_long_lines_make_smaller_blocks(tmp_path):
    part = part_of(tmp_path, batch_of(["x" * 3_000_000] * 5).placed(1, 0))
    assert part.rows.tolist() == [2, 2, 1]


def test_another_size_is_damage(tmp_path):
    part = random_part(tmp_path, 0, 50)
    with (part.directory / "data.parquet").open("ab") as file:
        file.write(b"x")
    with pytest.raises(Damaged, match="another size"):
        Part(part.directory, part.crc)


def test_another_checksum_is_damage(tmp_path):
    part = random_part(tmp_path, 0, 50)
    with pytest.raises(Damaged, match="another checksum"):
        Part(part.directory, part.crc ^ 1)


def test_a_part_is_parquet_that_others_can_read(tmp_path):
    import pyarrow.parquet as pq

    table = pq.read_table(random_part(tmp_path, 0, 50).directory / "data.parquet")
    assert (table.num_rows, str(table.schema.field("time").type)) == (50, "timestamp[ns, tz=UTC]")
