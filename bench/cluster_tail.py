"""How long from the append in a file to the bytes at a viewer, through Kafka, and what does it cost? Real brokers:

    BENCH_KAFKA=127.0.0.1:9092 make bench ARGS="cluster_tail"

agent   a file -> `tailrace agent` -> Kafka -> `tailrace serve` -> one viewer, at 20 lines a second
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from confluent_kafka.admin import AdminClient, NewTopic

from bench.figure import figure
from bench.process import Process, tailrace
from bench.viewers import Viewers

LINE = b"INFO checkout order=%d took 12 ms ~%d end\n"
PARTITIONS = 4
RATE, SECONDS, WARM_S = 20, 20, 5


@contextlib.contextmanager
def shipping(path: Path, data: Path) -> Iterator[Process]:
    """Run an agent that follows one file and ships to Kafka, as the environment says."""
    command = [str(Path(sys.executable).with_name("tailrace")), "agent", str(path), "--data", str(data)]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        yield Process(running, 0, 0.0)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(30)


def agent() -> None:
    """Measure the whole way at a rate that a person can read."""
    brokers, topic = os.environ["BENCH_KAFKA"], f"bench-tail-{secrets.token_hex(4)}"
    admin = AdminClient({"bootstrap.servers": brokers})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(60)
    os.environ |= {
        "TAILRACE_KAFKA__BROKERS": brokers,
        "TAILRACE_KAFKA__TOPICS": topic,
        "TAILRACE_AGENT__TOPIC": topic,
    }
    with tempfile.TemporaryDirectory(dir=Path.home()) as name:
        folder = Path(name)
        log = folder / "app.log"
        log.touch()
        with (
            tailrace("serve", data=folder / "server") as server,
            shipping(log, folder / "agent") as shipper,
            log.open("ab", buffering=0) as file,
        ):
            viewers = Viewers(server.port, ["checkout"])

            def write(number: int) -> None:
                file.write(LINE % (number, time.time_ns()))

            viewers.watch(write, RATE * WARM_S, RATE)
            viewers.until(RATE * WARM_S)
            viewers.delays_ms.clear()
            used = server.cpu_s(), shipper.cpu_s()
            viewers.watch(write, RATE * SECONDS, RATE)
            viewers.until(RATE * (WARM_S + SECONDS))
            figure(
                "cluster_tail_missing_or_twice",
                abs(RATE * (WARM_S + SECONDS) - viewers.every[0].lines),
                "lines",
                asked=0,
            )
            figure("cluster_tail_p50", viewers.percentile(50), "ms", asked=20.0)
            figure("cluster_tail_p99", viewers.percentile(99), "ms", asked=80.0)
            figure("cluster_tail_cpu_of_the_server", (server.cpu_s() - used[0]) / SECONDS * 100, "% of a core")
            figure("cluster_tail_cpu_of_the_agent", (shipper.cpu_s() - used[1]) / SECONDS * 100, "% of a core")
            figure("cluster_tail_memory_of_the_server", server.status("VmHWM") / 1024, "MiB", asked=200.0)
            viewers.close()


PARTS = {"agent": agent}


def main(parts: Iterable[str] = PARTS) -> None:
    """Run the named parts."""
    for name in parts:
        PARTS[name]()
