"""Logging for programs that log a lot and must not notice: `get_realtime_logger().log({...})` takes a microsecond.

Nothing but the standard library is needed. What a program does not use is not even imported.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace_sdk.bound import BoundLogger, get_logger
    from tailrace_sdk.context import bind_context, clear_context, context_fields, unbind_context
    from tailrace_sdk.files import FileSink
    from tailrace_sdk.handler import RealtimeHandler
    from tailrace_sdk.integrator import RealtimeLogIntegrator, get_log_integrator, log_realtime, realtime_log
    from tailrace_sdk.loguru_sink import LoguruSink
    from tailrace_sdk.reader import LogReader, Summary
    from tailrace_sdk.realtime import RealtimeLogger, get_realtime_logger
    from tailrace_sdk.schema import Schema
    from tailrace_sdk.server import ServerSink
    from tailrace_sdk.stdout import StdoutSink
    from tailrace_sdk.structlog_sink import StructlogSink
    from tailrace_sdk.writer import AsyncLogWriter

__version__ = "0.1.0"

__all__ = [
    "AsyncLogWriter",
    "BoundLogger",
    "FileSink",
    "LogReader",
    "LoguruSink",
    "RealtimeHandler",
    "RealtimeLogIntegrator",
    "RealtimeLogger",
    "Schema",
    "ServerSink",
    "StdoutSink",
    "StructlogSink",
    "Summary",
    "bind_context",
    "clear_context",
    "context_fields",
    "get_log_integrator",
    "get_logger",
    "get_realtime_logger",
    "log_realtime",
    "realtime_log",
    "unbind_context",
]

_PLACES = {
    "AsyncLogWriter": "writer",
    "BoundLogger": "bound",
    "FileSink": "files",
    "LogReader": "reader",
    "LoguruSink": "loguru_sink",
    "RealtimeHandler": "handler",
    "RealtimeLogIntegrator": "integrator",
    "RealtimeLogger": "realtime",
    "Schema": "schema",
    "ServerSink": "server",
    "StdoutSink": "stdout",
    "StructlogSink": "structlog_sink",
    "Summary": "reader",
    "bind_context": "context",
    "clear_context": "context",
    "context_fields": "context",
    "get_log_integrator": "integrator",
    "get_logger": "bound",
    "get_realtime_logger": "realtime",
    "log_realtime": "integrator",
    "realtime_log": "integrator",
    "unbind_context": "context",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f"{__name__}.{place}"), name)
    return value
