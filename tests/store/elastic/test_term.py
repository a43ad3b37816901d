"""How names, tokens and numbers are written in terms."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tailrace.limits import ELASTIC_NAME_CHARS_MAX
from tailrace.store.elastic.term import number_keys, number_term, term_name, term_token

numbers = st.floats(allow_nan=False)


@given(st.lists(numbers, min_size=2))
def test_numbers_sort_as_text_just_as_they_do_as_numbers(values):
    order = np.argsort(np.array(values), kind="stable")
    keys = number_keys(np.array(values)).to_pylist()
    assert [keys[i] for i in order] == sorted(keys)


@given(numbers, numbers)
def test_two_numbers_have_one_key_only_if_they_are_equal(one, other):
    assert (number_term("f", one) == number_term("f", other)) == (one == other)


@given(st.lists(st.text(), min_size=2, max_size=2, unique=True))
def test_names_stay_different_and_hold_nothing_that_means_anything_in_a_term(names):
    written = [term_name(name) for name in names]
    assert written[0] != written[1]
    assert not any(char.isspace() or char in "=~#+*?" for name in written for char in name)


def test_a_long_name_and_a_long_token_are_short_in_a_term():
    assert len(term_name("n" * 1000)) <= ELASTIC_NAME_CHARS_MAX
    assert term_name("n" * 1000) != term_name("n" * 1001)
    assert len(term_token("t" * 1000)) == 100
