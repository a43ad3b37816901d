"""A crash at any file operation of the store: what a new process finds is exactly what is before its checkpoint."""

import os
import shutil
import zlib
from contextlib import suppress

import numpy as np
import pytest

from tailrace.cursor import Cursor
from tailrace.errors import DataError, DiskFull
from tailrace.store import Search
from tailrace.store.parts import merge, part
from tailrace.store.parts.store import PartStore
from tests.store.logs import Everything, Word, expected, progress, random_batch, rows_of


class Crash(BaseException):
    """The process is gone."""


class Disk:
    """Counts file operations; from the given one on, every operation crashes (or fails once, as a full disk does).

    What was not synced when the process died is torn.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.left = 10**9
        self.error: OSError | None = None
        self._synced: set[int] = set()
        self._real_fsync = os.fsync
        patch.setattr(os, "fsync", self._fsync)
        for module, name in ((os, "replace"), (os, "link"), (shutil, "rmtree")):
            patch.setattr(module, name, self._counted(getattr(module, name)))

    def _fsync(self, handle: int) -> None:
        self._count()
        self._synced.add(os.fstat(handle).st_ino)

    def _counted(self, real):
        def call(*args, **options):
            self._count()
            return real(*args, **options)

        return call

    def _count(self) -> None:
        if self.left <= 0 and self.error is None:
            raise Crash
        self.left -= 1
        if self.left == 0 and self.error is not None:
            raise self.error

    def tear(self, directory, rng: np.random.Generator) -> None:
        """Lose what a power cut loses: the end, or all, of what was not synced."""
        for path in directory.rglob("*"):
            if path.is_file() and path.stat().st_ino not in self._synced and path.name != "lock":
                os.truncate(path, int(rng.integers(0, path.stat().st_size + 1)))


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(part, "BLOCK_ROWS", 16)
    monkeypatch.setattr(merge, "PARTS_MERGE_MIN", 3)


def check(store: PartStore, log: list, first: int) -> None:
    """Exactly the records [first, checkpoint) are there."""
    checkpoint = store.checkpoint
    with store.snapshot() as snapshot:
        for wanted in (Everything(), Word("failed")):
            search = Search(wanted, order="arrival")
            found = rows_of(snapshot.scan(search, progress()))
            stop = Cursor(1, 0) if checkpoint is None else checkpoint
            assert found == expected(log, Search(wanted, start=Cursor(1, first), stop=stop, order="arrival"))


def work(store: PartStore, log: list, rng: np.random.Generator) -> None:
    """Add what follows the checkpoint, flush, merge: one step of an indexer's life."""
    done = 0 if store.checkpoint is None else store.checkpoint.offset
    for batch in log:
        if batch.first.offset >= done:
            store.add(batch)
            if rng.random() < 0.7:
                store.flush()
            if rng.random() < 0.5:
                store.maintain(0)
    store.flush()
    store.maintain(0)


def plain_log(rng: np.random.Generator, batches: int) -> list:
    log, offset = [], 0
    for number in range(batches):
        log.append(random_batch(rng, int(rng.integers(1, 60)), 100 * number).placed(1, offset))
        offset = log[-1].next.offset
    return log


@pytest.mark.parametrize("seed", range(25))
def test_after_a_crash_at_any_step_every_record_before_the_checkpoint_is_there_once(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    disk = Disk(monkeypatch)
    log = plain_log(rng, 10)
    for _ in range(6):
        disk.left = int(rng.integers(1, 60))
        store = None
        try:
            store = PartStore(tmp_path / "parts")
            check(store, log, 0)
            work(store, log, rng)
        except Crash:
            pass
        if store is not None:
            store.close()
        disk.tear(tmp_path, rng)
    disk.left = 10**9
    store = PartStore(tmp_path / "parts")
    assert store.events == []
    work(store, log, rng)
    assert store.checkpoint == log[-1].next
    check(store, log, 0)
    store.close()


@pytest.mark.parametrize("step", range(1, 40, 2))
def test_a_full_disk_at_any_step_loses_nothing(tmp_path, monkeypatch, step):
    rng = np.random.default_rng(step)
    disk = Disk(monkeypatch)
    log = plain_log(rng, 8)
    store = PartStore(tmp_path / "parts")
    disk.error, disk.left = OSError(28, "No space left on device"), step
    waiting = list(log)
    while waiting or store.waiting_rows:
        try:
            if waiting:
                store.add(waiting[0])
                waiting.pop(0)
            store.flush()
            store.maintain(0)
        except DiskFull:
            continue
    assert store.checkpoint == log[-1].next
    check(store, log, 0)
    store.close()
    reopened = PartStore(tmp_path / "parts")
    check(reopened, log, 0)
    reopened.close()


@pytest.mark.parametrize("seed", range(10))
def test_a_crash_while_retention_drops_parts_leaves_an_unbroken_end(tmp_path, monkeypatch, seed):
    rng = np.random.default_rng(seed)
    disk = Disk(monkeypatch)
    log = plain_log(rng, 8)
    store = PartStore(tmp_path / "parts")
    for batch in log:
        store.add(batch)
        store.flush()
    store.close()
    disk.left = int(rng.integers(1, 12))
    limited = PartStore(tmp_path / "parts", retain_bytes=store.disk_bytes // 2)
    with suppress(Crash):
        limited.maintain(0)
    limited.close()
    disk.tear(tmp_path, rng)
    disk.left = 10**9
    reopened = PartStore(tmp_path / "parts")
    assert reopened.checkpoint == log[-1].next
    assert reopened.events == []
    check(reopened, log, reopened.held()[0][0].offset)
    reopened.close()


def test_a_damaged_manifest_is_made_again_from_the_parts(tmp_path):
    rng = np.random.default_rng(1)
    log = plain_log(rng, 8)
    store = PartStore(tmp_path / "parts")
    work(store, log, rng)
    store.close()
    (tmp_path / "parts" / "manifest").write_bytes(b"00000000\n{}")
    reopened = PartStore(tmp_path / "parts")
    assert reopened.checkpoint == log[-1].next
    assert reopened.events
    check(reopened, log, 0)
    reopened.close()


def test_a_manifest_of_another_format_is_not_overwritten(tmp_path):
    PartStore(tmp_path / "parts").close()
    text = b'{"format":99}'
    (tmp_path / "parts" / "manifest").write_bytes(b"%08x\n%b" % (zlib.crc32(text), text))
    with pytest.raises(DataError):
        PartStore(tmp_path / "parts")
