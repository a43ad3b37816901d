from tests.query.records import batch, found


def test_message_trace_labels_and_fields_are_looked_at():
    records = [
        {"message": "it is here"},
        {"trace_id": "here"},
        {"labels": {"service": "here"}},
        {"fields": {"a": {"b": ["x", "here"]}}},
        {"fields": {"here": 1}},
        {"message": "there"},
    ]
    assert found("*:here", batch(records)) == [0, 1, 2, 3]


def test_a_number_inside_the_fields_is_its_text():
    assert found("*:=42", batch([{"fields": {"a": [1, 42]}}, {"fields": {"a": 420}}])) == [0]
