"""loguru: `loguru.logger.add(LoguruSink(logger), format="{message}", enqueue=False)`."""

from __future__ import annotations

from typing import Any

from tailrace_sdk.exception import told
from tailrace_sdk.levels import level_name
from tailrace_sdk.realtime import get_realtime_logger
from tailrace_sdk.writer import AsyncLogWriter


class LoguruSink:
    """A sink that takes what the message was made of, not its text."""

    def __init__(self, writer: AsyncLogWriter | None = None) -> None:
        """Log to a writer, or to the logger of the process."""
        self._writer = writer or get_realtime_logger()

    def __call__(self, message: Any) -> None:
        """Log a message of loguru; what is bound to it becomes fields."""
        said = message.record
        record = {
            **said["extra"],
            "level": level_name(said["level"].name) or level_name(said["level"].no),
            "message": said["message"],
            "logger": said["name"],
            "code": f"{said['file'].path}:{said['line']}",
        }
        error = said["exception"]
        if error is not None:
            record.update(told(error.value, error.traceback))
        self._writer.log_at(int(said["time"].timestamp() * 1e9), record)
