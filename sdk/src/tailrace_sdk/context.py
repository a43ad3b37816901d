"""Fields that belong to what is being done (a request, a task), whoever logs: kept in a context variable.

    with context_fields(request=17): logger.log({"message": "paid"})      # has request=17, also in what it awaits

The caller only keeps its context, which costs a tenth of a microsecond, and that only once somebody has used such
fields or OpenTelemetry is loaded; what stands in it is looked up by the writer. So trace ids cost the program nothing.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar, Token
from typing import Any

_FIELDS: ContextVar[dict[str, Any] | None] = ContextVar("tailrace_fields", default=None)


class Capture:
    """Whether records have to keep the context they were logged in. One for the process; never goes back to False."""

    on = False

    @classmethod
    def look(cls) -> None:
        """Turn it on when OpenTelemetry is there."""
        if not cls.on and "opentelemetry.trace" in sys.modules:
            cls.on = True


def bind_context(**fields: Any) -> Token[dict[str, Any] | None]:
    """Add fields to every record that is logged in this context from now on; gives what ``unbind_context`` takes."""
    Capture.on = True
    return _FIELDS.set({**(_FIELDS.get() or {}), **fields})


def unbind_context(token: Token[dict[str, Any] | None]) -> None:
    """Take back what a call of ``bind_context`` added."""
    _FIELDS.reset(token)


def clear_context() -> None:
    """Forget all fields of this context."""
    _FIELDS.set(None)


@contextmanager
def context_fields(**fields: Any) -> Iterator[None]:
    """Add fields to every record that is logged inside the block."""
    token = bind_context(**fields)
    try:
        yield
    finally:
        unbind_context(token)


def fields_of(context: Context) -> dict[str, Any]:
    """Return the fields of a context, with the ids of OpenTelemetry's current span where there is one."""
    fields = context.get(_FIELDS) or {}
    trace = sys.modules.get("opentelemetry.trace")
    if trace is not None:
        span = context.run(trace.get_current_span).get_span_context()
        if span.is_valid:
            ids = {"trace_id": format(span.trace_id, "032x"), "span_id": format(span.span_id, "016x")}
            return {**ids, **fields}
    return fields
