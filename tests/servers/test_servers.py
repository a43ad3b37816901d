"""Each server is really there, and what the fixtures promise of it is true."""

import base64
import secrets

import pytest
import redis as client_of_redis
from confluent_kafka import Consumer, Producer

from tests.apps.programs import until


def produce(bootstrap, topic, *values, **settings):
    producer = Producer({"bootstrap.servers": bootstrap, "log_level": 0, "message.timeout.ms": 60_000, **settings})
    reports = []
    for value in values:
        producer.produce(topic, value, on_delivery=lambda error, _: reports.append(error))
    producer.flush(60)
    return reports


def consume(bootstrap, topic, count):
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "log_level": 0,
            "group.id": secrets.token_hex(6),
            "auto.offset.reset": "earliest",
        }
    )
    consumer.subscribe([topic])
    found = []
    until(lambda: found.extend(consumer.consume(count, 1)) or len(found) >= count, 60)
    consumer.close()
    return sorted(one.value() for one in found)


def test_kafka_gives_back_what_was_written_to_a_topic_of_three_copies(kafka):
    topic = kafka.topic(partitions=3, replication=3)
    assert produce(kafka.bootstrap, topic, b"a", b"b", acks="all") == [None, None]
    assert consume(kafka.bootstrap, topic, 2) == [b"a", b"b"]


def test_a_broker_that_was_killed_comes_back_with_what_it_had(start_kafka):
    cluster = start_kafka()
    topic = cluster.topic()
    assert produce(cluster.bootstrap, topic, b"before") == [None]
    cluster.brokers[0].kill()
    cluster.brokers[0].start()
    assert produce(cluster.bootstrap, topic, b"after") == [None]
    assert consume(cluster.bootstrap, topic, 2) == [b"after", b"before"]


def test_clients_of_a_cluster_with_proxies_reach_it_through_them_only(start_kafka):
    cluster = start_kafka(proxied=True)
    topic = cluster.topic()
    cluster.proxies[0].turn("refuse")
    settings = {"message.timeout.ms": 1000}
    assert [error.name() for error in produce(cluster.bootstrap, topic, b"lost", **settings)] == ["_MSG_TIMED_OUT"]
    cluster.proxies[0].turn("pass")
    assert produce(cluster.bootstrap, topic, b"arrived") == [None]
    assert consume(cluster.direct, topic, 1) == [b"arrived"]


def test_a_search_server_finds_what_was_indexed(search_server):
    index = search_server.prefix()
    lines = [{"create": {"_index": index, "_id": "1"}}, {"message": "payment failed"}]
    status, answer = search_server.call("POST", "/_bulk?refresh=true", lines)
    assert (status, answer["errors"]) == (200, False), answer
    status, answer = search_server.call(
        "POST", f"/{index}/_search", {"query": {"match_phrase": {"message": "payment failed"}}}
    )
    assert [hit["_id"] for hit in answer["hits"]["hits"]] == ["1"]


def test_etcd_has_what_was_put(etcd):
    key, value = (base64.b64encode(secrets.token_bytes(9)).decode() for _ in range(2))
    etcd.call("kv/put", key=key, value=value)
    assert [one["value"] for one in etcd.call("kv/range", key=key)["kvs"]] == [value]


def test_an_etcd_that_was_killed_comes_back_with_what_it_had(start_etcd):
    etcd = start_etcd()
    etcd.call("kv/put", key="YQ==", value="Yg==")
    etcd.kill()
    etcd.start()
    assert etcd.call("kv/range", key="YQ==")["count"] == "1"


def test_redis_has_what_was_set(redis):
    key = secrets.token_hex(6)
    with client_of_redis.Redis.from_url(redis) as client:
        client.set(key, "value")
        assert client.get(key) == b"value"


def test_a_redis_of_a_tests_own_takes_arguments(start_redis):
    url = start_redis("--requirepass", "secret").url
    with client_of_redis.Redis.from_url(url) as nobody, client_of_redis.Redis.from_url(url, password="secret") as known:
        assert known.ping()
        with pytest.raises(client_of_redis.AuthenticationError):
            nobody.ping()


def test_a_server_that_does_not_start_says_why(start_redis):
    with pytest.raises(AssertionError, match=r"Redis ended\. It said:[\s\S]*no-such-option"):
        start_redis("--no-such-option", "1")
