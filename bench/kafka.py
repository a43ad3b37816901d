"""What does Kafka cost? With real brokers, named in the environment: BENCH_KAFKA=127.0.0.1:9092 make bench ARGS=kafka

ship  `tailrace agent` brings a file with a million lines (text of 120 bytes, JSON of 220) to a topic: all its CPU per
      line, from the moment that the file is there to the last line on the topic: reading, parsing, the spool and the
      sending; what the start of the process costs; the peak of its memory, and by how much that grew between a tenth
      and all of the lines
read  a topic with those lines is read from its beginning, decoded, and filtered by a word: messages a second
"""

from __future__ import annotations

import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from confluent_kafka.admin import AdminClient

from bench.agent import texts
from bench.figure import figure
from bench.ingest import lines
from bench.process import Process
from tailrace.bus.brokers import Brokers
from tailrace.bus.kafka import KafkaLog
from tailrace.pipeline.foreign import understand
from tailrace.query.parse import parse

LINES = int(os.environ.get("BENCH_KAFKA_LINES", "1_000_000"))
DISTINCT = 100_000
PARTITIONS = 4
KINDS = {"text": texts, "json": lambda count: lines(0, count)}


def opened(topic: str) -> KafkaLog:
    """Return a topic as a log."""
    return KafkaLog(Brokers(tuple(os.environ["BENCH_KAFKA"].split(","))), [topic], understand)


def on_topic(log: KafkaLog) -> int:
    """Return how many messages the topic has."""
    return sum(cursor.offset for cursor in log.next.cursors)


@contextlib.contextmanager
def shipped(kind: str, directory: Path) -> Iterator[tuple[str, Process, float]]:
    """Ship a file to a new topic, which goes afterwards: yields it, the agent, and the CPU seconds of its start.

    The file is there when the agent has started.
    """
    topic = f"bench-{secrets.token_hex(4)}"
    file = directory / f"{kind}.log"
    block = KINDS[kind](DISTINCT)
    with (written := file.with_suffix(".new")).open("wb") as out:
        for _ in range(LINES // DISTINCT):
            out.write(block)
    environment = {"TAILRACE_AGENT__TOPIC": topic, "TAILRACE_KAFKA__PARTITIONS": str(PARTITIONS)}
    words = ["agent", str(file), "--data", str(directory / f"data-{kind}"), "--kafka", os.environ["BENCH_KAFKA"]]
    running = subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli", *words], stdout=subprocess.DEVNULL, env={**os.environ, **environment}
    )
    process = Process(running, 0, 0.0)
    try:
        used = -1.0
        while (now := process.cpu_s()) > used + 0.05:
            used = now
            time.sleep(1)
        written.rename(file)
        yield topic, process, now
    finally:
        running.terminate()
        running.wait(60)
        file.unlink(missing_ok=True)
        admin = AdminClient({"bootstrap.servers": os.environ["BENCH_KAFKA"]})
        admin.delete_topics([topic])[topic].result(60)


def ship() -> None:
    """Measure an agent with each kind of lines."""
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name, shipped(kind, Path(name)) as (topic, process, start):
            log, started, early = opened(topic), time.monotonic(), 0
            while (now := on_topic(log)) < LINES:
                if not early and now >= LINES // 10:
                    early = process.status("VmHWM")
                time.sleep(0.2)
            log.close()
            peak = process.status("VmHWM")
            figure(f"ship_{kind}", (process.cpu_s() - start) / LINES * 1e6, "CPU-us/line", asked=6)
            figure(f"ship_{kind}_start", start, "CPU-s")
            figure(f"ship_{kind}_speed", LINES / (time.monotonic() - started), "lines/s")
            figure(f"ship_{kind}_memory_peak", peak / 1024, "MiB", asked=200)
            figure(f"ship_{kind}_memory_growth", (peak - early) / 1024, "MiB")


def read() -> None:
    """Measure a reader of all there is."""
    wanted = parse("4242", now_ns=time.time_ns()).filter
    for kind in KINDS:
        with tempfile.TemporaryDirectory() as name, shipped(kind, Path(name)) as (topic, _, _):
            log = opened(topic)
            while on_topic(log) < LINES:
                time.sleep(0.2)
            cpu, started, rows, found = time.process_time(), time.monotonic(), 0, 0
            for end in log.next.cursors:
                at = end.beginning
                while at < end:
                    for batch in log.read(at, 1 << 20):
                        rows, found, at = rows + len(batch), found + int(wanted.matches(batch).sum()), batch.next
            took, cpu = time.monotonic() - started, time.process_time() - cpu
            log.close()
            figure(f"read_{kind}", rows / took, "messages/s", asked=150_000, better="more")
            figure(f"read_{kind}_cost", cpu / rows * 1e6, "CPU-us/message")
            figure(f"read_{kind}_found", found, "records")


PARTS = {"ship": ship, "read": read}


def main(parts: Sequence[str] = tuple(PARTS)) -> None:
    """Measure the parts that are named."""
    for name in parts:
        PARTS[name]()
