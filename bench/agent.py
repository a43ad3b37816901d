"""What does collecting cost? Files into the bus, through the collector, in a process of its own.

backlog   1 GB that waits in one file, JSON lines and plain text: MB per CPU second (user and system, from the start of
          the process to its end, every byte acknowledged and on disk) and the peak of its memory
steady    10,000 JSON lines a second in 4 files that rotate by rename: the share of a core
idle      10,000 files in which nothing happens: what each costs when it is first seen, then the share of a core,
          memory, and when a line in one of them is readable
beside    a file that grows by 100 MB a second beside 99 quiet ones: when a line in a quiet one is readable

Lines of which the delay is measured carry when they were written; the child looks at the bus like any reader.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench.figure import figure
from bench.ingest import LINE_BYTES, lines

DISTINCT = 300_000
BACKLOG_BYTES = int(os.environ.get("BENCH_AGENT_BYTES", "1_000_000_000"))
SECONDS = float(os.environ.get("BENCH_AGENT_SECONDS", "15"))
IDLE_FILES = 10_000
TEXT_BYTES = 120
QUIET_FILES = 99
STAMP = re.compile(r"^stamp=(\d+) ")


def texts(count: int) -> bytes:
    """Return `count` plain lines of exactly TEXT_BYTES (with the newline): time, level, logger, message."""
    made = []
    for n in range(count):
        level = ("INFO ", "INFO ", "WARN ", "ERROR")[n % 4]
        clock = f"{n // 60000 % 60:02d}:{n // 1000 % 60:02d},{n % 1000:03d}"
        line = f"2026-11-20 08:{clock} {level} shop.orders - order {n * 7919 % 1000003} of user {n * 31 % 5003} took "
        made.append((line + f"{n % 977} ms at 10.0.{n % 256}.{n * 7 % 256}").ljust(TEXT_BYTES - 1, "."))
    return ("\n".join(made) + "\n").encode()


class Child:
    """A process that collects, as `collect` below."""

    def __init__(self, pattern: Path, data: Path, *, until_bytes: int = 0, watched: bool = False) -> None:
        command = [sys.executable, "-m", "bench.agent", str(pattern), str(data), str(until_bytes)]
        command += ["watched"] if watched else []
        self.running = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def cpu_s(self) -> float:
        """Return the CPU seconds it has used so far."""
        fields = Path(f"/proc/{self.running.pid}/stat").read_text().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def line(self) -> dict[str, Any]:
        """Return the next line that it prints."""
        assert self.running.stdout is not None
        return json.loads(self.running.stdout.readline())

    def end(self) -> dict[str, Any]:
        """Have it end; return what it has to tell."""
        assert self.running.stdin is not None
        self.running.stdin.close()
        said = self.line()
        self.running.wait(60)
        return said


@contextlib.contextmanager
def child(pattern: Path, data: Path, **how: Any) -> Iterator[Child]:
    """Run a Child until the block ends."""
    one = Child(pattern, data, **how)
    try:
        yield one
    finally:
        one.running.kill()
        one.running.wait()


def delays(seen: list[float], name: str, asked: float) -> None:
    """Print the median and the 99th percentile of delays in seconds."""
    ordered = sorted(seen) or [float("nan")]
    figure(f"{name}_p50", ordered[len(ordered) // 2] * 1000, "ms")
    figure(f"{name}_p99", ordered[len(ordered) * 99 // 100] * 1000, "ms", asked=asked)
    figure(f"{name}_lines", len(seen), "lines")


def backlog(directory: Path, name: str, block: bytes, asked: float) -> None:
    """Read a large file from its beginning."""
    path = directory / f"{name}.log"
    with path.open("wb") as file:
        while file.tell() < BACKLOG_BYTES:
            file.write(block)
    os.sync()
    size = path.stat().st_size
    with child(path, directory / f"bus-{name}", until_bytes=size) as one:
        said = one.end()
    path.unlink()
    figure(f"backlog_{name}", size / 1e6 / said["cpu_s"], "MB/CPU-s", asked=asked, better="more")
    figure(f"backlog_{name}_speed", size / 1e6 / said["took_s"], "MB/s")
    figure(f"backlog_{name}_memory_peak", said["peak_mib"], "MiB", asked=120)


def steady(directory: Path) -> None:
    """Write 10,000 lines a second into four files, which rotate about every three seconds."""
    logs = directory / "steady"
    logs.mkdir()
    block = lines(0, DISTINCT // 10)
    paths = [logs / f"app{n}.log" for n in range(4)]
    files = [path.open("ab", buffering=0) for path in paths]
    with child(logs / "*.log", directory / "bus-steady") as one:
        one.line()
        time.sleep(1)
        cpu, started, rounds = one.cpu_s(), time.monotonic(), 0
        while (passed := time.monotonic() - started) < SECONDS:
            for place in range(4):
                first = (rounds * 4 + place) * 25 * LINE_BYTES % (len(block) - 25 * LINE_BYTES)
                files[place].write(block[first : first + 25 * LINE_BYTES])
                if rounds % 1200 == 300 * place + 299:
                    files[place].close()
                    paths[place].rename(paths[place].with_suffix(f".log.{rounds}"))
                    files[place] = paths[place].open("ab", buffering=0)
            rounds += 1
            time.sleep(max(0.0, rounds * 0.01 - passed))
        share = (one.cpu_s() - cpu) / (time.monotonic() - started)
        figure("steady_lines_per_s", rounds * 100 / (time.monotonic() - started), "lines/s")
        figure("steady_core", share * 100, "% of a core", asked=8)
        time.sleep(1)
        figure("steady_lines_missing", rounds * 100 - one.end()["lines"], "lines", asked=0)


def stamped() -> bytes:
    """Return a line that says when it was written."""
    return f"stamp={time.time_ns()} a quiet line that somebody waits for\n".encode()


def idle(directory: Path) -> None:
    """Follow 10,000 files of one line each."""
    logs = directory / "idle"
    paths = [logs / f"host{n % 100}" / f"app{n}.log" for n in range(IDLE_FILES)]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("2026-11-20 08:00:00 INFO a first line\n")
    with child(logs / "*" / "*.log", directory / "bus-idle", watched=True) as one:
        one.line()
        before = cpu = one.cpu_s()
        while time.sleep(2) or (used := one.cpu_s()) > cpu + 0.05:
            cpu = used
        figure("idle_first_sight", (used - before) / IDLE_FILES * 1000, "CPU-ms/file")
        cpu, started = one.cpu_s(), time.monotonic()
        time.sleep(2 * SECONDS)
        share = (one.cpu_s() - cpu) / (time.monotonic() - started)
        figure("idle_core", share * 100, "% of a core", asked=1)
        for n in range(40):
            with paths[n * 7919 % IDLE_FILES].open("ab", buffering=0) as file:
                file.write(stamped())
            time.sleep(0.3)
        time.sleep(2)
        said = one.end()
    figure("idle_memory_peak", said["peak_mib"], "MiB", asked=150)
    delays(said["delays_s"], "idle_new_line", 1000)


def beside(directory: Path) -> None:
    """Have one file grow by 100 MB a second, and 99 others by a line each second."""
    logs = directory / "beside"
    logs.mkdir()
    block = lines(0, DISTINCT // 10)
    busy = (logs / "busy.log").open("ab", buffering=0)
    quiet = [(logs / f"quiet{n}.log").open("ab", buffering=0) for n in range(QUIET_FILES)]
    ending = threading.Event()
    written = 0

    def grow() -> None:
        nonlocal written
        started = time.monotonic()
        piece = 1_000_000 // LINE_BYTES * LINE_BYTES
        while not ending.is_set():
            first = written % (len(block) - piece) // LINE_BYTES * LINE_BYTES
            written += busy.write(block[first : first + piece])
            ending.wait(max(0.0, written / 100e6 - (time.monotonic() - started)))

    with child(logs / "*.log", directory / "bus-beside", watched=True) as one:
        one.line()
        writer = threading.Thread(target=grow)
        writer.start()
        time.sleep(1)
        started, n = time.monotonic(), 0
        while time.monotonic() - started < SECONDS:
            quiet[n % QUIET_FILES].write(stamped())
            n += 1
            time.sleep(1 / QUIET_FILES)
        ending.set()
        writer.join()
        time.sleep(3)
        said = one.end()
    figure("beside_written", written / 1e6 / (SECONDS + 1), "MB/s")
    figure("beside_memory_peak", said["peak_mib"], "MiB")
    figure("beside_quiet_lines_missing", n - len(said["delays_s"]), "lines", asked=0)
    delays(said["delays_s"], "beside_quiet_line", 200)


def collect(pattern: str, data: str, until_bytes: str, watched: str = "") -> None:
    """Collect until so many bytes of a file are acknowledged (0: until stdin is closed); print what it took."""
    import resource

    from tailrace.agent import Collector
    from tailrace.bus.disk import DiskBus
    from tailrace.memory import one_allocator
    from tailrace.sources.entry import Entry

    one_allocator()  # as `tailrace agent` does
    started = time.monotonic()
    bus = DiskBus(Path(data))
    collector = Collector(bus, [Entry(pattern)], host="bench")
    seen: list[float] = []
    if watched:
        threading.Thread(target=watch, args=(bus, seen), daemon=True).start()
    if not int(until_bytes):
        print(json.dumps({"ready": True}), flush=True)
    collector.start()
    if int(until_bytes):
        while not any(file.offset >= int(until_bytes) for file in collector.report.files()):
            time.sleep(0.02)
    else:
        sys.stdin.read()
    took = time.monotonic() - started
    collector.stop()
    bus.close()
    used = resource.getrusage(resource.RUSAGE_SELF)
    said = {
        "cpu_s": used.ru_utime + used.ru_stime,
        "took_s": took,
        "peak_mib": int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[1]) / 1024,
        "lines": bus.next.offset,
        "delays_s": seen,
    }
    print(json.dumps(said), flush=True)


def watch(bus: Any, seen: list[float]) -> None:
    """Read the bus as it grows; note how long ago each stamped line was written."""
    place = bus.next
    while True:
        bus.wait(place, 1.0)
        batches = bus.read(place, 1 << 20)
        now = time.time_ns()
        for batch in batches:
            place = batch.next
            if any("busy" not in stream.json for stream in batch.streams):
                stamps = filter(None, map(STAMP.match, batch.array("message").to_pylist()))
                seen += [(now - int(stamp[1])) / 1e9 for stamp in stamps]


def main() -> None:
    """Measure what is named in BENCH_AGENT (all by default)."""
    wanted = os.environ.get("BENCH_AGENT", "json text steady idle beside").split()
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        directory = Path(name)
        if "json" in wanted:
            backlog(directory, "json", lines(0, DISTINCT), 120)
        if "text" in wanted:
            backlog(directory, "text", texts(DISTINCT), 60)
        if "steady" in wanted:
            steady(directory)
        if "idle" in wanted:
            idle(directory)
        if "beside" in wanted:
            beside(directory)


if __name__ == "__main__":
    collect(*sys.argv[1:])
