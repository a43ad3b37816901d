r"""decode: bytes become text, whatever they are written in; what cannot be read stays readable, and recoverable.

A byte that means nothing is ``\xHH``, and the line itself is kept beside. Only that line is touched: the others of its
block are decoded all at once.

Encodings are those of Python's codecs in which a line can be found without decoding: a newline is the byte 0x0A and
that byte is part of no other character (so it is in all encodings of ISO 8859, Windows and KOI, and in GBK, GB18030,
Big5, Shift-JIS, EUC and their relatives, whose second bytes begin at 0x30), or it is UTF-16 or UTF-32. Encodings with
a state (ISO-2022, HZ, UTF-7) and those of mainframes are not among them.

People say GBK and mean what Windows writes; so a line that is not valid in the encoding named is tried in the larger
one that contains it (``_LARGER``) before it counts as broken.
"""

from __future__ import annotations

import codecs
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.api import suggestion
from tailrace.errors import ConfigError

UTF8 = "utf-8"
_SUGGESTED = (
    *("utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "gbk", "gb18030", "big5", "shift_jis", "euc_jp", "euc_kr"),
    *("cp932", "cp949", "cp950", "cp1252", "latin-1", "iso8859-15", "windows-1252", "windows-1251", "koi8-r"),
)
_LARGER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "big5": "big5hkscs",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "cp1252": "iso8859-1",
    "ascii": UTF8,
}
_WIDE = {"utf-16": "utf-16-le", "utf-32": "utf-32-le"}
"""Without a byte order mark: what Windows writes."""
_SEVERAL_BYTES = frozenset(
    (
        *("utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"),
        *("gb2312", "gbk", "gb18030", "big5", "big5hkscs", "cp950", "euc_kr", "cp949", "johab"),
        *("cp932", "shift_jis", "shift_jis_2004", "shift_jisx0213", "euc_jp", "euc_jis_2004", "euc_jisx0213"),
    )
)
_SINGLE_BYTES = ("ascii", "iso8859", "cp", "koi8", "mac-", "kz1048", "ptcp154", "tis-620", "hp-roman8")
_COMMON_SHARE = 0.6
_FEW_LINES = 8


@lru_cache(maxsize=256)
def encoding_of(name: str) -> str:
    """Return the one name of an encoding; empty: UTF-8. Raises ConfigError for what is none, or cannot be read here."""
    if not name:
        return UTF8
    try:
        found = codecs.lookup(name).name
    except LookupError:
        raise ConfigError(f"{name!r} is no known encoding", cure=suggestion(name.lower(), _SUGGESTED)) from None
    found = _WIDE.get(found, UTF8 if found == "utf-8-sig" else found)
    if found in _SEVERAL_BYTES or _of_single_bytes(found):
        return found
    raise ConfigError(f"lines cannot be found in {name!r}", cure="Have it converted, or write the log as UTF-8.")


def _of_single_bytes(codec: str) -> bool:
    """Tell whether every byte is one character, and those of ASCII are themselves."""
    ascii_bytes = bytes(range(128))
    return codec.startswith(_SINGLE_BYTES) and ascii_bytes.decode(codec, "replace") == ascii_bytes.decode("ascii")


def newline_of(encoding: str) -> bytes:
    """Return the bytes of a newline in an encoding (as ``encoding_of`` names it): one, two or four."""
    return "\n".encode(encoding)


def decode(lines: pa.Array, encoding: str = "") -> tuple[pa.StringArray, dict[int, bytes]]:
    r"""Return the lines as text, and the bytes of those that were not valid in their encoding, by row.

    Valid UTF-8 is checked all at once and shares the memory of ``lines``. Raises ConfigError for an unknown encoding.
    """
    codec = encoding_of(encoding)
    if codec != UTF8:
        return _converted(lines, codec)
    try:
        if len(lines) <= _FEW_LINES:  # which mostly come one by one: a cast costs as much as some dozens of them
            return pa.array([line.decode() for line in lines.to_pylist()], pa.string()), {}
        return lines.cast(pa.string()), {}
    except (pa.ArrowInvalid, UnicodeDecodeError):
        pass
    bad: list[int] = []
    _find(lines, 0, len(lines), bad)
    texts = lines.to_pylist()
    raw: dict[int, bytes] = {}
    for row in bad:
        raw[row] = texts[row]
        texts[row] = texts[row].decode(UTF8, "backslashreplace").encode()
    return pa.array(texts, pa.binary()).cast(pa.string()), raw


def _find(lines: pa.Array, start: int, stop: int, bad: list[int]) -> None:
    """Halve until only the lines that do not decode are left."""
    try:
        lines.slice(start, stop - start).cast(pa.string())
    except pa.ArrowInvalid:
        if stop - start == 1:
            bad.append(start)
            return
        middle = (start + stop) // 2
        _find(lines, start, middle, bad)
        _find(lines, middle, stop, bad)


def _converted(lines: pa.Array, codec: str) -> tuple[pa.StringArray, dict[int, bytes]]:
    """Decode all lines as one text with newlines between, up to a broken one, and go on behind it."""
    if not len(lines):
        return pa.array([], pa.string()), {}
    newline = newline_of(codec)
    places = pa.array([0, len(lines)], pa.int32())
    block = pc.binary_join(pa.ListArray.from_arrays(places, lines.cast(pa.binary())), newline)[0].as_buffer()
    data = memoryview(block)
    lengths = pc.binary_length(lines).to_numpy(zero_copy_only=False).astype(np.int64)
    if (lengths % len(newline)).any():
        return _one_by_one(lines.to_pylist(), codec)  # a line that ends inside a unit would shift all behind it
    ends = np.cumsum(lengths + len(newline))
    decoder = codecs.lookup(codec).decode
    pieces: list[str] = []
    raw: dict[int, bytes] = {}
    begin, size = 0, len(data)
    while begin <= size:
        try:
            pieces.append(decoder(data[begin:], "strict")[0])
            break
        except UnicodeDecodeError as error:
            row = int(ends.searchsorted(begin + error.start, "right"))
            first, last = int(ends[row] - lengths[row] - len(newline)), int(ends[row]) - len(newline)
            if first > begin:
                pieces.append(decoder(data[begin : first - len(newline)], "strict")[0])
            line = bytes(data[first:last])
            text, valid = _alone(line, codec)
            pieces.append(text)
            if not valid:
                raw[row] = line
            begin = int(ends[row])
    return _split("\n".join(pieces), len(lines)), raw


def _one_by_one(lines: list[bytes], codec: str) -> tuple[pa.StringArray, dict[int, bytes]]:
    texts: list[str] = []
    raw: dict[int, bytes] = {}
    for row, line in enumerate(lines):
        try:
            texts.append(line.decode(codec))
        except UnicodeDecodeError:
            texts.append(_alone(line, codec)[0])
            raw[row] = line
    return pa.array(texts, pa.string()), raw


def _alone(line: bytes, codec: str) -> tuple[str, bool]:
    """Return the text of a line that is not valid in its encoding, and whether it is in the larger one."""
    larger = _LARGER.get(codec)
    if larger is not None:
        try:
            return line.decode(larger), True
        except UnicodeDecodeError:
            pass
    return line.decode(codec, "backslashreplace").replace("\n", "\\n"), False


def _split(text: str, rows: int) -> pa.StringArray:
    data = text.encode()
    whole = pa.StringArray.from_buffers(1, pa.py_buffer(np.array([0, len(data)], np.int32)), pa.py_buffer(data))
    lines = pc.split_pattern(whole, "\n").flatten()
    if len(lines) != rows:
        raise RuntimeError(f"{rows} lines were decoded to {len(lines)}")
    return lines


def looks_like(lines: list[bytes]) -> str:
    """Return the encoding in which lines that are not UTF-8 make sense as Chinese, or an empty text.

    They do when they are valid and most of their characters are the frequent ones (level 1 of GB 2312).
    """
    common = others = 0
    for line in lines:
        try:
            text = line.decode("gb18030")
        except UnicodeDecodeError:
            return ""
        for char in text:
            if char > "\x7f":
                code = char.encode("gb18030")
                frequent = len(code) == 2 and (0xB0 <= code[0] <= 0xD7 or 0xA1 <= code[0] <= 0xA3) and code[1] >= 0xA1
                common, others = common + frequent, others + (not frequent)
    return "gb18030" if common and common >= _COMMON_SHARE * (common + others) else ""
