"""What programs log with, set up as people do: each gives a call that logs the n-th message, and one that waits."""

from __future__ import annotations

import logging
import logging.handlers
import os
import queue
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
Contestant = tuple[Callable[[int], Any], Callable[[], Any]]
"""Logs the n-th message; waits until what was logged is written."""
SLOW_SERVER = """
import http.server, time
class Slow(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(1)
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")
    def log_message(self, *_): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Slow)
print(server.server_port, flush=True)
server.serve_forever()
"""


def nothing() -> None:
    """Wait for nothing: the call has written already."""


def sdk(place: Path) -> Contestant:
    from tailrace_sdk import RealtimeLogger

    logger = RealtimeLogger(str(place))
    log = logger.log
    return (
        lambda n: log({"level": "info", "message": "order taken", "operation": "checkout", "order": n, "user": 77}),
        logger.flush,
    )


def bound(place: Path) -> Contestant:
    from tailrace_sdk import RealtimeLogger, get_logger

    writer = RealtimeLogger(str(place))
    info = get_logger(writer, operation="checkout").info
    return lambda n: info("order taken", order=n, user=77), writer.flush


def handler(place: Path) -> Contestant:
    from tailrace_sdk import RealtimeHandler

    one = RealtimeHandler(log_dir=str(place))
    return standard(one), one.writer.flush


def standard(one: logging.Handler) -> Callable[[int], Any]:
    one.setFormatter(one.formatter or None)
    logger = logging.getLogger("bench")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(one)
    return lambda n: logger.info("order %d of user %d taken", n, 77)


def file_handler(place: Path) -> Contestant:
    one = logging.FileHandler(place / "log")
    one.setFormatter(logging.Formatter(FORMAT))
    return standard(one), nothing


def queue_handler(place: Path) -> Contestant:
    one = logging.FileHandler(place / "log")
    one.setFormatter(logging.Formatter(FORMAT))
    waiting: queue.Queue[Any] = queue.Queue(10_000)
    logging.handlers.QueueListener(waiting, one).start()

    def drain() -> None:
        while not waiting.empty():
            time.sleep(0.001)

    return standard(logging.handlers.QueueHandler(waiting)), drain


def structlog(place: Path) -> Contestant:
    import structlog

    file = (place / "log").open("w")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(file),
        cache_logger_on_first_use=True,
    )
    info = structlog.get_logger().info
    return lambda n: info("order taken", operation="checkout", order=n, user=77), file.flush


def loguru(place: Path) -> Contestant:
    from loguru import logger

    logger.remove()
    logger.add(place / "log")
    return lambda n: logger.info("order {} of user {} taken", n, 77), nothing


def picologging(place: Path) -> Contestant:
    import picologging as pico

    one = pico.FileHandler(str(place / "log"))
    one.setFormatter(pico.Formatter(FORMAT))
    logger = pico.getLogger("bench")
    logger.setLevel(pico.INFO)
    logger.addHandler(one)
    return lambda n: logger.info("order %d of user %d taken", n, 77), nothing


def troubled(**options: Any) -> Contestant:
    """Return a logger that cannot write everything; what it was given must be counted."""
    from tailrace_sdk import RealtimeLogger

    logger = RealtimeLogger(**options)
    given = 0

    def log(n: int) -> None:
        nonlocal given
        given += 1
        logger.log({"level": "info", "message": "order taken", "operation": "checkout", "order": n, "user": 77})

    def drain() -> None:
        while (stats := logger.get_stats())["queue_size"]:
            time.sleep(0.001)
        assert stats["enqueued"] + stats["queue_full_events"] == given, stats

    return log, drain


def server_down(place: Path) -> Contestant:
    os.environ["XDG_STATE_HOME"] = str(place)
    return troubled(server="http://127.0.0.1:1")


def server_slow(place: Path) -> Contestant:
    os.environ["XDG_STATE_HOME"] = str(place)
    server = subprocess.Popen([sys.executable, "-c", SLOW_SERVER], stdout=subprocess.PIPE)
    BEGUN.append(server)
    assert server.stdout
    return troubled(server=f"http://127.0.0.1:{int(server.stdout.readline())}")


def disk_full(place: Path) -> Contestant:
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    return troubled(log_dir=str(place))


def no_permission(_place: Path) -> Contestant:
    return troubled(log_dir="/proc/none")


BEGUN: list[subprocess.Popen[bytes]] = []
CONTESTANTS = {
    one.__name__: one for one in (sdk, bound, handler, file_handler, queue_handler, structlog, loguru, picologging)
}
TROUBLES = {one.__name__: one for one in (server_down, server_slow, disk_full, no_permission)}
