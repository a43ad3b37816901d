"""A query finds the same records in the same order in the store on disk, in OpenSearch and in Elasticsearch."""

import os
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.query import parse
from tailrace.record import Batch
from tailrace.store import Search
from tailrace.store.parts.store import PartStore
from tests.query.strategies import NOW_NS, batch_of, random_filters, random_records
from tests.store.clusters import CLUSTERS, clean, client_of, store_of
from tests.store.logs import progress

EXAMPLES = int(os.environ.get("TAILRACE_CLUSTER_EXAMPLES", "40"))


def some_batches() -> list[Batch]:
    """Batches of random records, the same each time."""
    found: list[Batch] = []

    @settings(max_examples=120, derandomize=True, database=None, deadline=None)
    @given(random_records(max_size=12))
    def gather(records: list[dict[str, Any]]) -> None:
        offset = found[-1].next.offset if found else 5
        found.append(batch_of(records).placed(0xFEDC_BA98_7654_3210, offset))

    gather()
    return found


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    made: dict[str, Any] = {"parts": PartStore(tmp_path_factory.mktemp("parts") / "store")}
    prefix = f"elastic-agree-{os.getpid()}"
    clients = {name: client_of(name) for name in CLUSTERS}
    for name, client in clients.items():
        made[name] = store_of(client, prefix)
    for batch in some_batches():
        made["parts"].add(batch)
    whole = Batch.concat(some_batches())
    made["parts"].flush()
    for name in CLUSTERS:
        made[name].add(whole)
        made[name].flush()
    yield made
    for client in clients.values():
        clean(client, prefix)
    for store in made.values():
        store.close()


def found(store: Any, search: Search) -> list[bytes]:
    with store.snapshot() as snapshot:
        return [row for batch in snapshot.scan(search, progress()) for row in batch.json_rows()]


ORDERS = st.sampled_from(["newest", "oldest", "arrival", "arrival_newest", None])


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(wanted=random_filters(), order=ORDERS, data=st.data())
def test_all_stores_agree(stores, wanted, order, data):
    limit = data.draw(st.sampled_from([None, None, 1, 7])) if order else None
    search = Search(parse(str(wanted), NOW_NS).filter, order=order, limit=limit)
    answers = {name: found(store, search) for name, store in stores.items()}
    if order is None:
        answers = {name: sorted(rows) for name, rows in answers.items()}
    assert answers["opensearch"] == answers["parts"]
    assert answers["elasticsearch"] == answers["parts"]
