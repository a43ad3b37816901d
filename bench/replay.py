"""Does a replay take the time that it should, how close is each record to its moment, and how fast is ``max``?

A window of 100 s at x10 and of 1,000 s at x100, ten seconds each: the asked 2 % of a window of 10 min at x10 is the
same 2 % here. A record's moment is where the clock of the replay says it is: began + (time - from) / speed.
"""

import http.client
import json
import re
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from bench.figure import figure
from bench.process import Process, tailrace

SECOND_NS = 1_000_000_000
PACED = ((10, 100, 2_000), (100, 1_000, 20_000))
"""Speed, seconds of the window, records in it, evenly spread."""
MANY = 1_000_000
_CURSOR = re.compile(rb'"cursor":"[0-9a-f]+-(\d+)"')


def push(process: Process, first_ns: int, step_ns: int, count: int) -> None:
    """Push records that happened one step after the other."""
    connection = process.connect()
    for begin in range(0, count, 10_000):
        body = "\n".join(
            json.dumps(
                {"time": first_ns + n * step_ns, "message": f"order {n * 7919 % 1000003} took {n % 977} ms", "n": n}
            )
            for n in range(begin, min(count, begin + 10_000))
        )
        while True:
            connection.request("POST", "/api/v1/push", body, {"Content-Type": "application/x-ndjson"})
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                break
            time.sleep(float(answer.headers.get("Retry-After", "0.05")))


def replay(process: Process, first_ns: int, last_ns: int, speed: int | str) -> Iterator[tuple[float, bytes]]:
    """Yield (seconds since the call, line) of a replay to its end."""
    connection: http.client.HTTPConnection = process.connect()
    began = time.perf_counter()
    asked = urlencode({"from": first_ns, "to": last_ns, "speed": speed})
    connection.request("GET", f"/api/v1/replay?{asked}")
    with connection.getresponse() as answer:
        for line in answer:
            yield time.perf_counter() - began, line
            if line == b"event: end\n":
                break
    connection.close()


def paced(process: Process, first_ns: int, speed: int, window_s: int, records: int) -> None:
    """Measure how long the window takes, and by how much each record misses its moment."""
    step_ns = window_s * SECOND_NS // records
    late_ms: list[float] = []
    cpu, took, shown = process.cpu_s(), 0.0, 0
    for took, line in replay(process, first_ns, first_ns + window_s * SECOND_NS, speed):
        for _ in _CURSOR.finditer(line):
            late_ms.append((took - shown * step_ns / speed / SECOND_NS) * 1000)
            shown += 1
    cpu = process.cpu_s() - cpu
    wanted_s = window_s / speed
    late_ms.sort()
    figure(f"replay_x{speed}_off", abs(took - wanted_s) / wanted_s * 100, "% of the time it should take", asked=2)
    figure(f"replay_x{speed}_lost", records + 1 - shown, "records", asked=0)
    figure(f"replay_x{speed}_late_p50", late_ms[len(late_ms) // 2], "ms", asked=30)
    figure(f"replay_x{speed}_late_p99", late_ms[len(late_ms) * 99 // 100], "ms", asked=100)
    figure(f"replay_x{speed}_early", max(0.0, -late_ms[0]), "ms", asked=0)
    figure(f"replay_x{speed}_cpu", cpu / took * 100, "% of a core")


def main() -> None:
    """Replay windows, and then many records as fast as they are taken."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder, tailrace("serve", data=Path(folder)) as process:
        for speed, window_s, records in PACED:
            first_ns = time.time_ns() - 2 * window_s * SECOND_NS - speed * 100_000 * SECOND_NS
            push(process, first_ns, window_s * SECOND_NS // records, records + 1)
            paced(process, first_ns, speed, window_s, records)
        first_ns = time.time_ns() - MANY * 1_000_000
        push(process, first_ns, 1_000_000, MANY)
        cpu, took, shown = process.cpu_s(), 0.0, 0
        for took, line in replay(process, first_ns, time.time_ns(), "max"):  # noqa: B007 - the last one counts
            shown += len(_CURSOR.findall(line))
        cpu = process.cpu_s() - cpu
        figure("replay_max_lost", MANY - shown, "records", asked=0)
        figure("replay_max_speed", shown / took, "records/s", asked=50_000, better="more")
        figure("replay_max_cpu", cpu / shown * 1e6, "us a record")
