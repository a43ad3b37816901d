import pytest

from tests.query.records import fields, found

VALUES = fields(-1, 0, 5, 5.5, "5", "5 ms", None, 1e3, True)


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("f:>5", [3, 7]), ("f:>=5", [2, 3, 4, 7]), ("f:<0", [0]), ("f:<=0", [0, 1]), ("f:[0 TO 5]", [1, 2, 4]),
        ("f:[5 TO *]", [2, 3, 4, 7]), ("f:[* TO *]", [0, 1, 2, 3, 4, 7]), ("f>=1e3", [7]),
    ],
)  # fmt: skip
def test_numbers_are_compared_as_numbers_and_what_is_none_is_not_meant(query, rows):
    assert found(query, VALUES) == rows
