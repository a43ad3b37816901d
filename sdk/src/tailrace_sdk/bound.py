"""A plain logger with fields.

log = get_logger(service="shop")
log.info("paid", order=42)
log.bind(user=7).error("refused")
"""

from __future__ import annotations

import sys
from typing import Any

from tailrace_sdk.exception import told
from tailrace_sdk.realtime import get_realtime_logger
from tailrace_sdk.writer import AsyncLogWriter


class BoundLogger:
    """Fields, and the writer they go to with each message. Never changes: ``bind`` gives another one."""

    __slots__ = ("_fields", "_writer")

    def __init__(self, writer: AsyncLogWriter | None = None, **fields: Any) -> None:
        """Log to a writer, or to the logger of the process."""
        self._writer = writer
        self._fields = fields

    def bind(self, **fields: Any) -> BoundLogger:
        """Return a logger with more fields."""
        return BoundLogger(self._writer, **{**self._fields, **fields})

    def log(self, level: str, message: str, **fields: Any) -> bool:
        """Log a message; False when it was dropped."""
        return (self._writer or get_realtime_logger()).log(
            {"level": level, "message": message, **self._fields, **fields}
        )

    def trace(self, message: str, **fields: Any) -> bool:
        """Log at level trace."""
        return self.log("trace", message, **fields)

    def debug(self, message: str, **fields: Any) -> bool:
        """Log at level debug."""
        return self.log("debug", message, **fields)

    def info(self, message: str, **fields: Any) -> bool:
        """Log at level info."""
        return self.log("info", message, **fields)

    def warning(self, message: str, **fields: Any) -> bool:
        """Log at level warn."""
        return self.log("warn", message, **fields)

    def error(self, message: str, **fields: Any) -> bool:
        """Log at level error."""
        return self.log("error", message, **fields)

    def critical(self, message: str, **fields: Any) -> bool:
        """Log at level fatal."""
        return self.log("fatal", message, **fields)

    def exception(self, message: str, **fields: Any) -> bool:
        """Log at level error, with the exception that is being handled."""
        return self.error(message, **{**told(sys.exc_info()[1]), **fields})


def get_logger(writer: AsyncLogWriter | None = None, **fields: Any) -> BoundLogger:
    """Return a logger with fields."""
    return BoundLogger(writer, **fields)
