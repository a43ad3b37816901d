from tests.query.records import batch, found


def test_a_label_wins_over_a_field_of_its_name():
    records = [{"labels": {"service": "a"}, "fields": {"service": "b"}}, {"fields": {"service": "b"}}]
    assert found("service:b", batch(records)) == [1]


def test_a_dot_leads_inside():
    records = [{"fields": {"user": {"id": 7}}}, {"fields": {"user.id": 7}}, {"fields": {"user": 7}}]
    assert found("user.id:=7", batch(records)) == [0, 1]


def test_without_a_name_the_message_is_meant():
    assert found("word", batch([{"message": "a word"}, {"fields": {"f": "word"}}])) == [0]
