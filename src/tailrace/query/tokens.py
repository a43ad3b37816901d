"""Tokens: how text is folded and cut, the same for filters, for the index of a block, and for text in a query.

Fold   Text is lower-cased code point by code point, as Arrow's ``utf8_lower`` does; nothing else is normalised.
Token  A maximal run of Unicode letters, digits and underscore. Chinese, Japanese and Korean letters have no spaces
       between words: they form runs of their own, cut into overlapping pairs, and the last character of a run is a
       token too. So every substring of such a run is found by its pairs, and one character by a prefix.

Which code points are letters is asked of RE2 once per process: filters decide word boundaries with RE2, and an index
that disagreed with them in one letter would lose records.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.record import Batch

WORD_CLASS = r"\p{L}\p{N}_"
CJK_CLASS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}ーｰ"
"""Inside an RE2 class. The two prolonged sound marks belong to no script, but to the words they stand in."""

OTHER, LATIN, CJK = 0, 1, 2
_CODE_POINTS = 0x34000
"""Above it Unicode has no letters."""
_ESCAPE = r"\\(?:u[0-9a-fA-F]{4}|.)"
_SPACE = 32
_ASCII_RUN = re.compile(r"[A-Za-z0-9_]+")

_ASCII = bytes(ord(chr(byte).lower()) if chr(byte).isalnum() or byte == ord("_") else _SPACE for byte in range(128))
_ASCII += bytes([_SPACE]) * 128


@lru_cache(maxsize=1)
def _unicode_tables() -> tuple[np.ndarray, np.ndarray]:
    """Return, by code point: its lower-case code point (uint32), and OTHER, LATIN or CJK (uint8)."""
    points = np.arange(_CODE_POINTS, dtype=np.uint32)
    points[0xD800:0xE000] = _SPACE  # surrogates are not characters
    texts = pa.array(list(points.astype("<u4").tobytes().decode("utf-32-le")), pa.string())
    lowered = "".join(pc.utf8_lower(texts).to_pylist())
    lower = np.frombuffer(lowered.encode("utf-32-le"), "<u4")
    word = pc.match_substring_regex(texts, f"[{WORD_CLASS}]").to_numpy(zero_copy_only=False)
    cjk = pc.match_substring_regex(texts, f"[{CJK_CLASS}]").to_numpy(zero_copy_only=False)
    return lower, np.where(word, np.where(cjk, CJK, LATIN), OTHER).astype(np.uint8)


def _points(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the lower-cased code points of a text and their kinds; one more OTHER ends them."""
    lower, kinds = _unicode_tables()
    points = np.frombuffer((text + " ").encode("utf-32-le", "surrogatepass"), "<u4")
    points = np.where(points < _CODE_POINTS, points, _SPACE)
    return lower[points], kinds[points]


def fold(text: str) -> str:
    """Return the text as all comparisons see it."""
    return text.lower() if text.isascii() else pc.utf8_lower(pa.scalar(text)).as_py()


def is_ascii(texts: pa.StringArray) -> bool:
    """Tell whether all of an array's text is ASCII, by its bytes."""
    return texts.buffers()[2] is None or not (text_bytes(texts) > 127).any()


def text_bytes(texts: pa.StringArray) -> np.ndarray:
    """Return the bytes of all texts of an array, one after the other, as a numpy view."""
    _, offsets, data = texts.buffers()
    if data is None or not len(texts):
        return np.zeros(0, np.uint8)
    ends = np.frombuffer(offsets, np.int32)
    first, last = ends[texts.offset], ends[texts.offset + len(texts)]
    return np.frombuffer(data, np.uint8)[first:last]


def fold_array(texts: pa.StringArray) -> pa.StringArray:
    """Return the folded texts; nulls stay null."""
    return pc.ascii_lower(texts) if is_ascii(texts) else pc.utf8_lower(texts)


def runs(text: str) -> list[tuple[int, int, int]]:
    """Return (kind, start, stop) of the LATIN and CJK runs of a text, in characters."""
    if text.isascii():  # without the tables, which take a tenth of a second to make: queries are parsed on the loop
        return [(LATIN, *run.span()) for run in _ASCII_RUN.finditer(text)]
    kinds = _points(text)[1]
    edges = [0, *(np.flatnonzero(np.diff(kinds)) + 1).tolist()]
    return [(int(kinds[start]), start, stop) for start, stop in pairwise(edges) if kinds[start] != OTHER]


def run_tokens(kind: int, run: str) -> list[str]:
    """Return the tokens of one run of folded text."""
    if kind == LATIN:
        return [run]
    return [run[i : i + 2] for i in range(len(run) - 1)] + [run[-1]]


def tokens(text: str) -> list[str]:
    """Return the tokens of a text, folded, in their order, repeated ones too."""
    folded = fold(text)
    return [token for kind, start, stop in runs(folded) for token in run_tokens(kind, folded[start:stop])]


def block_tokens(batch: Batch) -> pa.StringArray:
    """Return the distinct tokens of all messages, trace ids and ``fields`` texts of a batch, in no order."""
    found = [distinct for texts, _ in indexed_texts(batch) for distinct in _distinct(texts)]
    distinct = pc.unique(pa.concat_arrays(found)) if found else pa.array([], pa.string())
    return distinct.filter(pc.not_equal(distinct, ""))


def indexed_texts(batch: Batch) -> Iterator[tuple[pa.StringArray, np.ndarray]]:
    """Yield the texts of a batch whose tokens an index has, without nulls, and the row of each; the messages first.

    In ``fields`` a JSON escape separates words. The text of a nested value is JSON as well, where filters see the
    escapes as they are written: rows that have both are cut in both ways.
    """
    for name in ("message", "trace_id", "fields"):
        texts, rows = batch.array(name), np.arange(len(batch))
        if texts.null_count:
            rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False))
            texts = texts.drop_null()
        if name == "fields" and (text_bytes(texts) == ord("\\")).any():
            nested = pc.match_substring_regex(texts, r"(?s):[\[{].*\\|\\.*:[\[{]")
            yield texts.filter(nested), rows[nested.to_numpy(zero_copy_only=False)]
            texts = pc.replace_substring_regex(texts, _ESCAPE, " ")
        yield texts, rows


def placed_tokens(texts: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    """Return the tokens of texts without nulls, repeated ones too, and for each the index of its text, in no order.

    The empty text may be among them.
    """
    if not len(texts):
        return pa.array([], pa.string()), np.zeros(0, np.int64)
    if is_ascii(texts):
        return _placed_ascii(texts)
    plain = pc.string_is_ascii(texts)
    is_plain = plain.to_numpy(zero_copy_only=False)
    in_ascii, ascii_at = placed_tokens(texts.filter(plain))
    others, at = _placed_unicode(texts.filter(pc.invert(plain)))
    return (
        pa.concat_arrays([in_ascii, others]),
        np.concatenate([np.flatnonzero(is_plain)[ascii_at], np.flatnonzero(~is_plain)[at]]),
    )


def spaced_tokens(texts: pa.StringArray) -> pa.StringArray:
    """Return the tokens of each text in their order, with spaces between them (and perhaps around them)."""
    if not len(texts):
        return texts
    if is_ascii(texts):
        return _spaced_ascii(texts)
    plain = pc.string_is_ascii(texts)
    others = np.flatnonzero(~plain.to_numpy(zero_copy_only=False))
    of_ascii, of_others = _spaced_ascii(texts.filter(plain)), _spaced_unicode(texts.take(pa.array(others)))
    place = np.empty(len(texts), np.int64)
    place[np.setdiff1d(np.arange(len(texts)), others, assume_unique=True)] = np.arange(len(of_ascii))
    place[others] = len(of_ascii) + np.arange(len(others))
    return pa.concat_arrays([of_ascii, of_others]).take(pa.array(place))


def _distinct(texts: pa.StringArray) -> list[pa.Array]:
    """Return arrays that hold, together, the tokens of texts without nulls (and perhaps the empty text)."""
    if not len(texts):
        return []
    if is_ascii(texts):
        return [_distinct_ascii(texts)]
    plain = pc.string_is_ascii(texts)
    rest = texts.filter(pc.invert(plain))
    ascii_rows = texts.filter(plain)
    return [*([_distinct_ascii(ascii_rows)] if len(ascii_rows) else []), *_distinct_unicode(rest)]


def _distinct_ascii(texts: pa.StringArray) -> pa.Array:
    return pc.unique(_cut_ascii(texts).values)


def _placed_ascii(texts: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    cut = _cut_ascii(texts)
    return cut.values, pc.list_parent_indices(cut).to_numpy()


def _cut_ascii(texts: pa.StringArray) -> pa.ListArray:
    return pc.ascii_split_whitespace(_spaced_ascii(texts))


def _spaced_ascii(texts: pa.StringArray) -> pa.StringArray:
    data = text_bytes(texts)
    ends = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
    return pa.StringArray.from_buffers(
        len(texts), pa.py_buffer(ends - ends[0]), pa.py_buffer(data.tobytes().translate(_ASCII))
    )


def _spaced_unicode(texts: pa.StringArray) -> pa.StringArray:
    """Write each CJK character together with the one behind it; a space stands where a token ends."""
    points, kinds = _points(_joined(texts))
    ends = np.cumsum(pc.utf8_length(texts).to_numpy() + 1) - 1  # where each text has ended
    cjk = kinds == CJK
    begins = np.concatenate([[False], cjk[1:] & (kinds[:-1] == LATIN)])
    pairs = np.concatenate([cjk[:-1] & cjk[1:], [False]])
    widths = 1 + begins + pairs + cjk
    at = np.cumsum(widths) - widths
    written = np.full(int(widths.sum()), _SPACE, np.uint32)
    written[at + begins] = np.where(kinds == OTHER, _SPACE, points)
    seconds = np.flatnonzero(pairs)
    written[at[seconds] + begins[seconds] + 1] = points[seconds + 1]
    written[at[ends]] = ord("\n")
    return pa.array(written.astype("<u4").tobytes().decode("utf-32-le").split("\n")[: len(texts)], pa.string())


def _distinct_unicode(texts: pa.StringArray) -> list[pa.Array]:
    points, kinds = _points(_joined(texts))
    pairs, lasts = _cjk(kinds)
    latin = pa.array(_latin(points, kinds), pa.string())
    return [pc.unique(latin), _texts(np.unique(_pair_keys(points, pairs))), _texts(np.unique(points[lasts]))]


def _placed_unicode(texts: pa.StringArray) -> tuple[pa.StringArray, np.ndarray]:
    points, kinds = _points(_joined(texts))
    at = np.repeat(np.arange(len(texts)), pc.utf8_length(texts).to_numpy() + 1)
    pairs, lasts = _cjk(kinds)
    latin = kinds == LATIN
    begins = np.flatnonzero(latin & ~np.concatenate([[False], latin[:-1]]))
    of_pairs, pair = np.unique(_pair_keys(points, pairs), return_inverse=True)
    of_lasts, last = np.unique(points[lasts], return_inverse=True)
    found = [
        pa.array(_latin(points, kinds), pa.string()),
        _texts(of_pairs).take(pa.array(pair)),
        _texts(of_lasts).take(pa.array(last)),
    ]
    return pa.concat_arrays(found), np.concatenate([at[begins], at[pairs], at[lasts]])


def _joined(texts: pa.StringArray) -> str:
    return pc.binary_join(pa.ListArray.from_arrays([0, len(texts)], texts), "\n")[0].as_py()


def _latin(points: np.ndarray, kinds: np.ndarray) -> list[str]:
    """Return the LATIN runs, in their order."""
    return np.where(kinds == LATIN, points, _SPACE).astype("<u4").tobytes().decode("utf-32-le").split()


def _cjk(kinds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where pairs of CJK characters begin, and where the last characters of CJK runs are."""
    cjk = kinds == CJK
    return np.flatnonzero(cjk[:-1] & cjk[1:]), np.flatnonzero(cjk[:-1] & ~cjk[1:])


def _pair_keys(points: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    return points[pairs].astype(np.uint64) << np.uint64(32) | points[pairs + 1]


def _texts(keys: np.ndarray) -> pa.StringArray:
    """Return the texts of distinct code points (uint32) or pairs of them (uint64, the first one above)."""
    # A Python step per distinct pair, not per line.
    if keys.dtype == np.uint64:
        flat = np.stack([keys >> np.uint64(32), keys & np.uint64(0xFFFFFFFF)], axis=1).astype("<u4")
        text = flat.tobytes().decode("utf-32-le")
        return pa.array([text[i : i + 2] for i in range(0, len(text), 2)], pa.string())
    return pa.array(list(keys.astype("<u4").tobytes().decode("utf-32-le")), pa.string())
