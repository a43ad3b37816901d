"""What the embedded store does besides the contract: damage, locks, references, retention."""

import os
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from tailrace.errors import Damaged, DataError, Locked
from tailrace.store import Search
from tailrace.store.parts import merge, part
from tailrace.store.parts.store import PartStore
from tests.batches import batch_of
from tests.store.logs import Everything, Word, expected, progress, random_batch, rows_of


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(part, "BLOCK_ROWS", 16)
    monkeypatch.setattr(merge, "PARTS_MERGE_MIN", 3)


@pytest.fixture
def made(tmp_path):
    """Four parts of fifty records."""
    store = PartStore(tmp_path)
    rng, log = np.random.default_rng(1), []
    for number in range(4):
        log.append(random_batch(rng, 50, 100 * number).placed(1, 50 * number))
        store.add(log[-1])
        store.flush()
    yield store, log
    store.close()


def found(store, wanted=None):
    with store.snapshot() as snapshot:
        return rows_of(snapshot.scan(Search(wanted or Everything(), order="arrival"), progress()))


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 255
    path.write_bytes(data)


def test_a_second_process_is_refused(made, tmp_path):
    with pytest.raises(Locked):
        PartStore(tmp_path)


def test_any_tool_that_reads_parquet_reads_a_part(made, tmp_path):
    store, log = made
    table = pq.read_table(store.parts[0].directory / "data.parquet")
    assert str(table.schema.field("time").type) == "timestamp[ns, tz=UTC]"
    assert sorted(table["message"].to_pylist()) == sorted(log[0].array("message").to_pylist())


@pytest.mark.parametrize("name", ["data.parquet", "tokens", "part.json"])
def test_a_part_that_was_cut_is_set_aside_at_the_start(made, tmp_path, name):
    store, log = made
    directory = store.parts[1].directory
    store.close()
    os.truncate(directory / name, 20)
    reopened = PartStore(tmp_path)
    assert (tmp_path / "damaged" / directory.name).is_dir()
    assert len(reopened.events) == 1
    assert found(reopened) == expected([log[0], *log[2:]], Search(Everything(), order="arrival"))
    assert reopened.checkpoint == log[-1].next
    reopened.close()


@pytest.mark.parametrize(("name", "place"), [("data.parquet", 300), ("tokens", 20)])
def test_a_changed_byte_fails_the_search_that_meets_it_and_sets_the_part_aside(made, tmp_path, name, place):
    store, log = made
    directory = store.parts[1].directory
    flip(directory / name, place)
    with pytest.raises(Damaged):
        found(store, Word("failed"))
    assert found(store) == expected([log[0], *log[2:]], Search(Everything(), order="arrival"))
    assert (tmp_path / "damaged" / directory.name).is_dir()
    assert store.events


def test_a_merge_that_meets_a_damaged_part_sets_it_aside(made, tmp_path):
    store, _ = made
    flip(store.parts[2].directory / "data.parquet", 300)
    assert store.maintain(0)
    assert store.rows == 150
    assert store.events


def test_merged_parts_stay_until_the_last_snapshot_that_has_them_closes(made):
    store, log = made
    old = [one.directory for one in store.parts]
    with store.snapshot() as snapshot:
        assert store.maintain(0)
        assert len(store.parts) == 2
        assert all(directory.exists() for directory in old)
        rows = rows_of(snapshot.scan(Search(Everything(), order="arrival"), progress()))
        assert rows == expected(log, Search(Everything(), order="arrival"))
    assert not any(directory.exists() for directory in old[:3])
    assert found(store) == rows


def test_parts_whose_newest_observation_is_too_old_go(tmp_path):
    store = PartStore(tmp_path, retain_s=1e-7)
    rng = np.random.default_rng(1)
    for number in range(2):
        store.add(random_batch(rng, 10, 100 * number).placed(1, 10 * number))  # observed 0, then 100
        store.flush()
    assert store.maintain(150)
    assert store.held() == [(store.parts[0].first, store.checkpoint)]
    assert store.rows == 10
    store.close()


def test_parts_of_which_everything_happened_before_a_moment_are_not_held_since(tmp_path):
    store = PartStore(tmp_path)
    for number, first_ns in enumerate((500, 100, 900)):
        store.add(batch_of(["a", "b"], time=first_ns).placed(1, 2 * number))
        store.flush()
    ranges = store.held()
    assert [store.held(since) for since in (101, 102, 501, 902)] == [
        ranges,
        [ranges[0], ranges[2]],
        [ranges[0], ranges[2]],
        [],
    ]
    store.close()


def test_the_oldest_parts_go_when_all_are_too_large(made, tmp_path):
    store, log = made
    store.close()
    limited = PartStore(tmp_path, retain_bytes=store.parts[2].disk_bytes + store.parts[3].disk_bytes)
    limited.maintain(0)
    assert found(limited) == expected(log[2:], Search(Everything(), order="arrival"))
    assert limited.checkpoint == log[-1].next
    limited.close()


def test_a_directory_that_cannot_be_made_is_a_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        PartStore(tmp_path / "file" / "parts")


def test_a_gap_in_the_log_begins_another_part(made):
    store, _ = made
    store.add(random_batch(np.random.default_rng(2), 5, 0).placed(1, 200))
    store.add(random_batch(np.random.default_rng(2), 5, 0).placed(1, 300))
    store.flush()
    assert [(first.offset, behind.offset) for first, behind in store.held()][-2:] == [(200, 205), (300, 305)]


def test_the_background_work_merges_after_flushes(made):
    store, _ = made
    store.start()
    deadline = time.monotonic() + 10
    while len(store.parts) > 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(store.parts) == 2
