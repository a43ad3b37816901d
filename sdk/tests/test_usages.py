"""The seven ways such a logger is used, as people write them."""

import asyncio
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tailrace_sdk import AsyncLogWriter, LogReader, RealtimeLogger, RealtimeLogIntegrator, Schema


def test_basic_use(tmp_path):
    logger = RealtimeLogger(log_dir=str(tmp_path), file_prefix="realtime", buffer_size=1000, auto_flush_interval=5.0)
    for number in range(100):
        assert logger.log({"event": "user_action", "user_id": number, "action": "click"})
    logger.flush()
    stats = logger.get_stats()
    assert (stats["enqueued"], stats["written"], stats["queue_size"]) == (100, 100, 0)
    logger.shutdown()
    found = list(LogReader(str(tmp_path)).records())
    assert [record["user_id"] for record in found] == list(range(100))


def test_integrated_use(run, tmp_path):
    program = """
from tailrace_sdk import get_log_integrator, get_realtime_logger, log_realtime
integrator = get_log_integrator()
for number in range(100):
    log_realtime({"level": "info", "message": "request served", "operation": "serve", "user": number})
assert get_realtime_logger().flush()
stats = integrator.get_stats()
assert stats["total_logs"] == stats["structured_logs"] == stats["realtime_logs"] == stats["realtime_written"] == 100
assert stats["validation_errors"] == 0
assert stats["uptime"] >= 0
"""
    run(program, TAILRACE_LOG_DIR=str(tmp_path))
    assert LogReader(str(tmp_path)).summary()["serve"].count == 100


def test_the_decorator(run, tmp_path):
    program = """
import asyncio, time
from tailrace_sdk import realtime_log

@realtime_log("resize", module="video")
def resize(width):
    time.sleep(0.002)
    return width // 2

@realtime_log("fetch")
async def fetch(url):
    await asyncio.sleep(0.002)
    raise ConnectionError(url)

@realtime_log("frames")
def frames(count):
    yield from range(count)

assert resize(640) == 320
assert list(frames(5)) == [0, 1, 2, 3, 4]
try:
    asyncio.run(fetch("http://x"))
except ConnectionError:
    pass
"""
    run(program, TAILRACE_LOG_DIR=str(tmp_path))
    resize, frames, fetch = LogReader(str(tmp_path)).records()
    assert (resize["result"], resize["module"], resize["status"]) == (320, "video", "ok")
    assert resize["duration_ms"] >= 2
    assert frames["items"] == 5
    assert (fetch["status"], fetch["error_type"], fetch["error"]) == ("error", "ConnectionError", "http://x")
    assert "in fetch" in fetch["traceback"]


def test_custom_use(tmp_path):
    schema = Schema(required=("message", "order"), types={"order": int}, levels=("info", "error"))
    with RealtimeLogger(str(tmp_path), "orders", max_queue_size=50_000, fields={"service": "shop"}) as logger:
        integrator = RealtimeLogIntegrator(True, True, schema=schema, logger=logger)
        integrator.log_structured("info", "paid", order=42)
        integrator.log_structured("info", "paid", order="many")
        integrator.log_structured("debug", "looked", order=1)
        integrator.flush()
        assert integrator.get_stats()["validation_errors"] == 2
    found = list(LogReader(str(tmp_path), "orders").records())
    assert [record.get("invalid") for record in found] == [None, ["order is str, not int"], ["'debug' is no level"]]
    assert {record["service"] for record in found} == {"shop"}


def test_concurrent_video_workers(tmp_path):
    integrator = RealtimeLogIntegrator(log_dir=str(tmp_path), max_queue_size=100_000)

    def detect(camera, frame):
        if frame % 100 == 99:
            raise ValueError(f"frame {frame} of camera {camera} is torn")
        return frame % 7

    def watch(camera):
        timed = integrator.realtime_log("detect", camera=camera)(detect)
        for frame in range(500):
            try:
                timed(camera, frame)
            except ValueError:
                integrator.log_realtime(
                    {"level": "warn", "message": "frame left out", "camera": camera, "frame": frame}
                )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(watch, range(8)))
    integrator.shutdown()
    reader = LogReader(str(tmp_path))
    detected = reader.summary()["detect"]
    assert (detected.count, detected.errors) == (4000, 40)
    assert detected.p99_ms is not None
    assert len(list(reader.records(text="left out"))) == 40
    stats = integrator.get_stats()
    assert stats["total_logs"] == stats["realtime_written"] == 4040


def test_a_resource_monitor(tmp_path, until):
    resource = pytest.importorskip("resource")
    with AsyncLogWriter(str(tmp_path), file_prefix="monitor", flush_interval=0.1) as writer:
        stop = threading.Event()

        def monitor():
            while not stop.wait(0.005):
                used = resource.getrusage(resource.RUSAGE_SELF)
                writer.log(
                    {"operation": "monitor", "cpu_s": used.ru_utime + used.ru_stime, "memory_kib": used.ru_maxrss}
                )

        thread = threading.Thread(target=monitor)
        thread.start()
        reader = LogReader(str(tmp_path), "monitor")
        until(lambda: len(list(reader.records())) >= 5)  # while it runs
        stop.set()
        thread.join()
    records = list(reader.records())
    assert all(one["cpu_s"] <= other["cpu_s"] for one, other in zip(records, records[1:]))
    assert records[0]["memory_kib"] > 0


def test_error_tracking(tmp_path):
    integrator = RealtimeLogIntegrator(log_dir=str(tmp_path))
    chance = random.Random(7)

    @integrator.realtime_log("charge")
    async def charge(order):
        await asyncio.sleep(0)
        if chance.random() < 0.3:
            raise (KeyError if order % 2 else TimeoutError)(f"order {order}")

    async def main():
        return await asyncio.gather(*map(charge, range(200)), return_exceptions=True)

    failed = [result for result in asyncio.run(main()) if result]
    integrator.shutdown()
    reader = LogReader(str(tmp_path))
    assert sum(reader.errors().values()) == reader.summary()["charge"].errors == len(failed) > 0
    assert set(reader.errors()) == {"KeyError", "TimeoutError"}
    assert all("in charge" in record["traceback"] for record in reader.records(level="error"))
    assert reader.export(str(tmp_path / "errors.csv"), level="error") == len(failed)
