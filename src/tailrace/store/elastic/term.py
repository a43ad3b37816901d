"""One term: how a name, a token and a number are written in it (``terms.py`` says what terms there are)."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

import numpy as np
import pyarrow as pa

from tailrace.limits import ELASTIC_NAME_CHARS_MAX, ELASTIC_TOKEN_CHARS_MAX

CUT = "+"
"""Stands among the words, and among the terms, of a record of which a token was cut."""

_KEPT = re.compile(r"[\w.@$/-]+")
_DIGITS = np.frombuffer(b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz", np.uint8)
_SIGN = np.uint64(1 << 63)


@lru_cache(maxsize=65_536)
def term_name(name: str) -> str:
    """Return a field's name as it stands in a term."""
    if len(name) > ELASTIC_NAME_CHARS_MAX:
        return "%" + hashlib.sha256(name.encode()).hexdigest()
    return name if _KEPT.fullmatch(name) else re.sub(r"[^\w.@$/-]", lambda found: f"%{ord(found[0]):x};", name)


def term_token(token: str) -> str:
    """Return a token as it stands in a term."""
    return token[:ELASTIC_TOKEN_CHARS_MAX]


def number_keys(values: np.ndarray) -> pa.StringArray:
    """Return 11 characters for each float64 (no NaN) that sort, byte by byte, as the numbers do."""
    bits = (values + 0.0).view(np.uint64)  # -0.0 becomes 0.0
    ranked = np.where(bits & _SIGN, ~bits, bits | _SIGN)
    shifts = np.array([58, 52, 46, 40, 34, 28, 22, 16, 10, 4], np.uint64)
    digits = np.empty((len(values), 11), np.uint8)
    digits[:, :10] = (ranked[:, None] >> shifts) & np.uint64(63)
    digits[:, 10] = ranked & np.uint64(15)
    ends = np.arange(0, 11 * len(values) + 1, 11, dtype=np.int32)
    return pa.StringArray.from_buffers(len(values), pa.py_buffer(ends), pa.py_buffer(_DIGITS[digits].tobytes()))


def number_term(name: str, value: float) -> str:
    """Return the term of one number in a field."""
    return f"#{term_name(name)}:{number_keys(np.array([value]))[0].as_py()}"
