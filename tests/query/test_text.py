import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.query.scan import Scanner
from tailrace.query.text import number_text, quoted, written


@given(text=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_quoted_text_reads_back(text):
    assert Scanner(quoted(text), 0).string() == text


@pytest.mark.parametrize(
    ("text", "shown"), [("plain", "plain"), ("a b", '"a b"'), ("or", '"or"'), ("", '""'), ("10.0.0.1", "10.0.0.1")]
)
def test_only_what_needs_quotes_has_them(text, shown):
    assert written(text) == shown


@pytest.mark.parametrize(
    ("number", "text"), [(5.0, "5"), (-0.5, "-0.5"), (1e300, "1e+300"), (2.0**53, "9007199254740992.0")]
)
def test_numbers_are_short(number, text):
    assert number_text(number) == text
