"""Text from bytes: lines that are not UTF-8 stay readable, and recoverable."""

from __future__ import annotations

import base64

import pyarrow as pa


def decode(lines: pa.Array) -> tuple[pa.StringArray, dict[int, str]]:
    r"""Return the lines as text, and the base64 of those that were not valid UTF-8, by row.

    Valid lines are checked all at once and share the memory of ``lines``. In the others each bad byte is ``\xHH``.
    """
    try:
        return lines.cast(pa.string()), {}
    except pa.ArrowInvalid:
        pass
    bad: list[int] = []
    _find(lines, 0, len(lines), bad)
    texts = lines.to_pylist()
    raw: dict[int, str] = {}
    for row in bad:
        raw[row] = base64.b64encode(texts[row]).decode()
        texts[row] = texts[row].decode("utf-8", "backslashreplace").encode()
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
