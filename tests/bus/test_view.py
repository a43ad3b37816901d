"""What a second process sees of a bus is what the writer has told it of, and nothing else."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.bus.view import BusView
from tailrace.cursor import Cursor
from tailrace.errors import Gone
from tests.batches import batch_of


def lines(batches) -> list[str]:
    return [message for batch in batches for message in batch.array("message").to_pylist()]


def append(bus: DiskBus, *messages: str) -> None:
    bus.append(batch_of(messages)).result()


@pytest.fixture
def bus(tmp_path: Path):
    made = DiskBus(tmp_path / "bus", segment_bytes=2_000, bytes_max=1)
    yield made
    made.close()


@pytest.fixture
def view(bus: DiskBus, tmp_path: Path):
    made = BusView(tmp_path / "bus", bus.epoch)
    yield made
    made.close()


@pytest.mark.parametrize("seed", range(5))
def test_it_reads_what_the_bus_reads_however_late_it_is_told(bus: DiskBus, view: BusView, seed: int) -> None:
    draw = random.Random(seed)
    known = 0
    for number in range(200):
        append(bus, *[f"{number} {row}" for row in range(draw.randrange(1, 5))])
        if draw.random() < 0.3:
            known = draw.randint(known, bus.next.offset)
            view.told(bus.first.offset, known)
        start = draw.randint(0, bus.next.offset)
        wanted = lines(bus.read(Cursor(bus.epoch, start), 1 << 20))[: max(known - start, 0)]
        assert lines(view.read(Cursor(bus.epoch, start), 1 << 20)) == wanted
    assert len(list(Path(bus._directory).glob("*.seg"))) > 3


def test_it_tells_who_waits(bus: DiskBus, view: BusView) -> None:
    calls: list[int] = []
    off = view.on_commit(lambda: calls.append(view.next.offset))
    append(bus, "one")
    view.told(0, 1)
    off()
    view.told(0, 2)
    assert calls == [1]


def test_what_retention_removed_is_gone_also_before_it_was_told(bus: DiskBus, view: BusView) -> None:
    for number in range(100):
        append(bus, f"line {number}")
    view.told(0, bus.next.offset)
    bus.release(bus.next)
    append(bus, "last")
    assert bus.first.offset > 0
    with pytest.raises(Gone):
        view.read(Cursor(bus.epoch, 0), 1 << 20)
    view.told(bus.first.offset, bus.next.offset)
    with pytest.raises(Gone):
        view.read(Cursor(bus.epoch, 0), 1 << 20)
    assert lines(view.read(bus.first, 1 << 20))[-1] == "last"


def test_a_removed_segment_is_let_go_when_that_is_told(bus: DiskBus, view: BusView) -> None:
    for number in range(100):
        append(bus, f"line {number}")
    view.told(0, bus.next.offset)
    view.read(Cursor(bus.epoch, 0), 1 << 20)
    bus.release(bus.next)
    append(bus, "last")

    def held() -> list[str]:
        links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
        found = [os.readlink(link) for link in links if os.path.lexists(link)]
        return [path for path in found if str(bus._directory) in path and path.endswith("(deleted)")]

    assert held()
    view.told(bus.first.offset, bus.next.offset)
    assert not held()


def test_another_log_is_not_read(bus: DiskBus, view: BusView) -> None:
    append(bus, "one")
    view.told(0, 1)
    with pytest.raises(Gone):
        view.read(Cursor(bus.epoch + 2, 0), 1 << 20)
