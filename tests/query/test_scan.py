import pytest

from tailrace.errors import QueryError
from tailrace.query.scan import Scanner, listed


def test_a_keyword_is_a_whole_word_in_any_case():
    assert Scanner("  OR b", 0).keyword("or") == "or"
    assert Scanner("order", 0).keyword("or") is None
    assert Scanner("or:x", 0).keyword("or") is None


@pytest.mark.parametrize(("text", "meant"), [(r'"a\"b"', 'a"b'), (r'"\u0041\n"', "A\n"), ('"tab\there"', "tab\there")])
def test_a_string_means_what_its_escapes_say(text, meant):
    assert Scanner(text, 0).string() == meant


@pytest.mark.parametrize(("text", "position"), [('"abc', 0), (r'"a\d"', 2), (r'"\ud800"', 0)])
def test_a_broken_string_is_pointed_at(text, position):
    with pytest.raises(QueryError) as caught:
        Scanner(text, 0).string()
    assert caught.value.position == position


def test_listed_names_are_read_back():
    names = ("plain", "with space", 'with"quote', "错误")
    assert Scanner(listed(names), 0).names() == names


def test_a_number_too_long_to_be_meant_is_refused():
    with pytest.raises(QueryError):
        Scanner("1" * 16, 0).whole_number("how many")
