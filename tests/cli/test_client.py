import email.message

import pytest

from tailrace.cli.client import Client, Unreachable, _problem
from tailrace.errors import BadInput, Busy, ConfigError, QueryError, Refused, TailraceError


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, b'{"detail":"wrong","position":3}', QueryError),
        (400, b'{"detail":"wrong"}', BadInput),
        (401, b'{"detail":"who?"}', Refused),
        (429, b'{"detail":"later"}', Busy),
        (500, b"<html>proxy", TailraceError),
        (500, b"[1]", TailraceError),
    ],
)
def test_an_answer_that_is_an_error_becomes_one(status, body, kind):
    assert type(_problem(status, body, email.message.Message(), "a b c")) is kind


@pytest.mark.parametrize("url", ["localhost:7800", "ftp://x", "http://"])
def test_what_is_no_address_is_said(url):
    with pytest.raises(ConfigError) as caught:
        Client(url)
    assert caught.value.cure


def test_nobody_there_is_said_with_a_cure():
    with pytest.raises(Unreachable) as caught:
        Client("http://127.0.0.1:1").json("/x")
    assert "tailrace up" in caught.value.cure
