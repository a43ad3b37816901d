"""How long from the append in a file to the bytes at a client, for one and for thousands, and what does it cost?

    python -m bench tail            all of them
    python -m bench tail 5000 deaf  some of them

Each part has a server of its own. Writer and clients (bench/viewers.py) are this one process, on the same machine as
the server: its share of a core is a figure, too.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from bench.figure import figure
from bench.ingest import lines
from bench.process import Process, tailrace
from bench.viewers import Viewers, connected

LINE = b"INFO checkout order=%d took 12 ms ~%d end\n"
FULL_SPEED = 50_000
WORDS = 1_000
DEAF = 20


class Log:
    """A file that `process` follows, and what the server and this process used since ``mark``."""

    def __init__(self, path: Path, process: Process) -> None:
        self.process = process
        self.file = path.open("ab", buffering=0)
        self.mark()

    def mark(self) -> None:
        self._marked = time.perf_counter(), self.process.cpu_s(), time.process_time()

    def line(self, number: int) -> None:
        self.file.write(LINE % (number, time.time_ns()))

    def shares(self, name: str, asked: float | None = None, deliveries: int = 0) -> None:
        """Print both shares of a core, and what a delivery costs the server, which a busy machine changes little."""
        began, server, mine = self._marked
        took = time.perf_counter() - began
        if deliveries:
            figure(f"{name}_cpu_of_a_delivery", (self.process.cpu_s() - server) / deliveries * 1e6, "us")
        figure(f"{name}_cpu", (self.process.cpu_s() - server) / took * 100, "% of a core", asked=asked)
        figure(f"{name}_cpu_of_the_clients", (time.process_time() - mine) / took * 100, "% of a core")


@contextlib.contextmanager
def followed() -> Iterator[Log]:
    """Run a server that follows one file."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        path = Path(folder) / "app.log"
        path.write_text("INFO checkout begins\n")
        with tailrace("up", str(path), "--no-discover", data=Path(folder) / "data") as process:
            yield Log(path, process)


def steady(
    clients: int, rate: int, seconds: int, p50: float | None, p99: float, cpu: float | None, memory: float | None
) -> Callable[[], None]:
    """Return a part: so many clients of the same query, so many lines per second; what is asked in ms, %, MiB."""

    def run() -> None:
        name, count = f"tail_{clients}", rate * seconds
        with followed() as log:
            viewers = Viewers(log.process.port, ["checkout"] * clients)
            viewers.watch(log.line, rate, rate)  # warm
            viewers.until(rate)
            viewers.delays_ms.clear()
            log.mark()
            viewers.watch(log.line, count, rate)
            log.shares(name, cpu, clients * count)
            viewers.until(rate + count)
            wrong = sum(abs(rate + count - viewer.lines) for viewer in viewers.every)
            figure(f"{name}_missing_or_twice", wrong, "deliveries", asked=0)
            figure(f"{name}_p50", viewers.percentile(50), "ms", asked=p50)
            figure(f"{name}_p99", viewers.percentile(99), "ms", asked=p99)
            figure(f"{name}_memory_peak", log.process.status("VmHWM") / 1024, "MiB", asked=memory)
            viewers.close()

    return run


def connections() -> None:
    """10,000 open connections, of which each gets a line now and then."""
    with followed() as log:
        empty = log.process.status("VmRSS")
        viewers = Viewers(log.process.port, ["checkout"] * 10_000)
        figure("tail_10000_memory_when_opened", log.process.status("VmRSS") / 1024, "MiB")
        log.mark()
        viewers.watch(log.line, 10, 1)
        log.shares("tail_10000")
        viewers.until(10)
        wrong = sum(abs(10 - viewer.lines) for viewer in viewers.every)
        figure("tail_10000_missing_or_twice", wrong, "deliveries", asked=0)
        figure("tail_10000_memory", log.process.status("VmRSS") / 1024, "MiB", asked=400)
        figure("tail_10000_memory_of_a_connection", (log.process.status("VmRSS") - empty) / 10_000, "KiB")
        viewers.close()


def full() -> None:
    """One reader of everything at FULL_SPEED lines per second."""
    seconds, per_block = 20, 500
    blocks = [
        b"".join(LINE % (block * per_block + n, time.time_ns()) for n in range(per_block))
        for block in range(FULL_SPEED * seconds // per_block)
    ]
    with followed() as log:
        viewers = Viewers(log.process.port, [""])
        log.mark()
        began = time.perf_counter()
        viewers.watch(lambda number: log.file.write(blocks[number]), len(blocks), FULL_SPEED / per_block)
        took = time.perf_counter() - began
        log.shares("tail_full_speed", deliveries=FULL_SPEED * seconds)
        figure(
            "tail_full_speed_written", FULL_SPEED * seconds / took, "lines/s", asked=FULL_SPEED * 0.99, better="more"
        )
        figure("tail_full_speed_lag_at_the_end", viewers.until(FULL_SPEED * seconds), "s", asked=1)
        wrong = abs(FULL_SPEED * seconds - viewers.every[0].lines)
        figure("tail_full_speed_missing_or_twice", wrong, "lines", asked=0)
        figure("tail_full_speed_memory_peak", log.process.status("VmHWM") / 1024, "MiB")
        viewers.close()


def words() -> None:
    """1,000 distinct filters over 5,000 lines/s, each line with one of their words."""
    rate, seconds, per_block = 5_000, 10, 50
    with followed() as log:
        viewers = Viewers(log.process.port, [f"word{n:04d}" for n in range(WORDS)], keep=True)

        def write(block: int) -> None:
            now_ns, first = time.time_ns(), block * per_block
            log.file.write(
                b"".join(
                    b"INFO took 12 ms, word%04d of order %d ~%d\n" % (n * 7 % WORDS, n, now_ns)
                    for n in range(first, first + per_block)
                )
            )

        log.mark()
        viewers.watch(write, rate * seconds // per_block, rate / per_block)
        log.shares("tail_1000_filters", 60, rate * seconds)
        each = rate * seconds // WORDS
        figure("tail_1000_filters_lag_at_the_end", viewers.until(each), "s")
        viewers.read_for(1)
        wrong = 0
        for number, viewer in enumerate(viewers.every):
            wrong += abs(each - viewer.lines) + abs(each - viewer.kept.count(b" word%04d of order" % number))
        figure("tail_1000_filters_missing_or_others", wrong, "lines", asked=0)
        figure("tail_1000_filters_p99", viewers.percentile(99), "ms")
        figure("tail_1000_filters_memory_peak", log.process.status("VmHWM") / 1024, "MiB")
        viewers.close()


def deaf() -> None:
    """1,000 clients of which 20 never read: what the others, the memory and the intake notice of them."""
    good, rate, seconds, turns = 1_000 - DEAF, 10, 12, 5
    p99s: dict[bool, list[float]] = {False: [], True: []}
    pushed: dict[bool, list[float]] = {False: [], True: []}
    memory: dict[bool, int] = {}
    with followed() as log:
        viewers = Viewers(log.process.port, ["checkout"] * good)
        total = 0
        for turn in range(turns * 2):
            with_deaf = turn % 2 == 1
            unread = [connected(log.process.port, "", receive_bytes=4096) for _ in range(DEAF if with_deaf else 0)]
            push(log.process, 60_000)  # more than what fits between the server and those that do not read
            pushed[with_deaf].append(push(log.process, 60_000))
            viewers.delays_ms = []
            viewers.watch(log.line, rate * seconds, rate)
            total += rate * seconds
            viewers.until(total)
            p99s[with_deaf].append(sorted(viewers.delays_ms)[len(viewers.delays_ms) * 99 // 100])
            memory[with_deaf] = max(memory.get(with_deaf, 0), log.process.status("VmRSS"))
            for one in unread:
                one.close()
            viewers.read_for(1)
        wrong = sum(abs(total - viewer.lines) for viewer in viewers.every)
        viewers.close()
    p99 = {key: sorted(some)[turns // 2] for key, some in p99s.items()}  # one disk that is late for once is not them
    figure("tail_deaf_missing_or_twice_at_the_others", wrong, "deliveries", asked=0)
    figure("tail_deaf_p99_without", p99[False], "ms")
    figure("tail_deaf_p99_with", p99[True], "ms")
    figure("tail_deaf_p99_ratio", p99[True] / p99[False], "times", asked=1.1)
    figure("tail_deaf_memory_of_each", (memory[True] - memory[False]) / DEAF, "KiB", asked=4096)
    ratio = sorted(pushed[True])[turns // 2] / sorted(pushed[False])[turns // 2]
    figure("tail_deaf_intake_ratio", ratio, "times", asked=0.95, better="more")


def push(process: Process, count: int) -> float:
    """Push so many lines that the clients did not ask for; return lines per second."""
    bodies = [lines(first, 5_000).replace(b"checkout", b"billing.") for first in range(0, count, 5_000)]
    connection = process.connect()
    began = time.perf_counter()
    for body in bodies:
        connection.request("POST", "/api/v1/push", body, {"Content-Type": "application/x-ndjson"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(answer.read().decode())
        answer.read()
    took = time.perf_counter() - began
    connection.close()
    return count / took


PARTS = {
    "1": steady(1, 20, 20, 3.0, 15.0, None, None),
    "100": steady(100, 20, 10, 8.0, 40.0, None, None),
    "1000": steady(1_000, 10, 20, 15.0, 60.0, 20.0, 120.0),
    "5000": steady(5_000, 20, 20, None, 300.0, None, None),
    "10000": connections,
    "full": full,
    "words": words,
    "deaf": deaf,
}


def main(parts: Iterable[str] = PARTS) -> None:
    """Run the named parts."""
    for name in parts:
        PARTS[name]()
