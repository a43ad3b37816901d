"""What a record says of an exception."""

from tailrace_sdk.exception import told


def raised(error):
    try:
        raise error
    except Exception as caught:
        return caught


def test_its_type_text_and_traceback_are_told():
    said = told(raised(KeyError("lost")))
    assert (said["error_type"], said["error"]) == ("KeyError", "'lost'")
    assert "in raised" in said["traceback"]


def test_what_caused_it_is_told_too():
    try:
        try:
            raise KeyError("first")
        except KeyError as first:
            raise ValueError("second") from first
    except ValueError as error:
        said = told(error)
    assert "KeyError: 'first'" in said["traceback"]
    assert said["error_type"] == "ValueError"


def test_an_exception_without_a_text_raises_nothing():
    class Odd(Exception):
        def __str__(self):
            raise RuntimeError("no")

    said = told(raised(Odd()))
    assert (said["error_type"], said["error"]) == ("Odd", "<Odd>")
    assert "in raised" in said["traceback"]


def test_there_may_be_none():
    assert told(None) == told(True) == {}
