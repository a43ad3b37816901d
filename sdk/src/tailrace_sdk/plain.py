"""What JSON can hold, of any object: never raises, never follows a cycle, never becomes large."""

from __future__ import annotations

import math
from collections.abc import Mapping, Set
from typing import Any

from tailrace_sdk.limits import DEPTH_MAX, ITEMS_MAX, TEXT_CHARACTERS_MAX
from tailrace_sdk.mask import MASKED, is_secret


def text_of(value: Any, characters: int = TEXT_CHARACTERS_MAX) -> str:
    """Return the text of an object, cut; its type where it has none."""
    try:
        text = str(value) if isinstance(value, (str, BaseException)) else repr(value)
    except Exception:  # noqa: BLE001 - whatever it raises, the program must not notice
        text = f"<{type(value).__name__}>"
    return text if len(text) <= characters else text[: characters - 1] + "…"


def default(value: Any) -> Any:
    """Return what stands in JSON for an object that JSON does not know."""
    try:
        return _known(value)
    except Exception:  # noqa: BLE001 - as above
        return text_of(value)


def _known(value: Any) -> Any:  # noqa: PLR0911 - a kind of object each
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value[:TEXT_CHARACTERS_MAX]).decode("utf-8", "backslashreplace")
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {text_of(value)}"
    if isinstance(value, Mapping):
        return plain(value)
    if isinstance(value, Set):
        return plain(value)
    for method in ("isoformat", "__fspath__", "tolist"):  # dates, paths, numpy
        call = getattr(value, method, None)
        if callable(call) and not isinstance(value, type):
            return call() if method != "tolist" or getattr(value, "size", 0) <= ITEMS_MAX else text_of(value)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return plain({name: getattr(value, name, None) for name in fields})
    kind = type(value).__module__
    if kind in ("decimal", "uuid", "ipaddress", "fractions"):
        return str(value)
    if hasattr(value, "_value_") and hasattr(value, "_name_"):  # an enum
        return value._value_
    return text_of(value)


def plain(value: Any, depth: int = 0) -> Any:  # noqa: PLR0911 - a kind of value each
    """Return a copy made of what JSON knows, with its secrets masked; keys become text, what is too deep its name."""
    if value is None or isinstance(value, bool) or type(value) is int:
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return text_of(value)
    if depth >= DEPTH_MAX:
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        items = list(value.items())[:ITEMS_MAX]
        return {
            text_of(key): MASKED if is_secret(key) and inner is not None else plain(inner, depth + 1)
            for key, inner in items
        }
    if isinstance(value, (list, tuple, Set)):
        kept = [plain(item, depth + 1) for item in list(value)[:ITEMS_MAX]]
        return [*kept, f"… {len(value) - ITEMS_MAX} more"] if len(value) > ITEMS_MAX else kept
    try:
        known = _known(value)
    except Exception:  # noqa: BLE001 - as above
        return text_of(value)
    return known if isinstance(known, str) else plain(known, depth + 1)
