"""A handler for the standard `logging`: what a LogRecord says becomes the fields of a record.

    logging.config.dictConfig({"version": 1, "root": {"level": "INFO", "handlers": ["tailrace"]},
        "handlers": {"tailrace": {"class": "tailrace_sdk.RealtimeHandler", "log_dir": "logs"}}})

The message is made in the calling thread, because its arguments may change afterwards, and so are tracebacks. `extra`
becomes fields. The handler has no lock, and no formatter unless one is set, whose text is then the message. What it
does itself never logs.
"""

from __future__ import annotations

import logging
from typing import Any

from tailrace_sdk.exception import told
from tailrace_sdk.levels import level_name
from tailrace_sdk.plain import text_of
from tailrace_sdk.realtime import RealtimeLogger, get_realtime_logger
from tailrace_sdk.writer import AsyncLogWriter

_KNOWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_KNOWN_MIN = len(vars(logging.makeLogRecord({})))
_LEVELS = {number: level_name(number) for number in (5, 10, 20, 30, 40, 50)}


class RealtimeHandler(logging.Handler):
    """Gives records to a writer."""

    def __init__(self, writer: AsyncLogWriter | None = None, level: int | str = logging.NOTSET, **options: Any) -> None:
        """Give them to ``writer``, one made with ``options`` (of ``RealtimeLogger``), or that of the process."""
        super().__init__(level)
        self.writer = writer or (RealtimeLogger(**options) if options else get_realtime_logger())
        self._own = writer is None and bool(options)

    def handle(self, record: logging.LogRecord) -> bool:  # type: ignore[override]
        """Filter and emit, without the lock of the handler: the queue needs none."""
        kept: Any = self.filter(record)
        if kept:
            self.emit(kept if isinstance(kept, logging.LogRecord) else record)
        return bool(kept)

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record; one whose message cannot be made says so. Never raises."""
        try:
            self.writer.log_at(int(record.created * 1e9), self._fields(record))
        except Exception as error:  # noqa: BLE001 - wrong arguments of a message must not end a program
            said = f"{type(error).__name__}: {error}"
            self.writer.log({"level": "error", "message": text_of(record.msg), "logger": record.name, "invalid": said})

    def setFormatter(self, fmt: logging.Formatter | None) -> None:  # noqa: N802 - its name in the standard library
        """Take a formatter, but not the one `basicConfig` gives every handler, which says level and name again."""
        plain = fmt is not None and getattr(fmt, "_fmt", None) == logging.BASIC_FORMAT
        super().setFormatter(None if plain else fmt)

    def flush(self) -> None:
        """Do nothing: `logging` calls this often, and may not wait. The writer's ``flush`` waits."""

    def close(self) -> None:
        """Write what waits, and end the writer when it was made here."""
        if self._own:
            self.writer.shutdown()
        else:
            self.writer.flush()
        super().close()

    def _fields(self, record: logging.LogRecord) -> dict[str, Any]:
        if self.formatter is not None:
            message = self.formatter.format(record)
        elif record.args:
            message = record.getMessage()
        else:
            message = record.msg if isinstance(record.msg, str) else str(record.msg)
        fields: dict[str, Any] = {
            "level": _LEVELS.get(record.levelno) or level_name(record.levelno),
            "message": message,
            "logger": record.name,
            "code": f"{record.pathname}:{record.lineno}",
        }
        if len(record.__dict__) > _KNOWN_MIN:
            for name, value in record.__dict__.items():
                if name not in _KNOWN:
                    fields.setdefault(name, value)
        if record.exc_info and record.exc_info[0] is not None:
            fields.update(told(*record.exc_info[1:]))
        if record.stack_info:
            fields["stack"] = record.stack_info
        return fields
