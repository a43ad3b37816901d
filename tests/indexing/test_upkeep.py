"""Old indices go; others, whatever they are called, stay."""

from datetime import UTC, datetime, timedelta

import pytest

from tailrace.indexing.upkeep import Upkeep
from tailrace.store.elastic.client import Access, Client

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def upkeep(search_server, prefix):
    client = Client(Access([search_server.url]))
    yield Upkeep(
        client,
        prefix,
        shards=1,
        replicas=0,
        retain_s=timedelta(days=7).total_seconds(),
        begin=lambda: None,
        chosen=lambda: True,
    )
    client.close()


def test_an_index_goes_when_all_of_its_day_is_older_than_the_retention(search_server, prefix, upkeep):
    names = [
        f"{prefix}-2026.11.11",
        f"{prefix}-undated-2026.11.12",
        f"{prefix}-2026.11.13",  # its last hours are young enough
        f"{prefix}-2026.11.20",
        f"{prefix}-undated-2026.11.20",
        f"{prefix}-2026.02.30",
        f"{prefix}-2026.11.11-kept",
        f"{prefix}-other",
    ]
    for name in names:
        search_server.call("PUT", f"/{name}", {"settings": {"number_of_replicas": 0}})
    assert upkeep.delete_old(NOW) == names[:2]
    assert sorted(search_server.call("GET", f"/{prefix}-*/_settings")[1]) == sorted(names[2:])
    assert upkeep.delete_old(NOW) == []
