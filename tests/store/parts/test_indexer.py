"""The indexer: from the bus into parts, whatever the disk says."""

import time

import numpy as np
import pytest

from tailrace.errors import DiskFull
from tailrace.store import Search
from tailrace.store.parts import indexer as module
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartStore
from tests.store.logs import Everything, append, open_bus, progress, random_batch, rows_of


@pytest.fixture
def made(tmp_path):
    bus, store = open_bus(tmp_path), PartStore(tmp_path / "parts")
    yield bus, store
    store.close()
    bus.close()


def wait_for(condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def fill(bus, batches=5):
    rng = np.random.default_rng(1)
    return [append(bus, random_batch(rng, 40, number)) for number in range(batches)]


def test_what_is_on_the_bus_gets_into_the_store_and_the_bus_is_told(made):
    bus, store = made
    fill(bus)
    indexer = Indexer(bus, store, age_s=0)
    indexer.start()
    wait_for(lambda: store.checkpoint == bus.next)
    indexer.stop()
    assert store.rows == 200


def test_stopping_flushes_what_was_read(made):
    bus, store = made
    fill(bus)
    indexer = Indexer(bus, store)
    indexer.start()
    wait_for(lambda: store.waiting_rows == 200)
    indexer.stop()
    assert store.checkpoint == bus.next


def test_a_part_is_written_when_enough_rows_wait(made, monkeypatch):
    monkeypatch.setattr(module, "PART_ROWS_FLUSH", 80)
    bus, store = made
    fill(bus)
    indexer = Indexer(bus, store)
    for _ in range(5):
        indexer.step(0)
    assert [part.total_rows for part in store.parts] == [80, 80]


def test_a_new_indexer_goes_on_at_the_checkpoint(made):
    bus, store = made
    fill(bus)
    first = Indexer(bus, store)
    first.step(0)
    first.flush()
    fill(bus)
    second = Indexer(bus, store)
    second.step(0)
    second.flush()
    with store.snapshot() as snapshot:
        rows = rows_of(snapshot.scan(Search(Everything(), order="arrival"), progress()))
    assert [row[0] for row in rows] == list(range(400))


def test_a_full_disk_is_reported_and_tried_again(made, monkeypatch):
    bus, store = made
    fill(bus)
    flush, full = store.flush, [True]

    def refuse():
        if full[0]:
            raise DiskFull("no room")
        flush()

    monkeypatch.setattr(store, "flush", refuse)
    indexer = Indexer(bus, store, age_s=0, retry_s=0.01)
    indexer.start()
    wait_for(lambda: indexer.error is not None)
    full[0] = False
    wait_for(lambda: store.checkpoint == bus.next and indexer.error is None)
    indexer.stop()
    assert store.rows == 200


def test_a_store_of_another_log_begins_with_the_new_one(made):
    bus, store = made
    store.add(random_batch(np.random.default_rng(1), 10, 0).placed(12345, 0))
    store.flush()
    fill(bus)
    indexer = Indexer(bus, store)
    indexer.step(0)
    indexer.flush()
    assert store.checkpoint == bus.next
    assert store.rows == 210
