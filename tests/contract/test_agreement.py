"""One query means the same records in the same order, whoever is asked: parts, bus, live tail, or plain reading."""

import tempfile
from pathlib import Path
from typing import Any

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.bus.disk import DiskBus
from tailrace.query import Query, parse
from tailrace.query.query import Rows
from tailrace.record import Batch
from tailrace.store import Search
from tailrace.store.parts.indexer import Indexer
from tailrace.store.parts.store import PartStore
from tailrace.store.search import History
from tests.query import reference
from tests.query.strategies import NOW_NS, batch_of, random_filters, random_records
from tests.store.logs import progress

PIPES = st.sampled_from(["", " | where error or a", " | fields service, order, message", " | drop order, host"])


def offsets(found: Any) -> list[int]:
    return [offset for rows in found for offset in rows.offsets.tolist()]


def encoded(found: Any) -> list[bytes]:
    return [orjson.dumps(orjson.loads(row), option=orjson.OPT_SORT_KEYS) for rows in found for row in rows.json_rows()]


def searched(history: History, query: Query) -> list[Rows]:
    found: list[Batch] = list(history.scan(Search(query.filter, order="arrival"), progress()))
    return list(query.run(iter(found)))


def tailed(bus: DiskBus, query: Query) -> list[Rows]:
    query.check_live()
    return [query.live(batch) for batch in bus.read(bus.first, 1 << 30)]


def fill(bus: DiskBus, batches: list[list[dict[str, Any]]]) -> None:
    for records in batches:
        future = bus.append(batch_of(records))
        bus.commit()
        future.result(0)


@settings(max_examples=60, deadline=None)
@given(batches=st.lists(random_records(max_size=5), min_size=1, max_size=3), wanted=random_filters(), pipes=PIPES)
def test_parts_bus_tail_and_reference_agree(batches, wanted, pipes):
    query = parse(str(wanted) + pipes, NOW_NS)
    with tempfile.TemporaryDirectory() as place:
        bus, store = DiskBus(Path(place) / "bus", threaded=False), PartStore(Path(place) / "store")
        history, indexer = History(bus, store), Indexer(bus, store)
        fill(bus, batches)
        live = tailed(bus, query)
        on_bus = searched(history, query)
        indexer.step(0)
        indexer.flush()
        assert store.checkpoint == bus.next
        in_parts = searched(history, query)
        store.close()
        bus.close()
    assert offsets(live) == offsets(on_bus) == offsets(in_parts)
    assert encoded(live) == encoded(on_bus) == encoded(in_parts)
    if "where" not in pipes:
        records = [record for some in batches for record in some]
        assert offsets(live) == [row for row, one in enumerate(records) if reference.matches(wanted, one)]


@settings(max_examples=30, deadline=None)
@given(batches=st.lists(random_records(max_size=5), min_size=2, max_size=4), wanted=random_filters())
def test_a_log_that_is_partly_stored_is_one_log(batches, wanted):
    query = parse(str(wanted), NOW_NS)
    with tempfile.TemporaryDirectory() as place:
        bus, store = DiskBus(Path(place) / "bus", threaded=False), PartStore(Path(place) / "store")
        history, indexer = History(bus, store), Indexer(bus, store)
        fill(bus, batches[:1])
        indexer.step(0)
        indexer.flush()
        fill(bus, batches[1:])
        found = {
            order: offsets(history.scan(Search(query.filter, order=order), progress()))
            for order in ("arrival", "arrival_newest", "oldest", "newest")
        }
        store.close()
        bus.close()
    records = [record for some in batches for record in some]
    wanted_rows = [row for row, one in enumerate(records) if reference.matches(wanted, one)]
    by_time = sorted(wanted_rows, key=lambda row: (records[row]["time_ns"], row))
    assert found == {
        "arrival": wanted_rows,
        "arrival_newest": wanted_rows[::-1],
        "oldest": by_time,
        "newest": by_time[::-1],
    }
