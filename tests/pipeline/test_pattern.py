from datetime import UTC

import numpy as np
import pyarrow as pa
import pytest

from tailrace.errors import ConfigError
from tailrace.limits import PATTERN_BYTES_MAX
from tailrace.pipeline.pattern import compiled, is_pattern
from tailrace.record import Level


def read(pattern, *lines):
    return compiled(pattern).read(pa.array(lines, pa.string()), 0, UTC)


def test_names_and_groups_become_fields():
    found = read(r"%{IP:client} (?P<user>\w+) (?<order.id>\d+)", "10.0.0.1 anna 17")
    assert found.fields.to_pylist() == ['{"client":"10.0.0.1","user":"anna","order.id":"17"}']


def test_int_and_float_make_numbers():
    assert read("%{INT:n:int} %{NUMBER:t:float}", "12 0.5").fields.to_pylist() == ['{"n":12,"t":0.5}']


def test_names_with_a_role_are_no_fields():
    found = read(
        r"^%{TIMESTAMP_ISO8601:time} %{LOGLEVEL:level} \[%{WORD:trace_id}\] %{GREEDYDATA:message}",
        "2026-11-20T08:00:00Z WARN [ab12] slow",
    )
    assert found.time.view("datetime64[ns]")[0] == np.datetime64("2026-11-20T08:00:00")
    assert found.level.tolist() == [Level.WARN]
    assert (found.message.to_pylist(), found.trace_id.to_pylist()) == (["slow"], ["ab12"])
    assert found.fields.to_pylist() == [None]


def test_a_line_that_does_not_match_has_nothing():
    found = read("^%{INT:n:int}$", "x", "5")
    assert found.fits.tolist() == [False, True]
    assert found.fields.to_pylist() == [None, '{"n":5}']


@pytest.mark.parametrize(
    ("pattern", "message", "position"),
    [
        ("a %{IPX:b}", "no pattern called 'IPX'", 2),
        ("a %{IP:b", "has no }", 2),
        ("%{IP:a} %{IP:a}", "named twice", 5),
        ("%{INT:a:bool}", "is no type", 0),
        ("%{INT:a b}", "no name of a field", 6),
        ("(?P<n>a**)", "bad repetition", 7),
        ("x (?=y)", "not a pattern", 2),
    ],
)
def test_a_mistake_is_pointed_at(pattern, message, position):
    with pytest.raises(ConfigError, match=message) as caught:
        compiled(pattern)
    shown, caret = caught.value.message.split("\n")[-2:]
    assert (shown.strip(), len(caret) - 3 - position in (0, 1)) == (pattern, True)


def test_a_name_that_is_nearly_right_is_suggested():
    with pytest.raises(ConfigError) as caught:
        compiled("%{IPORHOTS:a}")
    assert "IPORHOST" in caught.value.cure


def test_a_pattern_has_a_bound():
    with pytest.raises(ConfigError, match="longer"):
        compiled("%{IP:a}" + "x" * PATTERN_BYTES_MAX)


@pytest.mark.parametrize(
    ("text", "pattern"), [("%{IP:a}", True), ("(?P<a>x)", True), ("json", False), ("iso-bracketed", False)]
)
def test_a_pattern_is_told_from_a_name(text, pattern):
    assert is_pattern(text) == pattern
