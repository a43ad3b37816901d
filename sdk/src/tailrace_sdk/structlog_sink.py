"""structlog: the last processor. `structlog.configure(processors=[merge_contextvars, StructlogSink(logger)])`."""

from __future__ import annotations

import sys
from collections.abc import MutableMapping
from typing import Any, NoReturn

from tailrace_sdk.exception import told
from tailrace_sdk.realtime import get_realtime_logger
from tailrace_sdk.writer import AsyncLogWriter


class StructlogSink:
    """A processor that takes the event dict as it is; the last one, since nothing is left for the logger behind it."""

    def __init__(self, writer: AsyncLogWriter | None = None) -> None:
        """Log to a writer, or to the logger of the process."""
        self._writer = writer or get_realtime_logger()

    def __call__(self, _logger: Any, method: str, event: MutableMapping[str, Any]) -> NoReturn:
        """Log an event, and tell structlog that it is done with.

        `event` becomes the message, the method its level where it has none.
        """
        record = dict(event)
        record["message"] = record.pop("event", "")
        record.setdefault("level", "error" if method == "exception" else method)
        error = record.pop("exc_info", None)
        if error:
            error = sys.exc_info()[1] if error is True else error[1] if isinstance(error, tuple) else error
            record.update(told(error))
        self._writer.log(record)
        raise sys.modules["structlog"].DropEvent
