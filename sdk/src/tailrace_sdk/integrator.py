"""Structured logging for a whole program: records with a schema, timed functions, and one set of statistics.

    log_realtime({"level": "info", "message": "paid", "order": 42})

    @realtime_log("checkout", team="shop")
    def pay(order): ...

With ``enable_structured_logging`` a record gets what a structured one has (`level` info and a `message` where it has
none). With ``validate`` it is checked against the schema in the calling thread, which takes a microsecond or two; one
with faults is counted and still written, with the faults in its field ``invalid``: a log that throws away odd records
hides what one is looking for.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tailrace_sdk.count import Count
from tailrace_sdk.exception import told
from tailrace_sdk.plain import plain
from tailrace_sdk.realtime import RealtimeLogger, get_realtime_logger
from tailrace_sdk.schema import Schema
from tailrace_sdk.timed import timed

F = TypeVar("F", bound=Callable[..., Any])


class RealtimeLogIntegrator:
    """Validates and counts on the way to a ``RealtimeLogger``."""

    def __init__(
        self,
        enable_structured_logging: bool = True,
        validate: bool = True,
        *,
        schema: Schema | None = None,
        logger: RealtimeLogger | None = None,
        **options: Any,
    ) -> None:
        """Log to ``logger``, one made with ``options`` (of ``RealtimeLogger``), or that of the process."""
        self._structured = enable_structured_logging
        self._schema = schema if schema is not None else Schema()
        self._validate = validate
        self._logger = logger or (RealtimeLogger(**options) if options else get_realtime_logger())
        self._own = logger is None and bool(options)
        self._total, self._structured_count, self._passed, self._invalid = Count(), Count(), Count(), Count()
        self._started = time.time()

    def log_realtime(self, record: Mapping[str, Any]) -> bool:
        """Log a record; False when it was dropped. Never raises."""
        self._total.add()
        try:
            given: dict[str, Any] = dict(record)
        except Exception:  # noqa: BLE001 - it was no mapping
            simple = plain(record)
            given = {"message": simple if isinstance(simple, str) else str(simple)}
        if self._structured:
            self._structured_count.add()
            self._complete(given)
        if not self._logger.log(given):
            return False
        self._passed.add()
        return True

    def log_structured(self, level: str, message: str, **fields: Any) -> bool:
        """Log a message with a level and fields."""
        return self.log_realtime({"level": level, "message": message, **fields})

    def log_error(self, error: BaseException, message: str = "", **fields: Any) -> bool:
        """Log an exception with its traceback."""
        said = told(error)
        message = message or f"{said['error_type']}: {said['error']}"
        return self.log_realtime({"level": "error", "message": message, **said, **fields})

    def realtime_log(self, operation: str, **fields: Any) -> Callable[[F], F]:
        """Return a decorator that logs every call of a function, coroutine or generator."""
        return timed(lambda: self.log_realtime, operation, fields)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until everything logged before is written."""
        return self._logger.flush(timeout)

    def shutdown(self, timeout: float = 5.0) -> bool:
        """Write what waits; ends the logger when it was made here."""
        return self._logger.shutdown(timeout) if self._own else self._logger.flush(timeout)

    def get_stats(self) -> dict[str, Any]:
        """Return the counters, times in seconds, and those of the logger with `realtime_` before their names."""
        return {
            "total_logs": self._total.value(),
            "structured_logs": self._structured_count.value(),
            "realtime_logs": self._passed.value(),
            "validation_errors": self._invalid.value(),
            "start_time": self._started,
            "uptime": time.time() - self._started,
            **{f"realtime_{name}": value for name, value in self._logger.get_stats().items()},
        }

    def __enter__(self) -> RealtimeLogIntegrator:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Shut down."""
        self.shutdown()

    def _complete(self, record: dict[str, Any]) -> None:
        if self._validate:
            try:
                faults = self._schema.faults(record)
            except Exception as error:  # noqa: BLE001 - a value may raise anything when it is looked at
                faults = [f"it cannot be checked: {type(error).__name__}"]
            if faults:
                self._invalid.add()
                record["invalid"] = faults
        if record.get("level") is None:
            record["level"] = "info"
        if record.get("message") is None and isinstance(record.get("operation"), str):
            record["message"] = record["operation"]


_making = threading.Lock()
_integrator: RealtimeLogIntegrator | None = None


def get_log_integrator(**options: Any) -> RealtimeLogIntegrator:
    """Return the integrator of this process; the first call makes it, with the arguments of its class."""
    global _integrator  # noqa: PLW0603 - one for the process is what it is for
    with _making:
        if _integrator is None:
            _integrator = RealtimeLogIntegrator(**options)
        return _integrator


def log_realtime(record: Mapping[str, Any]) -> bool:
    """Log a record with the integrator of this process; False when it was dropped."""
    return (_integrator or get_log_integrator()).log_realtime(record)


def realtime_log(operation: str, **fields: Any) -> Callable[[F], F]:
    """Return a decorator that logs every call with the integrator of this process: duration, result, error."""
    return timed(lambda: log_realtime, operation, fields)


def _after_fork() -> None:
    global _making  # noqa: PLW0603 - another thread of the parent may have held it
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
