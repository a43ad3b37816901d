from tests.query.records import batch, rows

RECORDS = batch([{"message": "m", "labels": {"service": "a"}, "fields": {"n": 1}}, {"message": "7"}])


def test_columns_come_in_the_order_that_was_written():
    (first, _) = rows("| fields n, service, message", RECORDS)
    assert list(first)[:3] == ["n", "service", "message"]


def test_numbers_of_fields_are_numbers_and_messages_are_text():
    assert rows("| fields n, message", RECORDS) == [
        {"n": 1, "message": "m", "cursor": "1-0"},
        {"n": None, "message": "7", "cursor": "1-1"},
    ]
