import pytest

from tailrace.pipeline.level import level_of, severity_number
from tailrace.record import Level


@pytest.mark.parametrize(
    ("value", "level"),
    [
        ("WARNING", Level.WARN), (" err ", Level.ERROR), ("crit", Level.FATAL), (3, Level.ERROR), ("7", Level.DEBUG),
        (30, Level.INFO), (50.0, Level.ERROR), (60, Level.FATAL), ("hello", 0), (True, 0), (None, 0), ([], 0), (-1, 0),
        (1000, 0), ("²", 0),
    ],
)  # fmt: skip
def test_words_and_numbers_that_people_write(value, level):
    assert level_of(value) == level


@pytest.mark.parametrize(("number", "level"), [(1, 1), (9, 3), (17, 5), (24, 6), (0, 0), (25, 0), (True, 0), ("9", 0)])
def test_severity_numbers_of_opentelemetry(number, level):
    assert severity_number(number) == level
