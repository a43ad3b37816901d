"""How long from the append in a file to the bytes at a client, and what does a delivery cost the server?"""

import asyncio
import os
import re
import tempfile
import time
from pathlib import Path

import uvloop

from bench.figure import figure
from bench.process import Process, tailrace

RUNS = ((1, 20, 10, 3.0, 15.0), (100, 20, 10, 8.0, 40.0), (1000, 10, 10, 15.0, 60.0))
"""Clients, lines per second, seconds; asked of the median and of the 99th percentile, in ms."""
_STAMP = re.compile(rb"sent_ns=(\d+)")


class Reader(asyncio.Protocol):
    """An SSE client that only looks for the stamps that the writer put into the lines."""

    def __init__(self, delays_ms: list[float], opened: asyncio.Event) -> None:
        self.delays_ms = delays_ms
        self.opened = opened
        self.rest = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.write(b"GET /api/v1/tail?q=sent_ns HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")

    def data_received(self, data: bytes) -> None:
        now_ns = time.time_ns()
        data = self.rest + data
        if not self.opened.is_set() and b"event: ping" in data:
            self.opened.set()
        end = 0
        for stamp in _STAMP.finditer(data, 0, max(0, data.rfind(b'"', 0))):
            self.delays_ms.append((now_ns - int(stamp[1])) / 1e6)
            end = stamp.end()
        self.rest = data[end:][-64:]


async def measure(process: Process, path: Path, clients: int, rate: int, seconds: int) -> tuple[list[float], float]:
    """Return the delay of each delivery in ms and the share of a core that the server used."""
    loop = asyncio.get_running_loop()
    delays_ms: list[float] = []
    connections = []
    for _ in range(clients):
        opened = asyncio.Event()
        transport, _protocol = await loop.create_connection(
            lambda opened=opened: Reader(delays_ms, opened), "127.0.0.1", process.port
        )
        await asyncio.wait_for(opened.wait(), 20)
        connections.append(transport)
    cpu, began = process.cpu_s(), time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    for number in range(rate * seconds):
        await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
        os.write(fd, b"INFO checkout order=%d took 12 ms sent_ns=%d end\n" % (number, time.time_ns()))
    await asyncio.sleep(1.0)
    share = (process.cpu_s() - cpu) / (time.perf_counter() - began)
    os.close(fd)
    for transport in connections:
        transport.close()
    lost = clients * rate * seconds - len(delays_ms)
    figure(f"tail_{clients}_lost", lost, "deliveries", asked=0)
    return sorted(delays_ms), share


def main() -> None:
    """Follow one file that is written steadily, with more and more clients."""
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        path = Path(folder) / "app.log"
        path.write_text("INFO checkout begins\n")
        with tailrace("up", str(path), "--no-discover", data=Path(folder) / "data") as process:
            for clients, rate, seconds, asked_p50, asked_p99 in RUNS:
                delays_ms, share = uvloop.run(measure(process, path, clients, rate, seconds))
                figure(f"tail_{clients}_p50", delays_ms[len(delays_ms) // 2], "ms", asked=asked_p50)
                figure(f"tail_{clients}_p99", delays_ms[len(delays_ms) * 99 // 100], "ms", asked=asked_p99)
                figure(f"tail_{clients}_cpu", share * 100, "% of a core", asked=20)
            figure("tail_memory", process.status("VmHWM") / 1024, "MiB")
