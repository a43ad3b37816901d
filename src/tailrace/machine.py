"""Where one machine keeps its records: bus and store in the data directory, and what goes from the one to the other.

store (its checkpoint) -> bus (never before it) -> indexer
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tailrace.bus.disk import DiskBus
from tailrace.config import Config, seconds, size
from tailrace.metrics import Metrics
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartStore
from tailrace.text import bytes_text


class Machine:
    """The data directory, which its caller holds."""

    refusal = ""
    """Why blocks of agents are not taken."""
    tail_processes_max: int | None = None
    """How many processes may deliver beside this one; None: as many as there are cores for."""

    def __init__(self, config: Config, directory: Path) -> None:
        """Open store and bus. Raises DataError."""
        self.name = str(directory)
        self.store = PartStore(
            directory / "store",
            retain_s=seconds(config.store.retain),
            retain_bytes=size(config.store.retain_bytes),
        )
        self.bus = DiskBus(directory / "bus", resume=self.store.checkpoint)
        self.indexer = Indexer(self.bus, self.store)

    def start(self) -> None:
        """Begin to index."""
        self.store.start()
        self.indexer.start()

    def close(self) -> None:
        """Store what was taken, and let go of the directory."""
        self.indexer.stop()
        self.store.close()
        self.bus.close()

    @property
    def lag(self) -> int:
        """How many records the indexer is behind, while it does what it can."""
        return 0 if self.indexer.error else self.waiting

    @property
    def records(self) -> int:
        """How many records there are."""
        return self.store.rows + self.waiting

    @property
    def waiting(self) -> int:
        """How many of them are not in a part yet."""
        stored = self.store.checkpoint
        return self.bus.next - stored if stored else self.bus.next - self.bus.first

    @property
    def bus_bytes(self) -> int:
        """What the bus takes on disk."""
        return self.bus.bytes

    @property
    def store_bytes(self) -> int:
        """What the parts take on disk."""
        return self.store.disk_bytes

    @property
    def parts(self) -> int:
        """How many parts there are."""
        return len(self.store.parts)

    @property
    def size(self) -> str:
        """What all of it takes, for people."""
        return f" ({bytes_text(self.store_bytes + self.bus_bytes)})"

    def problems(self) -> Iterator[str]:
        """Yield what is wrong now or was lost since the start."""
        yield from (f"the store: {event}" for event in self.store.events)
        if self.bus.damaged_records:
            yield f"damage of the bus has cost {self.bus.damaged_records} records"
        if self.indexer.lost:
            yield f"{self.indexer.lost} records were gone from the bus before they were stored"
        if self.bus.error:
            yield self.bus.error
        if self.indexer.error:
            yield self.indexer.error.message

    def measure(self, metrics: Metrics) -> None:
        """Add what only a machine has to the metrics."""
        metrics.gauge("bus_bytes", "Size of the bus on disk.", lambda: self.bus_bytes)
        metrics.gauge("store_bytes", "Size of the parts on disk.", lambda: self.store_bytes)
        metrics.gauge("parts", "Parts of the store.", lambda: self.parts)
        metrics.gauge("damaged_records", "Records that damage of the bus has cost.", lambda: self.bus.damaged_records)
