"""A record becomes one line that everybody reads the same way."""

import datetime
import decimal
import enum
import json
import pathlib
import uuid
from contextvars import copy_context
from dataclasses import dataclass

import pytest

from tailrace_sdk.encode import Encoder
from tailrace_sdk.limits import RECORD_CHARACTERS_MAX, SHAPES_MAX

TIME_NS = 1_763_712_000_123_456_789


def encoded(*records, fields=None):
    encoder = Encoder(fields)
    data, count = encoder.encode([(TIME_NS, dict(record), None) for record in records])
    lines = [json.loads(line, parse_constant=pytest.fail) for line in data.split(b"\n")[:-1]]
    assert (len(lines), data[-1:] or b"\n") == (count, b"\n")
    return lines


def one(record, **more):
    (line,) = encoded(record, **more)
    return line


def test_the_time_is_kept_to_the_nanosecond():
    assert one({"message": "x"})["time"] == "2025-11-21T08:00:00.123456789Z"


def test_a_record_with_its_own_time_keeps_it():
    assert one({"timestamp": 5}) == {"timestamp": 5}


def test_fields_of_the_writer_are_in_every_record_that_has_none_of_its_own():
    lines = encoded({"n": 1}, {"n": 2, "service": "other"}, {}, fields={"service": "shop", "pid": 7})
    assert [(line["service"], line["pid"]) for line in lines] == [("shop", 7), ("other", 7), ("shop", 7)]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("WARNING", "warn"),
        ("Critical", "fatal"),
        (40, "error"),
        ("info", "info"),
        ("odd", "odd"),
        ([], []),
        (None, None),
    ],
)
def test_levels_get_the_names_of_tailrace(given, name):
    assert one({"level": given})["level"] == name


def test_secrets_are_masked_wherever_they_are():
    line = one({"password": "p", "X-Api-Key": "k", "user": {"token": "t", "list": [{"secret": "s"}]}, "token_count": 5})
    del line["time"]
    assert line == {
        "password": "***",
        "X-Api-Key": "***",
        "user": {"token": "***", "list": [{"secret": "***"}]},
        "token_count": 5,
    }


class Colour(enum.Enum):
    RED = "red"


@dataclass
class Order:
    number: int
    password: str


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (datetime.date(2026, 11, 21), "2026-11-21"),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        (pathlib.Path("/a"), "/a"),
        (b"\xffx", "\\xffx"),
        (ValueError("no"), "ValueError: no"),
        (Colour.RED, "red"),
        (Order(5, "p"), {"number": 5, "password": "***"}),
        ({1}, [1]),
        (float("inf"), "inf"),
        (2**80, 2**80),
    ],
)
def test_what_json_does_not_know_becomes_what_people_expect(value, wanted):
    assert one({"value": value})["value"] == wanted


def test_text_of_every_kind_stays_one_line():
    text = "a\nb\r\u2028\u0000 ünï 漢字 😀"
    assert one({"message": text})["message"] == text


def test_half_a_character_does_not_break_the_line():
    assert one({"message": "\ud800x"})["message"] == "?x"


def test_a_cycle_ends_somewhere():
    record = {"n": 1}
    record["self"] = record
    assert one(record)["n"] == 1


def test_keys_that_are_no_text_become_text():
    assert one({(1, 2): "x", 5: "y"})["(1, 2)"] == "x"


def test_a_record_that_is_too_long_has_its_texts_cut():
    line = one({"message": "x" * (RECORD_CHARACTERS_MAX + 1), "n": 1})
    assert line["n"] == 1
    assert line["message"].endswith("…")
    assert len(line["message"]) < RECORD_CHARACTERS_MAX


def test_one_record_that_cannot_be_encoded_costs_only_itself():
    encoder = Encoder()
    rows = {str(n): "x" * 8000 for n in range(90)}
    data, count = encoder.encode([(TIME_NS, {"n": 1}, None), (TIME_NS, rows, None), (TIME_NS, {"n": 2}, None)])
    assert (count, data.count(b"\n"), encoder.broken) == (2, 2, 1)
    assert "at most" in encoder.error


def test_made_up_keys_do_not_fill_the_memory():
    encoder = Encoder()
    encoder.encode([(TIME_NS, {f"key{n}": n}, None) for n in range(3 * SHAPES_MAX)])
    assert len(encoder._plans) <= SHAPES_MAX


def test_a_record_wins_over_its_context_and_that_over_the_writer():
    from tailrace_sdk import context_fields

    with context_fields(a=1, b=1):
        context = copy_context()
    data, _ = Encoder({"a": 0, "b": 0, "c": 0}).encode([(TIME_NS, {"a": 2}, context)])
    line = json.loads(data)
    assert (line["a"], line["b"], line["c"]) == (2, 1, 0)
