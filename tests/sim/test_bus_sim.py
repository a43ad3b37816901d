"""The bus is stopped at every step it takes on the disk, with whatever an unsynced disk may keep, and opened again."""

import contextlib
import errno
import os
import random
from pathlib import Path

import pytest

from tailrace.bus import disk as disk_module
from tailrace.bus import ledger as ledger_module
from tailrace.bus import segment as segment_module
from tailrace.bus.disk import DiskBus
from tailrace.cursor import Cursor
from tailrace.errors import DiskFull
from tests.batches import batch_of, messages_of


class PowerLoss(BaseException):
    """The machine stopped here."""


class Disk:
    """Stands where ``os`` stands: counts the steps, fails at one, and knows which bytes were not synced."""

    def __init__(self, chance: random.Random, stop_at: int, full_at: int) -> None:
        self.chance = chance
        self.steps = 0
        self.stop_at = stop_at
        self.full_at = full_at
        self.unsynced: dict[int, list[tuple[int, int]]] = {}

    def __getattr__(self, name):
        return getattr(os, name)

    def step(self) -> None:
        self.steps += 1
        if self.steps == self.stop_at:
            self.lose_power()
            raise PowerLoss
        if self.steps == self.full_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def pwrite(self, fd, data, position):
        self.step()
        length = self.chance.randint(1, len(data))
        written = os.pwrite(fd, bytes(data)[:length], position)
        self.unsynced.setdefault(fd, []).append((position, written))
        return written

    def fdatasync(self, fd):
        self.step()
        self.unsynced.pop(fd, None)

    fsync = fdatasync

    def ftruncate(self, fd, size):
        self.step()
        os.ftruncate(fd, size)

    def replace(self, old, new):
        self.step()
        os.replace(old, new)

    def close(self, fd):
        self.unsynced.pop(fd, None)
        os.close(fd)

    def lose_power(self) -> None:
        """Of what was not synced, any pages survive, or zeros in their place, or nothing."""
        for fd, writes in self.unsynced.items():
            for position, length in writes:
                fate = self.chance.choice(["kept", "zeros", "half"])
                if fate == "zeros":
                    os.pwrite(fd, bytes(length), position)
                elif fate == "half":
                    os.pwrite(fd, bytes(length - length // 2), position + length // 2)


def run(
    directory: Path,
    disk: Disk,
    chance: random.Random,
    acknowledged: list[str],
    written: list[str],
    *,
    releasing: bool,
) -> None:
    """Write until the power goes; ``acknowledged`` collects what was promised, ``written`` all that was tried.

    When ``releasing``, it is a spool: somebody takes what is there, which may then go.
    """
    bus = DiskBus(directory, threaded=False, segment_bytes=3000, bytes_max=0)
    known = bus.taken("file:1")
    number = known.next if known else 0
    for _ in range(12):
        size = chance.randint(1, 3)
        messages = [f"line {number + index}" for index in range(size)]
        written[number:] = messages
        done = bus.append(batch_of(messages, source="file:1", first=number))
        bus.commit()
        if not isinstance(done.exception(0), DiskFull):
            acknowledged[number:] = messages
            number += size
        if releasing:
            bus.release(Cursor(bus.epoch, chance.randint(bus.first.offset, bus.next.offset)))
    bus.close()


@pytest.mark.parametrize("releasing", [False, True], ids=["kept", "released"])
@pytest.mark.parametrize("seed", range(150))
def test_what_was_acknowledged_is_there_once_and_in_order_whatever_stops_it(tmp_path, monkeypatch, seed, releasing):
    chance = random.Random(seed)
    acknowledged: list[str] = []
    written: list[str] = []
    for _ in range(4):
        disk = Disk(chance, stop_at=chance.randint(1, 90), full_at=chance.randint(1, 120))
        with monkeypatch.context() as patch:
            for module in (disk_module, ledger_module, segment_module):
                patch.setattr(module, "os", disk)
            with contextlib.suppress(PowerLoss, OSError):
                run(tmp_path, disk, chance, acknowledged, written, releasing=releasing)
        bus = DiskBus(tmp_path, threaded=False)
        batches = bus.read(bus.first, 1 << 30)
        found = messages_of(batches)
        first, end = bus.first.offset, bus.next.offset
        assert releasing or not first
        assert found[: len(acknowledged) - first] == acknowledged[first:]
        assert found == written[first:end]
        assert [n for b in batches for n in b.offsets.tolist()] == list(range(first, end))
        taken = bus.taken("file:1")
        assert (taken.next if taken else 0) == end
        acknowledged[first:] = found
