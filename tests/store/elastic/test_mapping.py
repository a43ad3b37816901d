"""The index template, in both products."""

import orjson
import pytest

from tailrace.store.elastic import document, mapping
from tests.query.records import batch
from tests.query.strategies import NOW_NS
from tests.store.clusters import clean, client_of

WILD = [
    {"n": 1, "a.b": {"": [1, "x", None, {"..": {}}]}, "": {"": 0}, ".": 1, "x..y": 2},
    {"n": "text now", "a": {"b": 5}},
    {"n": {"deep": [[["x"]]]}},
    {"n": None, "long": "x" * 40_000, "big": 18_446_744_073_709_551_615, "e": 1e300, "nul": "\0"},
    {f"name{i}": i for i in range(2_000)},
]


@pytest.fixture
def cluster(search_server):
    client, prefix = client_of(search_server), search_server.prefix()
    mapping.install(client, prefix, shards=1, replicas=0)
    yield client, prefix
    clean(client, prefix)
    client.close()


def written(cluster, records):
    client, prefix = cluster
    placed = batch([{"time_ns": NOW_NS, "observed_ns": NOW_NS, **one} for one in records]).placed(1, 0)
    name = document.index_name(prefix, document.days(placed, None)[0])
    lines = [
        b'{"create":{"_index":"%b"}}\n%b\n' % (name.encode(), text) for text in document.documents(placed).to_pylist()
    ]
    answer = client.bulk(b"".join(lines))
    client.refresh(name)
    return placed, answer


def test_whatever_a_line_brings_its_document_is_taken_and_comes_back_as_it_was(cluster):
    placed, answer = written(cluster, [{"fields": one} for one in WILD])
    assert not answer["errors"]
    hits = cluster[0].search({"sort": [{"tailrace.offset": "asc"}]}, index=cluster[1])["hits"]["hits"]
    again, _ = document.batch_of([hit["_source"] for hit in hits])
    assert again.columns.to_pylist() == placed.columns.to_pylist()


def test_no_line_adds_to_the_mapping(cluster):
    written(cluster, [{"fields": WILD[0]}])
    before = cluster[0].call("GET", f"/{cluster[1]}/_mapping")
    written(cluster, [{"fields": one, "labels": {"a.b": "x", "..": "y", "zone": "z"}} for one in WILD])
    assert cluster[0].call("GET", f"/{cluster[1]}/_mapping") == before


@pytest.mark.parametrize(
    "query",
    [
        {"match_phrase": {"message": "payment FAILED"}},
        {"query_string": {"query": "service.name:shop AND message:fail*"}},
        {"range": {"@timestamp": {"gte": "2025-11-21T08:00:00Z", "lte": "2025-11-21T08:00:00Z"}}},
        {"term": {"log.level": "error"}},
        {"term": {"labels.zone": "eu"}},
        {"term": {"log.file.path": "/var/log/a.log"}},
    ],
)
def test_people_search_it_in_their_own_way(cluster, query):
    labels = {"service": "shop", "path": "/var/log/a.log", "zone": "eu"}
    written(cluster, [{"message": "payment failed", "level": 5, "labels": labels}, {"message": "x", "time_ns": 0}])
    hits = cluster[0].search({"query": query}, index=cluster[1])["hits"]["hits"]
    assert [hit["_source"]["message"] for hit in hits] == ["payment failed"]


def test_a_time_that_the_cluster_cannot_hold_does_not_lose_the_record(cluster):
    _, answer = written(cluster, [{"time_ns": -1}])
    assert not answer["errors"]
    (hit,) = cluster[0].search({}, index=cluster[1])["hits"]["hits"]
    assert hit["_source"]["tailrace"]["time"] == -1


def test_what_is_only_searched_is_not_kept(cluster):
    written(cluster, [{"message": "hello", "fields": {"a": 1}}])
    (hit,) = cluster[0].search({"query": {"term": {"tailrace.words": "hello"}}}, index=cluster[1])["hits"]["hits"]
    assert b"words" not in orjson.dumps(hit["_source"])
    assert b"terms" not in orjson.dumps(hit["_source"])
