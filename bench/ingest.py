"""How fast can programs push, and what does it cost? JSON lines of 220 bytes, acknowledged on disk, then searched."""

import http.client
import json
import os
import tempfile
import threading
import time
from pathlib import Path

from bench.figure import figure
from bench.process import Process, tailrace

LINE_BYTES = 220
LINES_PER_PUSH = 5_000
CONNECTIONS = 4
SECONDS = float(os.environ.get("BENCH_INGEST_SECONDS", "15"))


def lines(first: int, count: int) -> bytes:
    """Return `count` JSON lines of exactly LINE_BYTES (with the newline), no two alike."""
    made = []
    for n in range(first, first + count):
        level = ("info", "info", "warn", "error")[n % 4]
        clock = f"{n // 60000 % 60:02d}:{n // 1000 % 60:02d}.{n % 1000:03d}"
        message = (
            f"order {n * 7919 % 1000003} of user {n * 31 % 5003} took {n % 977} ms at 10.0.{n % 256}.{n * 7 % 256}"
        )
        line = (
            f'{{"time":"2026-11-20T08:{clock}Z","level":"{level}","message":"{message}","service":"checkout",'
            f'"order":{n},"status":{200 + n % 5},"pad":"'
        )
        made.append(line + "x" * (LINE_BYTES - len(line) - 3) + '"}')
    return ("\n".join(made) + "\n").encode()


def status(process: Process) -> dict[str, int]:
    """Return how the server is."""
    connection = process.connect()
    connection.request("GET", "/api/v1/status")
    return json.loads(connection.getresponse().read())


def count(process: Process) -> int:
    """Return how many records a search finds."""
    connection = process.connect()
    connection.request("GET", "/api/v1/stats?q=*+%7C+stats+count()+as+n")
    answer = json.loads(connection.getresponse().read())
    return int(answer["records"][0]["n"] if "records" in answer else answer["rows"][0]["n"])


def push(process: Process, bodies: list[bytes], until: float, pushed: list[int]) -> None:
    """Push over one connection until the time is up; adds the acknowledged lines to `pushed`."""
    connection: http.client.HTTPConnection = process.connect()
    turn = 0
    while time.monotonic() < until:
        connection.request("POST", "/api/v1/push", bodies[turn % len(bodies)], {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        body = json.loads(answer.read())
        if answer.status == 200:
            pushed.append(body["accepted"])
        else:
            time.sleep(float(answer.headers.get("Retry-After", "0.05")))
        turn += 1


def main() -> None:
    """Push from several connections, then count what is found."""
    bodies = [lines(n * LINES_PER_PUSH, LINES_PER_PUSH) for n in range(8)]
    with tempfile.TemporaryDirectory(dir=Path.home()) as data, tailrace("serve", data=Path(data)) as process:
        pushed: list[int] = []
        cpu, started = process.cpu_s(), time.monotonic()
        threads = [
            threading.Thread(target=push, args=(process, bodies, started + SECONDS, pushed)) for _ in range(CONNECTIONS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        took, cpu = time.monotonic() - started, process.cpu_s() - cpu
        waiting = status(process)["waiting_records"]
        found = count(process)
        searchable_s = time.monotonic() - started - took
        figure("push_lines_per_s", sum(pushed) / took, "lines/s", asked=120_000, better="more")
        figure("push_cpu_per_line", cpu / sum(pushed) * 1e6, "us")
        figure("push_waiting_at_the_end", waiting, "records")
        figure("push_memory_peak", process.status("VmHWM") / 1024, "MiB", asked=400)
        figure("push_lines_not_found_at_once", sum(pushed) - found, "lines", asked=0)
        figure("push_count_right_after", searchable_s, "s")
