import pytest

from tailrace.query import parse
from tests.query.records import batch, found
from tests.query.strategies import NOW_NS

ALL = batch([{"level": level} for level in range(7)])


@pytest.mark.parametrize(
    ("query", "levels"),
    [
        ("level:error", [5]), ("level:ERR", [5]), ("level:warning", [4]), ("level:critical", [6]),
        ("level:>=warn", [4, 5, 6]), ("level:<info", [1, 2]), ("level:(debug or info)", [2, 3]),
        ("level:[debug TO warn]", [2, 3, 4]), ("level:*", [1, 2, 3, 4, 5, 6]), ("not level:*", [0]),
        ("level:/^[we]/", [4, 5]),
    ],
)  # fmt: skip
def test_levels_are_understood_by_severity(query, levels):
    assert found(query, ALL) == levels


def test_a_run_up_to_the_worst_is_written_as_a_comparison():
    assert str(parse("level:(fatal or warn or error)", NOW_NS).filter) == "level:>=warn"
