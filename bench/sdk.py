"""What does logging cost the program? The SDK beside what people use, each in a process of its own, to a file.

The latency is that of single calls, in bursts of BURST with a pause until everything is written, so nobody is measured
while he drops; the clock's own cost (about 0.1 us here) is in all. CPU is what a call costs the process, all its
threads included. Paced is PACED records a second while the writer works beside. Sustained is one thread that logs as
fast as records are written. Then the same calls while the server is down or slow, the disk is full or forbidden, and an
outage of OUTAGE_S of a real server, in which 20 calls follow each rest of 10 ms.

Each record once: PROCESSES of THREADS that log RECORDS each into the same files, which are set aside as they fill.
"""

from __future__ import annotations

import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.figure import figure
from bench.loggers import BEGUN, CONTESTANTS, TROUBLES
from bench.process import free_port, tailrace

BURST = 1_000
BURSTS = 100
PACED = 20_000
SUSTAINED = 1_000_000
PROCESSES, THREADS, RECORDS = 4, 8, 100_000
KILLS = 5
OUTAGE_S = 60
RUNS = 3


def percentiles(took: list[int]) -> dict[str, float]:
    """Return median and p99 of nanoseconds, in microseconds."""
    took.sort()
    return {"median": took[len(took) // 2] / 1e3, "p99": took[int(len(took) * 0.99)] / 1e3}


def latency(name: str) -> dict[str, float]:
    """Measure single calls. Runs in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        log, drain = {**CONTESTANTS, **TROUBLES}[name](Path(place))
        clock = time.perf_counter_ns
        took: list[int] = []
        cpu = 0.0
        for burst in range(BURSTS + 1):
            if burst == 1:  # the first burst opens files and starts threads
                took.clear()
                cpu = time.process_time()
            for n in range(BURST):
                before = clock()
                log(n)
                took.append(clock() - before)
            drain()
        cpu = time.process_time() - cpu
        for process in BEGUN:
            process.kill()
            process.wait()
        return {**percentiles(took), "cpu": cpu / len(took) * 1e6}


def paced(name: str) -> dict[str, float]:
    """Measure calls while the writer is at work all the time. Runs in a process of its own."""
    with tempfile.TemporaryDirectory() as place:
        log, drain = CONTESTANTS[name](Path(place))
        clock = time.perf_counter_ns
        took: list[int] = []
        ends = time.monotonic() + 5
        while time.monotonic() < ends:
            for n in range(PACED // 1000):
                before = clock()
                log(n)
                took.append(clock() - before)
            time.sleep(0.001)
        drain()
        return percentiles(took)


def outage() -> dict[str, float]:
    """Log to a server that is away for OUTAGE_S; return what calls took meanwhile, and what is not stored once."""
    from tailrace_sdk import LogReader, RealtimeLogger

    with tempfile.TemporaryDirectory() as place:
        os.environ["XDG_STATE_HOME"] = place
        data, port = Path(place, "data"), free_port()
        url = f"http://127.0.0.1:{port}"
        logger = RealtimeLogger(server=url)
        took: list[int] = []

        def log_for(seconds: float) -> None:
            ends = time.monotonic() + seconds
            while time.monotonic() < ends:
                for _ in range(20):
                    before = time.perf_counter_ns()
                    assert logger.log({"message": "order taken", "order": len(took)})
                    took.append(time.perf_counter_ns() - before)
                time.sleep(0.01)

        with tailrace("serve", data=data, port=port):
            log_for(OUTAGE_S / 4)
        before = list(took)
        log_for(OUTAGE_S)
        meanwhile = took[len(before) :]
        spool = logger.get_stats()["sinks"][0]["spool_bytes"]
        with tailrace("serve", data=data, port=port):
            log_for(2)
            while logger.get_stats()["sinks"][0]["sent"] < len(took):
                time.sleep(0.1)
            found = sorted(record["order"] for record in LogReader(server=url).records())
        logger.shutdown()
        wrong = len(set(range(len(took))) ^ set(found)) + len(found) - len(set(found))
        healthy = {f"{key}_before": value for key, value in percentiles(before).items()}
        return {**healthy, **percentiles(meanwhile), "not_once": wrong, "spool": spool / 1024}


def sustained() -> dict[str, float]:
    """Measure records/s from one thread to a file, and per CPU second. Runs in a process of its own."""
    from tailrace_sdk import AsyncLogWriter

    with tempfile.TemporaryDirectory() as place:
        writer = AsyncLogWriter(place, block_s=60)
        log, started, cpu = writer.log, time.perf_counter(), time.process_time()
        for n in range(SUSTAINED):
            log({"level": "info", "message": "order taken", "operation": "checkout", "order": n, "user": 77})
        writer.flush(60)
        took, cpu = time.perf_counter() - started, time.process_time() - cpu
        writer.shutdown()
        stats = writer.get_stats()
        assert (stats["written"], stats["queue_full_events"]) == (SUSTAINED, 0), stats
    return {"rate": SUSTAINED / took, "cpu": SUSTAINED / cpu}


def apart(code: str) -> dict[str, float]:
    """Run an expression of this module in a process of its own."""
    program = f"import json; from bench import sdk; print(json.dumps(sdk.{code}))"
    run = subprocess.run(
        [sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]
    )
    return json.loads(run.stdout)


def bare(code: str, **environment: str) -> float:
    """Run code in an interpreter that has nothing else, and return the number it prints."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    run = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, env={**kept, **environment})
    return float(run.stdout)


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
MANY = """
import sys, threading
from tailrace_sdk import AsyncLogWriter, FileSink
place, process, threads, records = sys.argv[1], *map(int, sys.argv[2:])
writer = AsyncLogWriter(sinks=[FileSink(place, file_bytes_max=8 << 20)], block_s=600)
def work(thread):
    for n in range(records):
        writer.log({"process": process, "thread": thread, "n": n})
all_threads = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
for thread in all_threads: thread.start()
for thread in all_threads: thread.join()
assert writer.shutdown(600)
"""
KILLED = """
import mmap, sys, time
from tailrace_sdk import AsyncLogWriter
writer = AsyncLogWriter(sys.argv[1], block_s=60)
with open(sys.argv[2], "r+b") as file:
    told = mmap.mmap(file.fileno(), 8)
n = 0
while True:
    for _ in range(20):
        writer.log({"message": "order taken", "n": n})
        n += 1
        told[:8] = n.to_bytes(8, "little")
    if sys.argv[3] == "paced":
        time.sleep(0.001)
"""


def each_once() -> tuple[int, float]:
    """Let many threads of many processes log together; return records that are not there once, and the seconds."""
    with tempfile.TemporaryDirectory() as place:
        started = time.perf_counter()
        begun = [
            subprocess.Popen([sys.executable, "-c", MANY, place, str(number), str(THREADS), str(RECORDS)])
            for number in range(PROCESSES)
        ]
        assert [process.wait() for process in begun] == [0] * PROCESSES
        took = time.perf_counter() - started
        seen = bytearray(PROCESSES * THREADS * RECORDS)
        wrong = 0
        files = list(Path(place).glob("*.jsonl"))
        assert len(files) > PROCESSES
        for path in files:
            for line in path.read_bytes().split(b"\n")[:-1]:
                one: dict[str, Any] = json.loads(line)
                place_of = (one["process"] * THREADS + one["thread"]) * RECORDS + one["n"]
                wrong += seen[place_of]
                seen[place_of] = 1
        return wrong + seen.count(0), took


def killed(how: str) -> int:
    """Kill a program that logs, several times; return the most records that were lost at once."""
    worst = 0
    for _ in range(KILLS):
        with tempfile.TemporaryDirectory() as place:
            told = Path(place, "told")
            told.write_bytes(bytes(8))
            process = subprocess.Popen([sys.executable, "-c", KILLED, place, str(told), how])
            while int.from_bytes(told.read_bytes(), "little") < 20_000:
                time.sleep(0.01)
            process.kill()
            process.wait()
            written = sum(path.read_bytes().count(b"}\n") for path in Path(place).glob("*.jsonl"))
            worst = max(worst, int.from_bytes(told.read_bytes(), "little") - written)
    return worst


def best(name: str) -> dict[str, float]:
    """Return the best of some runs: whatever else runs on this machine only makes them worse."""
    runs = [apart(f"latency({name!r})") for _ in range(RUNS)]
    return {key: min(run[key] for run in runs) for key in runs[0]}


def side_by_side() -> None:
    """Measure everybody."""
    found: dict[str, dict[str, float]] = {}
    for name in CONTESTANTS:
        if name == "picologging" and not importlib.util.find_spec("picologging"):
            print(f"no wheel of picologging for Python {sys.version_info[0]}.{sys.version_info[1]}", file=sys.stderr)
            continue
        found[name] = best(name)
        asked = {"median": 1.5, "p99": 10.0} if name == "sdk" else {}
        for key, value in found[name].items():
            figure(f"log_{name}_{key}", value, "us", asked=asked.get(key))
    ours = found["sdk"]["median"]
    figure("log_faster_than_file_handler", found["file_handler"]["median"] / ours, "x", asked=8, better="more")
    figure("log_faster_than_loguru", found["loguru"]["median"] / ours, "x", asked=15, better="more")


def main() -> None:
    """Measure everybody, then the SDK alone."""
    side_by_side()
    for name in ("sdk", "file_handler"):
        for key, value in apart(f"paced({name!r})").items():
            asked = {"median": 1.5, "p99": 10.0}[key] if name == "sdk" else None
            figure(f"log_paced_{name}_{key}", value, "us", asked=asked)
    for name in TROUBLES:
        for key, value in best(name).items():
            figure(f"log_{name}_{key}", value, "us", asked={"median": 1.5, "p99": 10.0}.get(key))
    for key, value in apart("outage()").items():
        unit = {"not_once": "records", "spool": "KiB"}.get(key, "us")
        figure(f"log_outage_{key}", value, unit, asked={"median": 1.5, "not_once": 0}.get(key))
    rates = [apart("sustained()") for _ in range(RUNS)]
    figure("log_sustained", max(run["rate"] for run in rates), "records/s", asked=250_000, better="more")
    figure("log_sustained_cpu", max(run["cpu"] for run in rates), "records/CPU second")
    over = bare(MEMORY + PEAK) - bare(PEAK)
    figure("log_memory_over_bare", over / 1024, "MiB", asked=40)
    with tempfile.TemporaryDirectory() as place:  # compiled beforehand, as everything that is installed
        bare(IMPORT, PYTHONPYCACHEPREFIX=place)
        took = statistics.median(bare(IMPORT, PYTHONPYCACHEPREFIX=place) for _ in range(9))
    figure("log_import", took * 1000, "ms", asked=30)
    wrong, seconds = each_once()
    figure("log_many_not_once", wrong, "records", asked=0)
    figure("log_many_rate", PROCESSES * THREADS * RECORDS / seconds, "records/s", better="more")
    figure("log_kill_lost", killed("fast"), "records", asked=11_000)
    figure("log_kill_lost_paced", killed("paced"), "records", asked=11_000)
