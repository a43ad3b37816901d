"""A query means the same in the store on disk, in OpenSearch and in Elasticsearch: records, order, pages and counts.

TAILRACE_CLUSTER_EXAMPLES says how many random queries are asked of each (25).
"""

import os
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.bus.disk import DiskBus
from tailrace.query import parse
from tailrace.record import Batch
from tailrace.store import Grouping, Search
from tailrace.store.elastic.compile import compiled
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartStore
from tailrace.store.search import History
from tests.query.strategies import NOW_NS, batch_of, random_filters, random_records
from tests.store.clusters import CLUSTERS, clean, client_of, store_of
from tests.store.logs import append, progress

EXAMPLES = int(os.environ.get("TAILRACE_CLUSTER_EXAMPLES", "25"))
ORDERS = ("newest", "oldest", "arrival", "arrival_newest")
OTHER_EPOCH = 9
"""A log before that of the bus, whose epoch is drawn."""


def random_batches() -> list[Batch]:
    """Batches of random records, the same each time, and each message once as long as Lucene takes no token."""
    found: list[Batch] = []

    @settings(max_examples=120, derandomize=True, database=None, deadline=None)
    @given(random_records(max_size=12))
    def gather(records: list[dict[str, Any]]) -> None:
        if len(found) % 40 == 0:
            records[0]["message"] += " " + "error" * 70
            records[-1]["fields"] = {"order": "a" * 300 + "7", "x" * 150: "error"}
        found.append(batch_of(records))

    gather()
    return found


@pytest.fixture(scope="module")
def logs(request, tmp_path_factory):
    """One bus and three stores that hold it but for the end, and a second log."""
    directory = tmp_path_factory.mktemp("logs")
    bus, parts = DiskBus(directory / "bus"), PartStore(directory / "store")
    servers = {name: request.getfixturevalue(name) for name in CLUSTERS}
    clients = {name: client_of(server) for name, server in servers.items()}
    prefixes = {name: server.prefix() for name, server in servers.items()}
    stores = {"parts": parts, **{name: store_of(client, prefixes[name]) for name, client in clients.items()}}
    batches = random_batches()
    append(bus, Batch.concat(batches[:100]))
    other = Batch.concat(batches[60:]).placed(OTHER_EPOCH, 3)
    for store in stores.values():
        store.add(other)
        indexer = Indexer(bus, store)
        while indexer.step(0):
            pass
        indexer.flush()
    append(bus, Batch.concat(batches[100:]))
    yield bus, stores
    for name, client in clients.items():
        clean(client, prefixes[name])
    for one in (bus, *stores.values()):
        one.close()


def rows_of(scan: Any) -> list[bytes]:
    return [row for batch in scan for row in batch.json_rows()]


def answers(logs: Any, ask: Any) -> list[Any]:
    """What each store says; the one on disk is the first."""
    bus, stores = logs
    return [ask(History(bus, store), store) for store in stores.values()]


def agreed(found: list[Any]) -> Any:
    on_disk, *others = found
    assert all(one == on_disk for one in others), dict(zip(("parts", *CLUSTERS), found, strict=True))
    return on_disk


@settings(max_examples=EXAMPLES, deadline=None)
@given(wanted=random_filters(), order=st.sampled_from((*ORDERS, None)), limit=st.sampled_from([None, 1, 7]))
def test_a_search_finds_the_same_records_in_the_same_order(logs, wanted, order, limit):
    search = Search(parse(str(wanted), NOW_NS).filter, order=order, limit=limit if order else None)

    def stored(_: History, store: Any) -> list[bytes]:
        with store.snapshot() as snapshot:
            found = rows_of(snapshot.scan(search, progress()))
        return found if order else sorted(found)

    agreed(answers(logs, stored))


@settings(max_examples=max(EXAMPLES // 8, 5), deadline=None)
@given(wanted=random_filters(), order=st.sampled_from(ORDERS), rows=st.sampled_from([3, 40]))
def test_pages_join_without_a_seam(logs, wanted, order, rows):
    one_log = None if order in ("newest", "oldest") else logs[0].first
    whole = Search(parse(str(wanted), NOW_NS).filter, order=order, start=one_log)

    def paged(history: History, _: Any) -> list[bytes]:
        found, after = [], None
        for _ in range(20):
            page = list(history.scan(replace(whole, limit=rows, after=after), progress()))
            if not page:
                break
            found += rows_of(page)
            after = int(page[-1].numpy("time")[-1]), page[-1].next + -1
        return found

    found = agreed(answers(logs, paged))
    assert found == agreed(answers(logs, lambda history, _: rows_of(history.scan(whole, progress()))))[: len(found)]


@settings(max_examples=max(EXAMPLES // 4, 5), deadline=None)
@given(wanted=random_filters(), by=st.sampled_from([None, "level", "service", "status", "order"]))
def test_counts_are_the_same_whoever_counts(logs, wanted, by):
    search = Search(parse(str(wanted), NOW_NS).filter)

    def counted(history: History, _: Any) -> Any:
        histogram = history.histogram(search, 1_000_000, by, progress())
        counts = {value: rows.tolist() for value, rows in histogram.counts.items() if rows.any()}
        return (
            counts,
            history.values(search, by or "host", 100, progress()),
            {stream.json: facts for stream, facts in history.streams(search, progress()).items()},
        )

    agreed(answers(logs, counted))


@pytest.mark.parametrize(
    "pipes", ["stats count() as n by level, bin(1s)", "stats count()", "top 3 service", "top 9 order"]
)
@pytest.mark.parametrize("wanted", ["*", "error or 7", "a -level:error", '"error a"', "nowhere"])
def test_pipes_that_only_count_say_the_same(logs, pipes, wanted):
    query = parse(f"{wanted} | {pipes}", NOW_NS)

    def made(history: History, _: Any) -> list[bytes]:
        grouping = Grouping(query.counts_by)
        batches = list(history.scan(Search(query.filter, grouping=grouping), progress()))
        return rows_of(query.run(iter([*batches, *grouping.found])))

    agreed(answers(logs, made))


@pytest.mark.parametrize(
    "wanted", ["error", "level:error", "service:error", "status:>5", "err*", "错误", "not a (b or 7)"]
)
def test_what_is_exact_is_counted_without_reading_a_record(logs, wanted):
    filter = parse(wanted, NOW_NS).filter  # noqa: A001
    assert compiled(filter).exact
    for name in CLUSTERS:
        with logs[1][name].snapshot() as snapshot:
            done, grouping = progress(), Grouping(parse("* | stats count()", NOW_NS).counts_by)
            assert list(snapshot.scan(Search(filter, grouping=grouping), done)) == []
            whole = progress()
            assert sum(map(len, snapshot.scan(Search(filter), whole))) == done.matched
            assert done.scanned_records == 0
            assert whole.scanned_records == whole.matched
