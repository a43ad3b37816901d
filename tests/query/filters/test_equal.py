from tailrace.query import parse
from tailrace.query.plan import All, Some, Token
from tests.query.records import fields, found
from tests.query.strategies import NOW_NS


def test_the_whole_value_is_meant_and_its_case():
    assert found("f:=Shop", fields("Shop", "shop", "Shop 2", None)) == [0]


def test_one_of_several_is_enough():
    assert found('f:in(a, "b c")', fields("a", "b c", "b", "c")) == [0, 1]


def test_numbers_are_compared_as_text():
    assert found("f=7", fields(7, "7", 7.5, 70)) == [0, 1]


def test_a_block_needs_all_tokens_of_one_of_the_texts():
    need = parse('message:in("a b", c)', NOW_NS).filter.need()
    assert need == Some((All((Token("a"), Token("b"))), Token("c")))
