"""Bytes become text, and what was not text can be had back."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.errors import ConfigError
from tailrace.pipeline.decode import decode, encoding_of, looks_like, newline_of

TEXTS = {
    "utf-16-le": "日志 ਊ 🎉",
    "utf-16-be": "日志 ਊ 🎉",
    "utf-32-le": "日志 🎉",
    "utf-32-be": "日志 🎉",
    "gbk": "支付成功 乗乣 誠",
    "gb18030": "支付成功 🎉 ڍ",
    "big5": "功能 許可 蓋",
    "shift_jis": "ソース 表示 能力 〜",
    "cp932": "①ソース",
    "euc_jp": "表示 能力",
    "euc_kr": "결제 성공",
    "latin-1": "café ÿþ",
    "cp1252": "café €",
    "koi8-r": "ошибка",
}


@given(lines=st.lists(st.binary(max_size=6) | st.sampled_from(["é".encode(), b"\xc3", b"plain"]), max_size=12))
def test_every_line_is_text_and_what_was_not_can_be_had_back(lines):
    texts, raw = decode(pa.array(lines, pa.binary()))
    for row, (line, text) in enumerate(zip(lines, texts.to_pylist(), strict=True)):
        if row in raw:
            assert raw[row] == line
        else:
            assert text.encode() == line


def test_only_bad_bytes_are_escaped():
    assert decode(pa.array(["é".encode() + b"\xff!"]))[0].to_pylist() == ["é\\xff!"]


@pytest.mark.parametrize("bad", [b"\xc5", b"\xff", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80"])
def test_what_is_not_utf8_is_shown_byte_by_byte(bad):
    texts, raw = decode(pa.array([b"a" + bad + b"b", b"ok"]))
    assert texts.to_pylist() == ["a" + "".join(f"\\x{byte:02x}" for byte in bad) + "b", "ok"]
    assert raw == {0: b"a" + bad + b"b"}


@pytest.mark.parametrize("encoding", TEXTS)
def test_text_is_what_was_written(encoding):
    lines = ["", "2026 INFO a\\b|c", TEXTS[encoding], "  \t" + TEXTS[encoding] * 3 + "\x00\x1b[0m ", ""]
    texts, raw = decode(pa.array([line.encode(encoding) for line in lines], pa.binary()), encoding)
    assert (texts.to_pylist(), raw) == (lines, {})


@settings(deadline=None)
@given(
    encoding=st.sampled_from(sorted(TEXTS)),
    lines=st.lists(st.binary(max_size=8).map(lambda data: data.replace(b"\n", b"")), max_size=8),
)
def test_bytes_that_mean_nothing_in_an_encoding_harm_only_their_line(encoding, lines):
    good = TEXTS[encoding]
    mixed = [one for line in lines for one in (line, good.encode(encoding))]
    if len(newline_of(encoding)) > 1:
        mixed = [line for line in mixed if newline_of(encoding) not in line]
    texts, raw = decode(pa.array(mixed, pa.binary()), encoding)
    for row, (line, text) in enumerate(zip(mixed, texts.to_pylist(), strict=True)):
        if line == good.encode(encoding):
            assert text == good
        assert row not in raw or raw[row] == line


@pytest.mark.parametrize(("name", "text"), [("gbk", "🎉"), ("gb2312", "乗"), ("shift_jis", "①"), ("euc_kr", "갂")])
def test_a_line_that_only_the_larger_encoding_has_is_read_too(name, text):
    larger = {"gbk": "gb18030", "gb2312": "gbk", "shift_jis": "cp932", "euc_kr": "cp949"}[name]
    texts, raw = decode(pa.array([text.encode(larger), b"plain"]), name)
    assert (texts.to_pylist(), raw) == ([text, "plain"], {})


@pytest.mark.parametrize(
    ("name", "canonical"),
    [("", "utf-8"), ("UTF8", "utf-8"), ("GB2312", "gb2312"), ("utf-16", "utf-16-le"), ("windows-1252", "cp1252")],
)
def test_an_encoding_has_many_names(name, canonical):
    assert encoding_of(name) == canonical


def test_an_unknown_encoding_is_an_error_with_a_suggestion():
    with pytest.raises(ConfigError) as raised:
        encoding_of("gkb")
    assert "'gbk'" in raised.value.cure


@pytest.mark.parametrize(
    "name", ["utf-7", "hz", "iso2022_jp", "cp037", "unicode_escape", "idna", "rot13", "hex", "zip"]
)
def test_what_has_no_lines_of_its_own_is_refused(name):
    with pytest.raises(ConfigError):
        encoding_of(name)


def test_chinese_that_was_not_declared_is_noticed_and_french_is_not():
    assert looks_like(["订单支付成功 用户登录失败".encode("gbk")]) == "gb18030"
    assert looks_like(["déjà été créé à l'hôtel".encode("latin-1")]) == ""
    assert looks_like([b"\xff\xfe\xfd"]) == ""
