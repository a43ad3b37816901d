import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tailrace.query import parse
from tailrace.query.filters.phrase import Phrase
from tailrace.query.plan import All, Prefix, Token
from tests.query.records import found, messages
from tests.query.strategies import NOW_NS


@pytest.mark.parametrize(
    ("query", "texts", "rows"),
    [
        ("error", ["Error!", "errors", "an ERROR.", "terror", "error_7"], [0, 2]),
        ('"payment failed"', ["Payment failed.", "payment  failed", "prepayment failed"], [0]),
        ("10.0.0.1", ["from 10.0.0.1:80", "10.0.0.12", "210.0.0.1"], [0]),
        ("服务错", ["订单服务错误", "服务", "服务 错"], [0]),
        ('"C:\\\\dir"', ["in C:\\dir now", "C:/dir"], [0]),
        ('"a\\tb"', ["a\tb", "a b"], [0]),
        ("ÉTÉ", ["un été", "ete"], [0]),
    ],
)  # fmt: skip
def test_a_text_is_found_on_token_boundaries_in_any_case(query, texts, rows):
    assert found(query, messages(*texts)) == rows


WORDS = st.text("aAb\u017fß\u0130\u212aé错误_1 .\n", min_size=1, max_size=4).filter(str.strip)


@given(text=WORDS, around=st.lists(st.text("aAb\u017fß\u0130\u212aé错误_1 .\n", max_size=3), min_size=2, max_size=2))
@example(text="k\u212a", around=["", ""])
def test_a_text_that_comes_alone_is_judged_as_many_at_once(text, around):
    texts = pa.array([text.join(around), text.upper(), "".join(around), None], pa.string())
    many = pa.concat_arrays([texts] * 20)
    assert Phrase(text).mask(texts).tolist() * 20 == Phrase(text).mask(many).tolist()


def test_a_phrase_needs_its_tokens():
    assert parse('"payment failed"', NOW_NS).filter.need() == All((Token("payment"), Token("failed")))


def test_a_lone_chinese_character_may_begin_any_pair():
    assert parse("错", NOW_NS).filter.need() == Prefix("错")
