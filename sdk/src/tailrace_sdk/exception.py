"""What a record says of an exception: its type, its text, its traceback, whoever reports it."""

from __future__ import annotations

import traceback
from types import TracebackType
from typing import Any

from tailrace_sdk.plain import text_of


def told(error: Any, trace: TracebackType | None = None) -> dict[str, Any]:
    """Return the fields of an exception; its traceback is ``trace``, or its own. Nothing for what is none."""
    if not isinstance(error, BaseException):
        return {}
    try:
        lines = traceback.format_exception(type(error), error, trace or error.__traceback__)
    except Exception:  # noqa: BLE001 - the text of an exception is the program's, and may raise another
        lines = traceback.format_tb(trace or error.__traceback__)
    return {"error_type": type(error).__name__, "error": text_of(error), "traceback": "".join(lines)}
