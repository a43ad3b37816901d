"""What every ``Store`` keeps; one suite for all implementations."""

import numpy as np
import pytest

from tailrace.cursor import Cursor
from tailrace.store import Cancelled, Progress, Search
from tailrace.store.parts.store import PartStore
from tests.store.clusters import CLUSTERS, clean, client_of, store_of
from tests.store.logs import Everything, Word, expected, progress, random_batch, random_search, rows_of


@pytest.fixture(params=["parts", *CLUSTERS])
def open_store(request, tmp_path):
    opened = []
    server = request.getfixturevalue(request.param) if request.param in CLUSTERS else None
    prefix, client = (server.prefix(), client_of(server)) if server else ("", None)

    def make():
        for store in opened:
            store.close()
        opened[:] = [PartStore(tmp_path / "store") if client is None else store_of(client, prefix)]
        return opened[0]

    yield make
    if client is not None:
        clean(client, prefix)
    for store in opened:
        store.close()


def fill(store, seed=1, batches=6):
    rng, log, offset = np.random.default_rng(seed), [], 0
    for number in range(batches):
        log.append(random_batch(rng, 50, 100 * number).placed(1, offset))
        offset = log[-1].next.offset
        store.add(log[-1])
    return log


def found(store, search):
    with store.snapshot() as snapshot:
        return rows_of(snapshot.scan(search, progress()))


def test_an_empty_store_has_no_checkpoint_and_finds_nothing(open_store):
    store = open_store()
    assert store.checkpoint is None
    assert found(store, Search(Everything(), order="newest")) == []


def test_what_was_flushed_is_there_and_the_checkpoint_is_behind_it(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    assert store.checkpoint == log[-1].next
    assert found(store, Search(Everything(), order="arrival")) == expected(log, Search(Everything(), order="arrival"))


def test_what_was_not_flushed_is_not_found(open_store):
    store = open_store()
    fill(store)
    assert found(store, Search(Everything())) == []


def test_what_was_flushed_is_there_after_opening_again(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    again = open_store()
    assert again.checkpoint == log[-1].next
    assert found(again, Search(Everything(), order="oldest")) == expected(log, Search(Everything(), order="oldest"))


def test_what_was_not_flushed_can_be_added_again_after_opening_again(open_store):
    store = open_store()
    fill(store)
    again = open_store()
    assert again.checkpoint is None
    log = fill(again)
    again.flush()
    assert len(found(again, Search(Everything()))) == sum(map(len, log))


def test_a_batch_before_the_checkpoint_is_a_fault(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    with pytest.raises(ValueError, match="behind"):
        store.add(log[0])


def test_a_snapshot_does_not_see_what_comes_later(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    with store.snapshot() as snapshot:
        store.add(random_batch(np.random.default_rng(2), 10, 0).placed(1, log[-1].next.offset))
        store.flush()
        assert snapshot.checkpoint == log[-1].next
        assert len(rows_of(snapshot.scan(Search(Everything()), progress()))) == sum(map(len, log))


@pytest.mark.parametrize("seed", range(5))
def test_a_search_finds_exactly_what_it_asks_for_in_its_order(open_store, seed):
    store = open_store()
    log = fill(store, seed)
    store.flush()
    rng = np.random.default_rng(seed)
    for _ in range(20):
        search = random_search(rng, log)
        rows = found(store, search)
        assert (rows if search.order else sorted(rows)) == expected(log, search), search


def test_a_cancelled_search_raises(open_store):
    store = open_store()
    fill(store)
    store.flush()
    cancelled = Progress(seconds_max=60)
    cancelled.cancel()
    with store.snapshot() as snapshot, pytest.raises(Cancelled):
        list(snapshot.scan(Search(Everything()), cancelled))


def test_a_search_out_of_time_raises_and_says_so(open_store):
    store = open_store()
    fill(store)
    store.flush()
    late = Progress(seconds_max=-1)
    with store.snapshot() as snapshot, pytest.raises(Cancelled):
        list(snapshot.scan(Search(Everything()), late))
    assert late.timed_out


def test_progress_counts_what_was_scanned_and_what_matched(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    counted = progress()
    with store.snapshot() as snapshot:
        rows = rows_of(snapshot.scan(Search(Word("failed")), counted))
    assert counted.matched == len(rows)
    assert counted.scanned_records == sum(map(len, log))
    assert counted.scanned_bytes > 0


def test_records_of_two_logs_are_found_in_one_order(open_store):
    store = open_store()
    log = fill(store)
    other = random_batch(np.random.default_rng(3), 40, 200).placed(2, 0)
    store.add(other)
    store.flush()
    assert store.checkpoint == Cursor(2, 40)
    rows = found(store, Search(Everything(), order="newest", limit=200))
    both = [(1, row) for row in expected(log, Search(Everything()))] + [(2, row) for row in rows_of([other])]
    both.sort(key=lambda one: (-one[1][1], -one[0], -one[1][0]))
    assert rows == [row for _, row in both[:200]]
    by_arrival = found(store, Search(Everything(), order="arrival"))
    assert by_arrival == expected(log, Search(Everything(), order="arrival")) + rows_of([other])


def test_held_are_the_ranges_that_are_stored(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    assert store.held() == [(log[0].first, log[-1].next)]


def test_held_since_a_moment_leaves_out_nothing_that_happened_later(open_store):
    store = open_store()
    log = fill(store)
    store.flush()
    newest = max(int(batch.numpy("time").max()) for batch in log)
    later = min(int(batch.offsets[batch.numpy("time") >= newest].min(initial=10**9)) for batch in log)
    ((first, behind),) = store.held(newest)
    assert log[0].first.offset <= first.offset <= later
    assert behind == log[-1].next
