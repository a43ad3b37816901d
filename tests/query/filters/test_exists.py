from tests.query.records import batch, found


def test_an_empty_value_is_there_and_null_is_not():
    records = [{"fields": {"f": ""}}, {"fields": {"f": None}}, {"fields": {"f": 0}}, {}, {"labels": {"f": "x"}}]
    assert found("f:*", batch(records)) == [0, 2, 4]
