"""The logger most programs use: one writer, its sinks chosen by arguments, and one for the whole process."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from tailrace_sdk.sink import Sink
from tailrace_sdk.writer import AsyncLogWriter


class RealtimeLogger(AsyncLogWriter):
    """Records to files, a Tailrace server and standard output, any of them together.

        with RealtimeLogger("logs", server="http://127.0.0.1:7800", fields={"service": "shop"}) as logger:
            logger.log({"level": "info", "message": "paid", "order": 42})

    ``buffer_size`` records are written together at most, ``auto_flush_interval`` seconds is the most that one waits; as
    a rule it is 10 milliseconds. ``get_stats`` and all other methods are those of ``AsyncLogWriter``.
    """

    def __init__(
        self,
        log_dir: str | None = None,
        file_prefix: str = "realtime",
        buffer_size: int = 1000,
        auto_flush_interval: float = 5.0,
        *,
        server: str | None = None,
        stdout: bool = False,
        sinks: Iterable[Sink] = (),
        fields: Mapping[str, Any] | None = None,
        max_queue_size: int = 10_000,
        retry_interval: float = 0.5,
        max_retries: int = 3,
        block_s: float = 0.0,
    ) -> None:
        """Write to ``log_dir``, push to ``server``, print to ``stdout``, and whatever else is in ``sinks``.

        With a server every record says its ``host``; in files Tailrace adds it.
        """
        more: list[Sink] = [*sinks]
        if server is not None:
            import socket

            from tailrace_sdk.server import ServerSink

            more.append(ServerSink(server))
            fields = {"host": socket.gethostname(), **(fields or {})}
        if stdout:
            from tailrace_sdk.stdout import StdoutSink

            more.append(StdoutSink())
        super().__init__(
            log_dir,
            file_prefix,
            max(max_queue_size, buffer_size),
            auto_flush_interval,
            retry_interval,
            max_retries,
            sinks=more,
            fields=fields,
            batch_size=buffer_size,
            block_s=block_s,
        )


_making = threading.Lock()
_logger: RealtimeLogger | None = None


def get_realtime_logger(log_dir: str | None = None, file_prefix: str = "realtime", **options: Any) -> RealtimeLogger:
    """Return the logger of this process; the first call makes it, with the arguments of ``RealtimeLogger``.

    Without any it writes to the directory TAILRACE_LOG_DIR, or `logs`, and pushes to TAILRACE_SERVER where that is set.
    """
    global _logger  # noqa: PLW0603 - one for the process is what it is for
    with _making:
        if _logger is None or _logger.is_shut_down:
            if log_dir is None and not options.get("sinks"):
                log_dir = os.environ.get("TAILRACE_LOG_DIR") or "logs"
            options.setdefault("server", os.environ.get("TAILRACE_SERVER"))
            _logger = RealtimeLogger(log_dir, file_prefix, **options)
        return _logger


def _after_fork() -> None:
    global _making  # noqa: PLW0603 - another thread of the parent may have held it
    _making = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
