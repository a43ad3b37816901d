from datetime import UTC

import pyarrow as pa
import pytest

from tailrace.pipeline.grok import GROK
from tailrace.pipeline.pattern import compiled

LOOSE = {"DATA", "GREEDYDATA", "NOTSPACE", "QUOTEDTEXT", "URIQUERY"}


def fits(name, text):
    return bool(compiled(f"^(?:%{{{name}}})$").read(pa.array([text]), 0, UTC).fits[0])


@pytest.mark.parametrize("name", GROK)
def test_a_name_takes_its_example(name):
    assert fits(name, GROK[name][1])


@pytest.mark.parametrize("name", sorted(set(GROK) - LOOSE))
def test_a_name_does_not_take_everything(name):
    assert not fits(name, "\x01 \x01")


@pytest.mark.parametrize(
    ("name", "text"),
    [("IP", "256.1.1.1"), ("IPV4", "1.2.3"), ("UUID", "123"), ("MAC", "aa:bb"), ("INT", "1.5"), ("MONTHNUM", "13"),
     ("HOUR", "25"), ("LOGLEVEL", "loud"), ("POSINT", "0"), ("QS", '"open'), ("HTTPDATE", "2026-11-20")],
)  # fmt: skip
def test_a_name_refuses_what_is_none(name, text):
    assert not fits(name, text)


@pytest.mark.parametrize("text", ["::1", "fe80::1%eth0", "2001:db8:0:0:0:0:0:1", "::ffff:10.0.0.1", "10.0.0.1", "::"])
def test_addresses_of_both_kinds_are_addresses(text):
    assert fits("IP", text)
