"""Search and indexing: 3 million messages of about 190 bytes, in parts as the indexer leaves them."""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bench.figure import figure
from tailrace.bus.disk import DiskBus
from tailrace.limits import PART_ROWS_FLUSH
from tailrace.query import parse
from tailrace.record import Batch, Stream
from tailrace.store import Order, Progress, Search
from tailrace.store.parts.store import PartStore
from tailrace.store.search import History

ROWS = 3_000_000
BATCH_ROWS = 16_384
START_NS = 1_760_000_000_000_000_000
RATE = 20_000
SERVICES = ("checkout", "auth", "search", "cart", "mailer", "gateway")
PHRASES = (
    "payment accepted for order",
    "session refreshed while handling order",
    "inventory reserved for order",
    "connection reset by peer while sending order",
    "request completed with status 200 for order",
)


def messages(rng: np.random.Generator, first: int, rows: int) -> Batch:
    """Deterministic records: a request id and an order in each, twelve streams, RATE lines a second."""
    streams = [
        Stream.of({"service": name, "host": f"web-{host}", "path": f"/var/log/{name}.log"})
        for name in SERVICES
        for host in (1, 2)
    ]
    codes = rng.integers(0, len(streams), rows).astype(np.int32)
    text = pc.binary_join_element_wise(
        pa.array(["GET", "POST", "PUT"]).take(pa.array(rng.integers(0, 3, rows))),
        "/api/v1/orders",
        pa.array(PHRASES).take(pa.array(rng.integers(0, len(PHRASES), rows))),
        pa.array(rng.integers(0, 100_000, rows)).cast(pa.string()),
        "user",
        pa.array(rng.integers(0, 5_000, rows)).cast(pa.string()),
        "request_id",
        pa.array(rng.integers(10**14, 10**15, rows)).cast(pa.string()),
        "duration_ms",
        pa.array(rng.integers(1, 3_000, rows)).cast(pa.string()),
        "region eu-central-1 pool primary worker thread finished cleanly",
        " ",
    )
    times = START_NS + np.sort((first + rng.random(rows) * rows) * (1e9 / RATE)).astype(np.int64)
    return Batch.of(
        time=times,
        observed=times + 1_000_000,
        level=rng.choice([3, 3, 3, 3, 4, 5], rows).astype(np.uint8),
        stream=pa.DictionaryArray.from_arrays(pa.array(codes), pa.array([stream.json for stream in streams])),
        message=text,
    )


def main() -> None:
    """Fill a store, then ask it."""
    with tempfile.TemporaryDirectory() as directory:
        _measure(Path(directory))


def _measure(directory: Path) -> None:
    store = PartStore(directory / "parts")
    rng = np.random.default_rng(1)
    raw = adding_s = maintaining_s = 0.0
    offset = 0
    while offset < ROWS:
        batch = messages(rng, offset, BATCH_ROWS).placed(1, offset)
        offset += len(batch)
        raw += batch.nbytes
        began = time.process_time()
        store.add(batch)
        if store.waiting_rows >= PART_ROWS_FLUSH:
            store.flush()
            adding_s += time.process_time() - began
            began = time.process_time()
            while store.maintain(0):
                pass
            maintaining_s += time.process_time() - began
        else:
            adding_s += time.process_time() - began
    store.flush()
    figure("index.lines_per_cpu_second", offset / adding_s, "lines/s", asked=120_000, better="more")
    figure("index.merge_lines_per_cpu_second", offset / maintaining_s, "lines/s")
    figure("index.peak_memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MiB", asked=400)
    tokens = sum((part.directory / "tokens").stat().st_size for part in store.parts)
    figure("index.tokens_size", 100 * tokens / raw, "% of raw", asked=6)
    figure("index.disk_size", 100 * store.disk_bytes / raw, "% of raw")
    figure("index.parts", len(store.parts), "parts")
    bus = DiskBus(directory / "bus")
    history = History(bus, store)
    _ask("search.absent_word", history, "nowhere", asked=20)
    _ask("search.frequent_word", history, "payment", asked=50)
    _ask("search.newest", history, "", asked=50)
    _ask("search.arrival_newest", history, "", order="arrival_newest")
    _ask("search.two_words_and_a_label", history, "payment -accepted service:auth")
    _ask("search.substring_absent", history, "*owhere*")
    everything = _search("")
    _best("search.histogram", lambda: history.histogram(everything, 1_000_000_000, None, _progress()))
    _best("search.values", lambda: history.values(everything, "service", 10, _progress()))
    _best("search.streams", lambda: history.streams(everything, _progress()))
    store.close()
    bus.close()


def _search(text: str, **given: Any) -> Search:
    query = parse(text, START_NS)
    first, last = query.times()
    return Search(query.filter, first, last, **given)


def _ask(name: str, history: History, text: str, *, order: Order = "newest", asked: float | None = None) -> None:
    _best(name, lambda: list(history.scan(_search(text, order=order, limit=100), _progress())), asked=asked)


def _best(name: str, call: Callable[[], object], *, asked: float | None = None) -> None:
    def took() -> float:
        began = time.perf_counter()
        call()
        return (time.perf_counter() - began) * 1000

    figure(f"{name}.first", took(), "ms", asked=asked)
    figure(name, sorted(took() for _ in range(5))[2], "ms", asked=asked)


def _progress() -> Progress:
    return Progress(seconds_max=60)
