"""What an indexer does when the cluster, the messages or Kafka are not as one wishes; with real ones of all."""

import json
import secrets
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.apps.programs import until
from tests.indexing.lines import committed, count, messages, numbered, wait_for

ONE = pytest.mark.parametrize("search_server", ["opensearch"], indirect=True)
BUSY = b"HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def letters(kafka, topic, wanted):
    """Return so many messages of the dead-letter topic, each with its headers as a dict."""
    reader = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"{topic}-reader", "log_level": 0})
    reader.assign([TopicPartition(f"{topic}-dead", 0, 0)])
    found = []
    try:
        until(lambda: found.extend(reader.consume(wanted, 0.2)) or len(found) >= wanted, 60)
    finally:
        reader.close()
    return [(one, {name: value.decode() for name, value in one.headers()}) for one in found]


def today(prefix):
    return f"{prefix}-{time.strftime('%Y.%m.%d', time.gmtime())}"


def test_a_line_that_was_sent_twice_is_there_once(search_server, sender, prefix, index):
    sender.send(20)
    sender.send(10, first=10, partition=1)  # by another way, too
    sender.send(20, first=0)
    running = index()
    until(lambda: running.status().written + running.status().there == 50, 60)
    assert messages(search_server, prefix) == numbered(range(20))
    assert running.status().there == 30


def test_what_the_mapping_refuses_is_a_dead_letter_and_the_rest_is_written(
    kafka, search_server, topic, sender, prefix, index
):
    running = index()
    until(lambda: running.ready, 60)
    search_server.call("PUT", f"/{today(prefix)}", {"mappings": {"properties": {"log.level": {"type": "ip"}}}})
    sender.send(5, level=0)
    sender.send(2)  # "info" is no address
    sender.send(5, level=0, partition=1)
    until(lambda: running.status().dead == 2, 60)
    wait_for(search_server, prefix, 10)
    assert messages(search_server, prefix) == numbered([*range(5), *range(7, 12)])
    (one, said), (_, other) = letters(kafka, topic, 2)
    assert json.loads(one.value())["message"] == "n=5"
    assert said["tailrace"] == "1 5 6 0 1 agent:7f3a"
    places = [
        (at["tailrace-dead-topic"], at["tailrace-dead-partition"], at["tailrace-dead-offset"]) for at in (said, other)
    ]
    assert places == [(topic, "0", "5"), (topic, "0", "6")]
    assert "log.level" in said["tailrace-dead-why"]
    assert any("log.level" in problem for problem in running.problems())
    running.stop()
    assert committed(kafka, f"{prefix}-index", topic) == {0: 7, 1: 5}


@ONE
def test_a_dead_letter_that_kafka_does_not_take_is_kept_without_its_content(
    kafka, search_server, topic, sender, prefix, index
):
    kafka.topic(name=f"{topic}-dead", config={"max.message.bytes": "2000"})
    running = index()
    until(lambda: running.ready, 60)
    search_server.call("PUT", f"/{today(prefix)}", {"mappings": {"properties": {"log.level": {"type": "ip"}}}})
    sender.send(1, message="n={} " + secrets.token_hex(3_000))
    until(lambda: running.status().dead == 1, 60)
    ((one, said),) = letters(kafka, topic, 1)
    assert one.value() is None
    assert int(said["tailrace-dead-cut"]) > 6_000
    assert (said["tailrace-dead-topic"], said["tailrace-dead-offset"]) == (topic, "0")


@ONE
def test_a_cluster_that_is_too_busy_gets_it_all_later(proxy, search_server, sender, prefix, index):
    before = proxy(int(search_server.url.rpartition(":")[2]))
    running = index(before.url)
    until(lambda: running.ready, 60)
    before.turn(BUSY)
    sender.send(20)
    until(lambda: running.status().rejected >= 40, 60)  # twice at least
    assert any("429" in problem or "too much to do" in problem for problem in running.problems())
    before.turn("pass")
    wait_for(search_server, prefix, 20)
    assert messages(search_server, prefix) == numbered(range(20))
    until(lambda: running.status().problems == [], 60)
    assert running.status().dead == 0


@ONE
@pytest.mark.parametrize("how", ["refuse", "cut", "deaf"])
def test_a_cluster_that_goes_away_and_comes_back_gets_every_line_once(proxy, search_server, sender, prefix, index, how):
    before = proxy(int(search_server.url.rpartition(":")[2]))
    running = index(before.url)
    until(lambda: running.ready, 60)
    before.turn(how)
    sender.send(20)
    until(lambda: running.status().retries > 0 and running.problems(), 60)
    before.turn("pass")
    wait_for(search_server, prefix, 20)
    until(lambda: running.status().problems == [] and running.status().lag == 0, 60)
    assert messages(search_server, prefix) == numbered(range(20))


def test_an_index_that_takes_no_writes_is_waited_for_and_said(search_server, sender, prefix, index):
    running = index()
    sender.send(5)
    wait_for(search_server, prefix, 5)
    block = {"index.blocks.read_only_allow_delete": True}  # what a cluster does when a disk is nearly full
    search_server.call("PUT", f"/{prefix}-*/_settings", block)
    sender.send(5)
    until(lambda: any("cluster_block_exception" in problem for problem in running.problems()), 60)
    assert count(search_server, prefix) == 5
    search_server.call("PUT", f"/{prefix}-*/_settings", dict.fromkeys(block))
    wait_for(search_server, prefix, 10)
    until(lambda: running.problems() == [], 60)
    assert running.status().dead == 0


@ONE
def test_a_cluster_that_was_never_there_is_waited_for_before_anything_is_read(
    kafka, proxy, search_server, topic, sender, prefix, index
):
    before = proxy(int(search_server.url.rpartition(":")[2]))
    before.turn("refuse")
    sender.send(5)
    running = index(before.url)
    until(lambda: any("does not answer" in problem for problem in running.problems()), 60)
    assert not running.ready
    before.turn("pass")
    wait_for(search_server, prefix, 5)
    assert running.ready


@ONE
def test_what_other_programs_write_on_the_topic_is_indexed_too(search_server, topic, sender, prefix, index):
    sender.kafka.put(sender.topic, b"a line of text")
    sender.kafka.put(sender.topic, b'{"level":"error","msg":"an object","user":7}')
    sender.kafka.put(sender.topic, None)
    sender.kafka.put(sender.topic, b"\xff\x00")
    index()
    wait_for(search_server, prefix, 4)
    found = messages(search_server, prefix)
    assert "a line of text" in found
    assert len(found) == 4


@ONE
def test_what_kafka_no_longer_has_is_counted(kafka, topic, sender, prefix, search_server, index):
    sender.send(10)
    first = index()
    wait_for(search_server, prefix, 10)
    first.stop()
    sender.send(10)
    place = TopicPartition(topic, 0, 15)
    kafka.admin.delete_records([place])[TopicPartition(topic, 0)].result(60)
    second = index()
    wait_for(search_server, prefix, 15)
    assert second.status().lost == 5
    assert any("5 messages were gone" in problem for problem in second.problems())
    assert messages(search_server, prefix) == numbered([*range(10), *range(15, 20)])


@ONE
def test_a_day_has_its_index_and_a_time_that_cannot_be_has_another(search_server, sender, prefix, index):
    sender.send(2)
    sender.send(2, age_s=86_400)
    index()
    wait_for(search_server, prefix, 4)
    names = sorted(search_server.call("GET", f"/{prefix}-*/_settings")[1])
    days = [time.strftime("%Y.%m.%d", time.gmtime(time.time() - age)) for age in (86_400, 0)]
    assert names == [f"{prefix}-{day}" for day in days]


@ONE
def test_the_lag_is_known_and_ends_at_nothing(search_server, sender, prefix, index):
    sender.send(30)
    running = index()
    until(lambda: running.status().written == 30, 60)
    until(lambda: [one.lag for one in running.status().partitions] == [0, 0], 60)
    sums = {metric.name: metric.samples for metric in running.metrics()}
    assert sums["tailrace_index_written_records"][0].value == 30
    assert {sample.labels["partition"] for sample in sums["tailrace_index_lag"]} == {"0", "1"}
