import pytest

from tailrace.query import parse
from tailrace.query.plan import All, Prefix, Token
from tests.query.records import found, messages
from tests.query.strategies import NOW_NS


@pytest.mark.parametrize(
    ("query", "texts", "rows"),
    [
        ("pay*", ["Payment", "pay", "prepay", "a pay-off"], [0, 1, 3]),
        ("*fail?d", ["failed", "has prefailed", "faild", "failed2"], [0, 1]),
        ("a*z", ["abcz", "ab cz", "az"], [0, 2]),
        ("10.0.?.1", ["10.0.3.1", "10.0.33.1"], [0]),
        ("错*", ["出错了", "错"], [0, 1]),
    ],
)
def test_a_pattern_stays_inside_unbroken_text(query, texts, rows):
    assert found(query, messages(*texts)) == rows


def test_whole_tokens_and_beginnings_are_needed():
    assert parse("user=pay*", NOW_NS).filter.need() is not None
    assert parse("a.pay*", NOW_NS).filter.need() == All((Token("a"), Prefix("pay")))
