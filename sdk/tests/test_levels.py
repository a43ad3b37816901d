import pytest

from tailrace_sdk.levels import at_least, level_name


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("WARNING", "warn"),
        (10, "debug"),
        (50, "fatal"),
        (5, "trace"),
        ("success", "info"),
        (True, None),
        ("blue", None),
        (None, None),
    ],
)
def test_words_and_numbers_have_one_name(value, name):
    assert level_name(value) == name


def test_a_level_and_all_that_are_more_serious():
    assert at_least("error") == {"error", "fatal"}


def test_a_word_that_is_no_level_is_said():
    with pytest.raises(ValueError, match="there are: trace debug"):
        at_least("blue")
