from tailrace_sdk.limits import DEPTH_MAX, ITEMS_MAX, TEXT_CHARACTERS_MAX
from tailrace_sdk.plain import plain, text_of


def test_long_texts_and_lists_are_cut():
    assert len(text_of("x" * 100_000)) == TEXT_CHARACTERS_MAX
    assert plain(list(range(ITEMS_MAX + 5)))[-1] == "… 5 more"


def test_what_is_too_deep_becomes_its_name():
    value = []
    for _ in range(DEPTH_MAX + 5):
        value = [value]
    assert "<list>" in str(plain(value))


def test_an_object_that_cannot_be_shown_becomes_its_type():
    class Hidden:
        def __repr__(self):
            raise ValueError("no")

    assert text_of(Hidden()) == "<Hidden>"
