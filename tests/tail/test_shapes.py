"""Messages that one line of a program writes have one shape."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tailrace.limits import SHAPE_CHARS_MAX
from tailrace.tail.shapes import shapes


def shape(message: str) -> str:
    return shapes(pa.array([message]))[0].as_py()


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("2026-11-20 08:00:00,123 INFO took 12.5 ms", "* * INFO took * ms"),
        ("2026-11-20T08:00:00.123456+08:00 done", "* done"),
        (
            "Jun 14 15:16:01 combo sshd(pam_unix)[19939]: check pass; uid=0",
            "* * combo sshd(pam_unix)[*]: check pass; uid=*",
        ),
        ("[Sun Dec 04 04:47:44 2005] [notice] mod_jk child in slot 6", "[* * *] [notice] mod_jk child in slot *"),
        (
            '10.0.0.7 - - [20/Nov/2026:08:00:00 +0000] "GET /a HTTP/1.1" 200 17 "-" "curl/8"',
            "* - - [* +*] * * * * *",
        ),
        ("req-38101a0b-2096-447d-96ea-a692162415ae failed", "req-* failed"),
        ("block blk_38865049064139660 of 10.251.73.220:50010:Got", "block blk_* of *:Got"),
        ("mac 00:1a:2b:cc:dd:ef, id 0x1fffffffe, sha d16a600c5e2a47fe", "mac *, id *, sha *"),
        ("total = -79, sizes 1,2,3", "total = *, sizes *"),
        ('User \'bob\' logged in, name="Bob \\"B\\" Smith" ("x")', "User * logged in, name=* (*)"),
        ("it doesn't open, can't", "it doesn't open, can't"),
        ('{"level":"info","msg":"user 12 logged in"}', '{"level":"info","msg":"user * logged in"}'),
        ('{"msg": "payment failed", "id": 7}', '{"msg": "payment failed", "id": *}'),
        ("用户12登录失败", "用户*登录失败"),
        ("", ""),
    ],
)
def test_what_varies_is_a_star_and_words_stay(message: str, expected: str) -> None:
    assert shape(message) == expected


def test_only_the_beginning_of_a_long_message_counts() -> None:
    assert shape("错" * SHAPE_CHARS_MAX + "a") == shape("错" * SHAPE_CHARS_MAX + "b")


def test_shapes_stand_beside_their_messages() -> None:
    assert shapes(pa.array(["a 1", '{"a":"b 2"}', "a 3"])).to_pylist() == ["a *", '{"a":"b *"}', "a *"]
