from tests.query.records import fields, messages, rows


def test_records_are_filtered_further():
    assert [row["message"] for row in rows("| where b", messages("a b", "a"))] == ["a b"]


def test_rows_of_a_table_are_filtered_by_their_columns():
    found = rows("| stats count by f | where count:>1", fields("a", "b", "a"))
    assert found == [{"f": "a", "count": 2}]
