from tests.query.records import fields, found, messages


def test_a_pattern_may_stand_anywhere():
    assert found("/time(d )?out/", messages("it timed out", "a timeout", "Timeout", "time out")) == [0, 1]


def test_the_letter_i_ignores_case():
    assert found("/timeout/i", messages("TimeOut", "time")) == [0]


def test_a_slash_is_written_with_a_backslash():
    assert found(r"f:/^\/api\//", fields("/api/x", "api/x")) == [0]
