"""The cluster as a store that others fill: what is seen of it, and what it does when the cluster is in trouble."""

import numpy as np
import pytest

from tailrace.cursor import Checkpoint, Cursor
from tailrace.query.filters.logic import Everything
from tailrace.record import Batch
from tailrace.store import Search
from tailrace.store.elastic import store as module
from tailrace.store.elastic.client import AnswerTooLarge
from tests.store.clusters import clean, client_of, store_of
from tests.store.logs import progress, random_batch, rows_of


@pytest.fixture
def cluster(search_server):
    client, prefix = client_of(search_server), search_server.prefix()
    yield client, prefix
    clean(client, prefix)
    client.close()


def partitions(*epochs, rows=30):
    rng = np.random.default_rng(1)
    return [random_batch(rng, rows, 1000).placed(epoch, 0) for epoch in epochs]


def found(store, search):
    with store.snapshot() as snapshot:
        return [(batch.epoch, row) for batch in snapshot.scan(search, progress()) for row in rows_of([batch])]


def test_a_search_sees_what_was_committed_and_nothing_behind_it(cluster):
    committed = Checkpoint.of([Cursor(7, 20), Cursor(2**63 + 5, 30)])
    store = store_of(*cluster, committed=lambda: committed)
    for batch in partitions(7, 2**63 + 5, 9):
        store.add(batch)
    rows = found(store, Search(Everything(), order="arrival"))
    assert [(epoch, row[0]) for epoch, row in rows] == [(7, n) for n in range(20)] + [(2**63 + 5, n) for n in range(30)]
    assert store.checkpoint == committed


def test_what_was_committed_before_a_search_is_found_without_waiting_for_a_refresh(cluster, monkeypatch):
    monkeypatch.setattr(module, "ELASTIC_REFRESH_S", 0)
    place = [Checkpoint.of([Cursor(7, 10)])]
    store = store_of(*cluster, committed=lambda: place[0])
    (batch,) = partitions(7)
    store.add(batch.slice(0, 10))
    assert len(found(store, Search(Everything()))) == 10
    store.add(batch.slice(10, 30))
    place[0] = Checkpoint.of([Cursor(7, 30)])
    assert len(found(store, Search(Everything()))) == 30


def test_searches_within_a_moment_share_one_refresh(cluster):
    asked = []
    store = store_of(*cluster, committed=lambda: asked.append(1) or Checkpoint.of([Cursor(7, 30)]))
    store.add(partitions(7)[0])
    for _ in range(5):
        found(store, Search(Everything(), limit=1, order="newest"))
    assert len(asked) == 1


def test_start_and_stop_of_several_logs_bound_each(cluster):
    store = store_of(*cluster, committed=lambda: Checkpoint.of([Cursor(7, 30), Cursor(8, 30), Cursor(9, 30)]))
    for batch in partitions(7, 8, 9):
        store.add(batch)
    start, stop = Checkpoint.of([Cursor(7, 25)]), Checkpoint.of([Cursor(7, 28), Cursor(8, 3)])
    rows = found(store, Search(Everything(), start=start, stop=stop, order="arrival"))
    assert [(epoch, row[0]) for epoch, row in rows] == [(7, 25), (7, 26), (7, 27), (8, 0), (8, 1), (8, 2)]


def test_held_says_where_each_log_begins_here_and_how_far_it_was_written(cluster):
    store = store_of(*cluster, committed=lambda: Checkpoint.of([Cursor(7, 30), Cursor(8, 12)]))
    one, other = partitions(7, 8)
    store.add(one.slice(5, 30))
    store.add(other)
    assert store.held() == [(Cursor(7, 5), Cursor(7, 30)), (Cursor(8, 0), Cursor(8, 12))]


def test_a_page_that_is_too_large_is_asked_for_in_pieces(cluster, monkeypatch):
    store = store_of(*cluster, committed=lambda: Checkpoint.of([Cursor(7, 30)]))
    (batch,) = partitions(7)
    store.add(batch)
    sizes, whole = [], cluster[0].raw

    def bounded(method, path, body=None, *more, **others):
        if path == "/_search":
            sizes.append(body["size"])
            if body["size"] > 10:
                raise AnswerTooLarge("too much")
        return whole(method, path, body, *more, **others)

    monkeypatch.setattr(cluster[0], "raw", bounded)
    rows = found(store, Search(Everything(), order="oldest"))
    assert len(rows) == 30
    assert max(sizes) > 10


def test_an_index_that_others_have_deleted_is_not_an_error(cluster):
    client, prefix = cluster
    store = store_of(client, prefix, committed=lambda: Checkpoint.of([Cursor(7, 30)]))
    store.add(partitions(7)[0])
    assert len(found(store, Search(Everything()))) == 30
    for name in client.indices(f"{prefix}-*"):
        client.delete_index(name)
    assert found(store, Search(Everything())) == []


def test_a_search_of_one_day_asks_the_indices_of_that_day(cluster):
    day = 86_400 * 10**9
    store = store_of(*cluster, committed=lambda: Checkpoint.of([Cursor(7, 30)]))
    (batch,) = partitions(7)
    times = np.full(30, 20_000 * day) + np.arange(30) % 3 * day
    moved = Batch.of(
        time=times,
        observed=times,
        level=batch.array("level"),
        stream=batch.array("stream"),
        message=batch.array("message"),
    ).placed(7, 0)
    store.add(moved)
    one = Search(Everything(), first_ns=20_001 * day, last_ns=20_001 * day + 5)
    assert len(found(store, one)) == 10
    with store.snapshot() as snapshot:
        list(snapshot.scan(one, progress()))
        assert list(snapshot._pits) == [f"{cluster[1]}-2024.10.05,{cluster[1]}-undated-*"]
