import pytest
from msgspec import Struct

from tailrace.api import parameters, suggestion
from tailrace.errors import BadInput


class Wanted(Struct, forbid_unknown_fields=True):
    """Some parameters."""

    limit: int = 10
    flag: bool = False


def test_parameters_become_their_types():
    assert parameters(Wanted, [("limit", "5"), ("flag", "true")]) == Wanted(5, True)


@pytest.mark.parametrize(
    ("pairs", "said"),
    [
        ([("limt", "5")], "limt"),
        ([("limit", "5"), ("limit", "6")], "twice"),
        ([("limit", "five")], "limit"),
    ],
)
def test_a_wrong_parameter_is_named_with_a_cure(pairs, said):
    with pytest.raises(BadInput, match=said) as caught:
        parameters(Wanted, pairs)
    assert caught.value.cure


def test_a_suggestion_is_the_nearest_or_all():
    assert suggestion("retian", ["retain", "listen"]) == "Did you mean 'retain'?"
    assert suggestion("zzz", ["a", "b"]) == "Known: a, b."
