"""The tree of errors."""

from tailrace.errors import QueryError, TailraceError


def test_an_error_ends_with_its_cure():
    assert str(TailraceError("it broke", cure="Mend it.")) == "it broke\n  Mend it."


def test_a_query_error_points_at_the_character():
    error = QueryError("a value was expected here", text="level: or", position=7)
    assert error.pointed() == "level: or\n       ^ a value was expected here"
