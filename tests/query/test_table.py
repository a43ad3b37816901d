import numpy as np
import orjson
import pyarrow as pa

from tailrace.query import Table

TABLE = Table(
    {
        "name": pa.array(["a", None, "c"]),
        "count": pa.array([1, 2, None], pa.int64()),
        "share": pa.array([0.5, float("nan"), 3.0]),
        "level": pa.array(["error", None, "info"]),
    }
)


def test_rows_are_json_with_null_for_what_is_missing():
    assert [orjson.loads(row) for row in TABLE.json_rows()] == [
        {"name": "a", "count": 1, "share": 0.5, "level": "error"},
        {"name": None, "count": 2, "share": None, "level": None},
        {"name": "c", "count": None, "share": 3, "level": "info"},
    ]


def test_every_column_can_be_read_as_text():
    assert TABLE.column("count").to_pylist() == ["1", "2", None]
    assert TABLE.column("share").to_pylist()[::2] == ["0.5", "3"]
    assert TABLE.column("absent").to_pylist() == [None] * 3


def test_levels_are_read_as_codes():
    assert TABLE.numpy("level").tolist() == [5, 0, 3]


def test_rows_are_chosen_with_their_cursors():
    placed = Table({"f": pa.array(["x", "y", "z"])}, epoch=7, offsets=np.array([4, 5, 9]))
    assert [orjson.loads(row)["cursor"] for row in placed.filter(np.array([True, False, True])).json_rows()] == [
        "7-4",
        "7-9",
    ]
    assert placed.slice(1, 2).offsets.tolist() == [5]


def test_tables_are_joined_one_after_the_other():
    joined = Table.concat([TABLE.slice(0, 1), TABLE.slice(2, 3)])
    assert joined.column("name").to_pylist() == ["a", "c"]


def test_a_short_number_of_a_field_is_a_number_and_a_long_one_is_text():
    table = Table({"f": pa.array(["7", "07", "1.5", "12345678901234567890", "x"])})
    assert [orjson.loads(row)["f"] for row in table.json_rows()] == [7, "07", 1.5, "12345678901234567890", "x"]
