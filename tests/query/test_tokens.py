import orjson
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.query.tokens import block_tokens, placed_tokens, tokens

from . import reference
from .strategies import batch_of, random_records, texts


@settings(max_examples=100, deadline=None)
@given(text=texts | st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=10))
def test_the_tokens_of_a_text_are_those_of_the_reference(text):
    text = text.replace("İ", "")  # Python lower-cases it to two characters
    assert set(tokens(text)) == reference.tokens(text)


@settings(max_examples=100, deadline=None)
@given(lines=st.lists(texts | st.text(alphabet=st.characters(max_codepoint=0x2FF), max_size=10), max_size=6))
def test_the_tokens_of_many_texts_are_placed_where_they_are(lines):
    # A part of an array, as batches are parts of others.
    found, at = placed_tokens(pa.array(["before", *lines, "after"], pa.string()).slice(1, len(lines)))
    placed = [one for one in zip(at.tolist(), found.to_pylist(), strict=True) if one[1]]
    assert sorted(placed) == sorted((row, token) for row, line in enumerate(lines) for token in tokens(line))


def strings(value):
    """Return all strings and numbers of a JSON value, keys too."""
    if isinstance(value, dict):
        return [text for key, inner in value.items() for text in [key, *strings(inner)]]
    if isinstance(value, list):
        return [text for inner in value for text in strings(inner)]
    return [value if isinstance(value, str) else orjson.dumps(value).decode()]


@settings(max_examples=100, deadline=None)
@given(records=random_records())
def test_a_block_holds_the_tokens_of_its_rows_and_no_others(records):
    expected, allowed = set(), set()
    for record in records:
        for text in [record["message"], record["trace_id"] or "", *strings(record["fields"] or {})]:
            expected |= set(tokens(text))
        # A nested value is JSON text to filters: its escapes may glue.
        allowed |= set(tokens(orjson.dumps(record["fields"] or {}).decode()))
    held = block_tokens(batch_of(records)).to_pylist()
    assert len(held) == len(set(held))
    assert expected <= set(held) <= expected | allowed


def test_an_escape_in_the_fields_does_not_glue_to_a_word():
    plain = {"time_ns": 0, "observed_ns": 0, "level": 0, "labels": {}, "trace_id": None, "message": ""}
    batch = batch_of([{**plain, "fields": {"a": 'line1\nfoo\x00bar"baz'}}])
    assert set(block_tokens(batch).to_pylist()) == {"a", "line1", "foo", "bar", "baz"}


def test_a_chinese_run_is_cut_into_pairs_and_its_last_character():
    assert tokens("错误error发生") == ["错误", "误", "error", "发生", "生"]
