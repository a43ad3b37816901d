"""Secrets go from messages, fields and trace ids; nothing else does, and no first pass hides one."""

from collections import Counter
from dataclasses import replace

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.pipeline.test_redact_rules import FOUND

from tailrace.errors import ConfigError
from tailrace.lines import Lines, Mask, Steps
from tailrace.pipeline import Pipeline
from tailrace.pipeline import redact as machine
from tailrace.pipeline.redact import Redactor, redactor, rules_of
from tailrace.record import Batch, Origin, Stream

ALL = ("secrets", "personal")


def batch_of(messages, fields=None, trace=None):
    zeros = [0] * len(messages)
    texts = fields and [one and orjson.dumps(one).decode() for one in fields]
    return Batch.of(
        time=zeros, observed=zeros, level=zeros, stream=Stream.of({}), message=messages, fields=texts, trace_id=trace
    )


def run(wanted, messages, fields=None, trace=None):
    counts = Counter()
    batch = redactor(tuple(wanted)).apply(batch_of(messages, fields, trace), counts)
    return batch.array("message").to_pylist(), batch.array("fields").to_pylist(), counts


def fields_of(wanted, fields):
    (text,) = run(wanted, ["m"], [fields])[1]
    return text and orjson.loads(text)


PIECES = st.sampled_from(
    [text for _, text, _ in FOUND] + ["\n", '"', "\\", " ", "x", "1", "行", "password", "=", "@", ":"]
)
TEXTS = (
    st.lists(PIECES | st.text(max_size=4), max_size=5)
    .map("".join)
    .filter(lambda text: max(text, default="") < "\ud800")
)


@given(st.lists(TEXTS, min_size=1, max_size=6), st.lists(TEXTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=150)
def test_the_first_pass_misses_nothing_that_the_rules_find(messages, values):
    rules = rules_of([*ALL, Mask("own", r"^x\d?$", (0, 0)), Mask("tagged", r'"x (\w)', (0, 0))])
    fields = [{"a": {"b": [value]}, "n": 1} for value in values[: len(messages)]]
    batch = batch_of(messages, fields + [None] * (len(messages) - len(fields)))
    quick, slow = Counter(), Counter()
    after = Redactor(rules).apply(batch, quick)
    thorough = Redactor(rules)
    thorough._trigger = thorough._field_trigger = machine._trigger("")
    assert after.columns.equals(thorough.apply(batch, slow).columns)
    assert quick == slow


@given(st.lists(TEXTS, min_size=1, max_size=6))
@settings(deadline=None, max_examples=100)
def test_a_text_is_masked_the_same_whatever_stands_beside_it(messages):
    together = run(ALL, messages)
    alone = [run(ALL, [message]) for message in messages]
    assert together[0] == [after for ((after,), _, _) in alone]
    assert together[2] == sum((counts for _, _, counts in alone), Counter())


def test_a_value_below_the_name_of_a_secret_is_masked_whole():
    before = {"user": "bob", "db_password": 'a "b', "token": {"v": 5, "ok": True}, "list": ["pwd=x1", 4111111111111111]}
    assert fields_of(ALL, before) == {
        "user": "bob",
        "db_password": "[redacted:password]",
        "token": {"v": "[redacted:token]", "ok": True},
        "list": ["pwd=[redacted:password]", "************1111"],
    }


def test_fields_stay_what_orjson_writes():
    (text,) = run(ALL, ["m"], [{"a": "行", "password": "x1", "f": 0.1, "n": None}])[1]
    assert text == orjson.dumps(orjson.loads(text)).decode()


def test_the_original_of_a_masked_line_goes():
    steps = Steps(redact=ALL)
    raw = pa.array([b"caf\xe9 password=hunter2", b"caf\xe9"], pa.binary())
    pipeline = Pipeline()
    batch = pipeline.process(Lines(raw, np.arange(2), Stream.of({}), 0, Origin("file:1", 0, 2, 2), steps))
    assert batch.array("message")[0].as_py() == r"caf\xe9 password=[redacted:password]"
    assert [text and "raw_base64" in text for text in batch.array("fields").to_pylist()] == [None, True]
    assert pipeline.redacted == {"password": 1}


def test_what_the_pipeline_masks_is_masked_where_the_steps_name_nothing():
    pipeline = Pipeline(redact=("password",))
    assert pipeline.masked(batch_of(["pwd=x1"])).array("message").to_pylist() == ["pwd=[redacted:password]"]
    lines = Lines(pa.array([b"pwd=x1 ann@b.com"]), np.arange(1), Stream.of({}), 0, Origin("file:1", 0, 1, 1))
    for steps, message in (
        (Steps(), "pwd=[redacted:password] ann@b.com"),
        (Steps(redact=("email",)), "pwd=x1 a***@b.com"),
    ):
        assert pipeline.process(replace(lines, steps=steps)).array("message").to_pylist() == [message]
    assert pipeline.redacted == {"password": 2, "email": 1}


def test_a_batch_is_left_as_it_is_by_a_pipeline_that_masks_nothing():
    batch = batch_of(["pwd=x1"])
    assert Pipeline().masked(batch) is batch


def test_a_trace_id_is_masked_too():
    batch = redactor(ALL).apply(batch_of(["m", "n"], trace=["AKIAIOSFODNN7EXAMPLE", None]), Counter())
    assert batch.array("trace_id").to_pylist() == ["[redacted:aws-key]", None]


def test_a_rule_of_ones_own_keeps_head_and_tail_of_its_group():
    rule = Mask("order", r"order (\w+)", (1, 2))
    assert run([rule], ["order ABCDEF now"])[0] == ["order A***EF now"]


def test_a_rule_of_ones_own_writes_its_template_with_named_groups():
    rule = Mask("order", r"order (?P<kind>[A-Z])\w+", template="order {kind}…")
    assert run([rule], ["order ABCDEF now"])[0] == ["order A… now"]


def test_a_rule_with_a_field_looks_nowhere_else():
    rule = Mask("mail", r"\w+", (0, 0), field="user.mail")
    messages, (fields,), counts = run([rule], ["bob"], [{"user": {"mail": "bob", "x": "bob"}}])
    assert (messages, orjson.loads(fields), counts) == (["bob"], {"user": {"mail": "***", "x": "bob"}}, {"mail": 1})


def test_of_secrets_that_overlap_nothing_is_kept():
    assert run(ALL, ["13812345678@example.com"])[0] == ["[redacted:email]"]


def test_a_private_key_that_lies_over_many_lines_goes_whole():
    key = "-----BEGIN PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEA0Z3V\n" * 9 + "-----END PRIVATE KEY-----\nafter"
    assert run(ALL, [key])[0] == ["-----BEGIN PRIVATE KEY-----[redacted:private-key]-----END PRIVATE KEY-----\nafter"]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        (["secret"], "nothing called 'secret'"),
        ([Mask("jwt", "x", (0, 0))], "the name is taken"),
        ([Mask("a", "(?=x)", (0, 0))], "RE2 does not take this"),
        ([Mask("a", "x*", (0, 0))], "so everywhere"),
        ([Mask("a", "x")], "one of keep and template"),
        ([Mask("a", "x", (0, 0), "y")], "one of keep and template"),
        ([Mask("a", "x", (-1, 0))], "from 0 on"),
        ([Mask("a", "x", template="{b}")], "no group 'b'"),
        ([Mask("a", r"\Ax", (0, 0))], "mean nothing here"),
        ([Mask("a", "x", (0, 0)), Mask("a", "y", (0, 0))], "one name"),
        ([Mask("a", "x" * 2000, (0, 0))], "longer than"),
    ],
)
def test_a_rule_that_cannot_be_is_explained(wanted, said):
    with pytest.raises(ConfigError, match=said):
        rules_of(wanted)
