import numpy as np
import pyarrow as pa
import pytest

from tailrace.errors import ConfigError
from tailrace.lines import Steps
from tailrace.pipeline.level import known_levels, level_of, levels_by, severity_number
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


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ('{"level":"NOTICE","msg":"x"}', Level.WARN),
        ('{"severity": 5}', Level.ERROR),
        ("time=1 level=notice msg=x", Level.WARN),
        ("2026-01-02 03:04:05 NOTICE broken", Level.WARN),
        ("2026-01-02 03:04:05 5 NOTICED notice", Level.INFO),
        ('{"msg":"NOTICE"}', Level.INFO),
    ],
)
def test_words_of_ones_own_win_where_they_stand_for_a_level(text, level):
    steps = Steps(levels=(("NOTICE", "warn"), ("5", "error")))
    assert levels_by(steps, pa.array([text]), np.array([Level.INFO], np.uint8)).tolist() == [level]


@pytest.mark.parametrize(
    ("text", "level"), [('{"sev":"ERROR"}', Level.ERROR), ("sev=p1 x", Level.FATAL), ("x", Level.INFO)]
)
def test_a_field_may_be_named_that_holds_the_level(text, level):
    steps = Steps(levels=(("P1", "fatal"),), level_field="sev")
    assert levels_by(steps, pa.array([text]), np.array([Level.INFO], np.uint8)).tolist() == [level]


def test_a_word_for_a_level_that_does_not_exist_is_explained():
    with pytest.raises(ConfigError, match="is not a level"):
        known_levels(Steps(levels=(("NOTICE", "loud"),)))
