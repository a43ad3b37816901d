import pytest

from tailrace.errors import QueryError
from tailrace.query import parse
from tests.query.records import fields, rows
from tests.query.strategies import NOW_NS


def test_the_most_frequent_come_first_and_ties_by_value():
    found = rows("| top 2 f", fields("b", "a", "c"), fields("c", None, None, None))
    assert found == [{"f": "c", "count": 2}, {"f": "a", "count": 1}]


def test_the_name_of_the_result_is_taken():
    with pytest.raises(QueryError):
        parse("| top 3 count", NOW_NS)
