"""What does it cost with many machines? Real servers, named in the environment:

    BENCH_KAFKA=127.0.0.1:9092 BENCH_ELASTIC=http://127.0.0.1:9200 make bench ARGS="cluster index"

index     `tailrace index` brings a topic with a million lines (as an agent sends them: text, and JSON with four parsed
          fields) into the cluster: its CPU a line from the first document to the last, its memory, and by how much that
          grew between a tenth and all of the lines. The cluster's own CPU is not counted.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.agent import texts
from bench.figure import figure
from bench.ingest import lines
from bench.process import Process, free_port
from tailrace.bus.message import encode
from tailrace.pipeline.foreign import understand
from tailrace.record import Stream

LINES = int(os.environ.get("BENCH_CLUSTER_LINES", "1_000_000"))
BATCH_LINES = 1_000
PARTITIONS = 4
HOSTS = 16
EPOCH = 0x7F3A


def fill(kafka: str, topic: str, made: list[bytes]) -> None:
    """Send LINES lines to a new topic, as the agents of some hosts would; those that are made come again and again."""
    admin = AdminClient({"bootstrap.servers": kafka})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(60)
    producer = Producer(
        {"bootstrap.servers": kafka, "compression.type": "zstd", "queue.buffering.max.kbytes": 262_144, "linger.ms": 20}
    )
    now = time.time_ns()
    for first in range(0, LINES, BATCH_LINES):
        host = first // BATCH_LINES % HOSTS
        stream = Stream.of({"service": "checkout", "host": f"web-{host}", "path": f"/var/log/shop/app-{host}.log"})
        values = pa.array([made[n % len(made)] for n in range(first, first + BATCH_LINES)], pa.binary())
        times = np.full(BATCH_LINES, now + first * 1_000, np.int64)
        batch = understand(values, stream, times).placed(EPOCH, first)
        sent = encode(batch, source=f"agent:{EPOCH:x}")
        for value, headers, stamp in zip(sent.values, sent.headers, sent.times_ms, strict=True):
            while True:
                with contextlib.suppress(BufferError):
                    producer.produce(topic, value, headers=headers, timestamp=stamp, partition=host % PARTITIONS)
                    break
                producer.poll(0.1)
        producer.poll(0)
    producer.flush()


@contextlib.contextmanager
def indexer(kafka: str, elastic: str, topic: str) -> Iterator[Process]:
    """Run an indexer with indices of its own, which go with it."""
    port, prefix = free_port(), f"bench-{secrets.token_hex(4)}"
    words = ["--kafka", kafka, "--topic", topic, "--elastic", elastic, "--index", prefix]
    words += ["--listen", f"127.0.0.1:{port}"]
    running = subprocess.Popen(
        [sys.executable, "-m", "tailrace.cli", "index", *words],
        stdout=subprocess.DEVNULL,
        env={**os.environ, "TAILRACE_ELASTIC__REPLICAS": "0"},
    )
    try:
        yield Process(running, port, 0.0)
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(60)
        for path in (f"/{prefix}-*", f"/_index_template/{prefix}"):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(urllib.request.Request(elastic + path, method="DELETE")).close()


def done(process: Process) -> int:
    """Return how many lines are settled; 0 while it does not answer yet."""
    with contextlib.suppress(OSError):
        connection = process.connect()
        connection.request("GET", "/api/v1/status")
        said = json.loads(connection.getresponse().read())
        return said["written"] + said["there"]
    return 0


def index() -> None:
    """Index a topic of text, and one of JSON."""
    kafka, elastic = os.environ["BENCH_KAFKA"], os.environ["BENCH_ELASTIC"]
    kinds = {"text": texts(100_000), "json": lines(0, 100_000)}
    for kind, content in kinds.items():
        topic = f"bench-{kind}-{secrets.token_hex(4)}"
        fill(kafka, topic, content.splitlines())
        with indexer(kafka, elastic, topic) as process:
            while not (first := done(process)):
                time.sleep(0.1)
            cpu, started, early = process.cpu_s(), time.monotonic(), 0
            while (now := done(process)) < LINES:
                if not early and now >= LINES // 10:
                    early = process.status("VmHWM")
                time.sleep(0.5)
            took, cpu = time.monotonic() - started, process.cpu_s() - cpu
            figure(f"index_{kind}", cpu / (LINES - first) * 1e6, "CPU-us/line", asked=8)
            figure(f"index_{kind}_speed", (LINES - first) / took, "lines/s")
            figure(f"index_{kind}_memory_peak", process.status("VmHWM") / 1024, "MiB", asked=200)
            figure(f"index_{kind}_memory_growth", (process.status("VmHWM") - early) / 1024, "MiB")
        AdminClient({"bootstrap.servers": kafka}).delete_topics([topic])[topic].result(60)


PARTS = {"index": index}


def main(parts: Sequence[str] = tuple(PARTS)) -> None:
    """Measure the parts that are named."""
    for name in parts:
        PARTS[name]()
