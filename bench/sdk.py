"""What does logging cost the program? The SDK beside what people use, each in a process of its own, to a file.

The latency is that of single calls, in bursts of BURST with a pause until everything is written, so nobody is measured
while he drops; the clock's own cost (about 0.1 us here) is in all of them. Sustained is one thread that logs as fast as
records are written.
"""

from __future__ import annotations

import contextlib
import importlib.util
import json
import logging
import logging.handlers
import queue
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.figure import figure

BURST = 1_000
BURSTS = 100
SUSTAINED = 1_000_000
FORMAT = "%(asctime)s %(levelname)s %(name)s %(message)s"
Contestant = tuple[Callable[[int], Any], Callable[[], Any]]
"""Logs the n-th message; waits until what was logged is written."""


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


CONTESTANTS = {
    one.__name__: one for one in (sdk, bound, handler, file_handler, queue_handler, structlog, loguru, picologging)
}


def latency(name: str) -> dict[str, float]:
    """Return median and p99 of one call, in microseconds. Runs in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        log, drain = CONTESTANTS[name](Path(place))
        clock = time.perf_counter_ns
        took: list[int] = []
        for burst in range(BURSTS + 1):
            if burst == 1:
                took.clear()  # the first burst opens files and starts threads
            for n in range(BURST):
                before = clock()
                log(n)
                took.append(clock() - before)
            drain()
    took.sort()
    return {"median": took[len(took) // 2] / 1e3, "p99": took[int(len(took) * 0.99)] / 1e3}


def sustained() -> dict[str, float]:
    """Return records/s from one process to a file, and its peak of memory. Runs in a process of its own."""
    from tailrace_sdk import AsyncLogWriter

    with tempfile.TemporaryDirectory() as place:
        writer = AsyncLogWriter(place, block_s=60)
        log, started = writer.log, time.perf_counter()
        for n in range(SUSTAINED):
            log({"level": "info", "message": "order taken", "operation": "checkout", "order": n, "user": 77})
        writer.flush(60)
        took = time.perf_counter() - started
        writer.shutdown()
        stats = writer.get_stats()
        assert (stats["written"], stats["queue_full_events"]) == (SUSTAINED, 0), stats
    return {"rate": SUSTAINED / took, "peak_kib": peak_kib()}


def peak_kib() -> float:
    """Return the peak of this process's memory."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("VmHWM:")))


def apart(code: str) -> dict[str, float]:
    """Run an expression of this module in a process of its own."""
    program = f"import json; from bench import sdk; print(json.dumps(sdk.{code}))"
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, cwd=Path(__file__).parents[1]
    )
    return json.loads(done.stdout)


def bare(code: str) -> float:
    """Run code in an interpreter that has nothing else, and return the number it prints."""
    return float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout)


PEAK = "print(next(l.split()[1] for l in open('/proc/self/status') if l.startswith('VmHWM')))"
IMPORT = """
import time
t = time.perf_counter()
import tailrace_sdk
tailrace_sdk.RealtimeLogger
print(time.perf_counter() - t)
"""
MEMORY = """
import tempfile
from tailrace_sdk import RealtimeLogger
with tempfile.TemporaryDirectory() as place:
    logger = RealtimeLogger(place, block_s=60)
    for n in range(200_000):
        logger.log({"level": "info", "message": "order taken", "operation": "checkout", "order": n, "user": 77})
    logger.shutdown(60)
"""


def main() -> None:
    """Measure everybody, then the SDK alone."""
    found: dict[str, dict[str, float]] = {}
    for name in CONTESTANTS:
        if name == "picologging" and not importlib.util.find_spec("picologging"):
            print(f"no wheel of picologging for Python {sys.version_info[0]}.{sys.version_info[1]}", file=sys.stderr)
            continue
        runs = [apart(f"latency({name!r})") for _ in range(3)]
        found[name] = {key: min(run[key] for run in runs) for key in ("median", "p99")}
        asked = {"median": 1.5, "p99": 10.0} if name == "sdk" else {}
        for key, value in found[name].items():
            figure(f"log_{name}_{key}", value, "us", asked=asked.get(key))
    ours = found["sdk"]["median"]
    figure("log_faster_than_file_handler", found["file_handler"]["median"] / ours, "x", asked=8, better="more")
    figure("log_faster_than_loguru", found["loguru"]["median"] / ours, "x", asked=15, better="more")
    rates = [apart("sustained()")["rate"] for _ in range(3)]
    figure("log_sustained", max(rates), "records/s", asked=250_000, better="more")
    over = bare(MEMORY + PEAK) - bare(PEAK)
    figure("log_memory_over_bare", over / 1024, "MiB", asked=40)
    with contextlib.suppress(statistics.StatisticsError):
        figure("log_import", statistics.median(bare(IMPORT) for _ in range(9)) * 1000, "ms", asked=30)
