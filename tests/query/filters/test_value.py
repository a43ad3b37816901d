import numpy as np
import pyarrow as pa

from tailrace.query.filters.value import all_of, need_of, numbers, some_of
from tailrace.query.plan import All, Always, Never, Prefix, Some, Token

A, B = Token("a"), Token("b")


def test_only_json_numbers_are_numbers():
    given = numbers(pa.array(["1", "-2.5", "1e3", "0x10", " 1", "1_000", "nan", "", None]))
    assert given[:3].tolist() == [1, -2.5, 1000]
    assert np.isnan(given[3:]).all()


def test_needs_are_joined_as_small_as_can_be():
    assert all_of([A, Always(), A]) == A
    assert all_of([A, Never()]) == Never()
    assert all_of([A, B]) == All((A, B))
    assert all_of([]) == Always()
    assert some_of([A, Always()]) == Always()
    assert some_of([A, Never(), B]) == Some((A, B))
    assert some_of([]) == Never()


def test_an_open_end_is_only_the_beginning_of_a_token():
    assert need_of("pay ment", bounded_end=False) == All((Token("pay"), Prefix("ment")))
    assert need_of("ment", bounded_start=False) == Always()
