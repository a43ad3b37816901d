from tailrace.query import parse
from tailrace.query.plan import Always
from tests.query.records import found, messages
from tests.query.strategies import NOW_NS

TEXTS = messages("a", "b", "a b", "c")


def test_not_binds_tighter_than_and_and_that_than_or():
    assert found("not a b or c", TEXTS) == [1, 3]


def test_brackets_group():
    assert found("a (b or c)", TEXTS) == [2]
    assert found("-(a or b)", TEXTS) == [3]


def test_everything_is_a_star_or_nothing():
    assert found("*", TEXTS) == found("", TEXTS) == [0, 1, 2, 3]


def test_what_must_not_be_there_needs_nothing():
    assert parse("not a", NOW_NS).filter.need() == Always()


def test_a_level_that_must_not_be_there_leaves_records_without_level():
    assert found("not level:error", TEXTS) == [0, 1, 2, 3]
