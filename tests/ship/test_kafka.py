"""A log arrives on topics of a real Kafka: whole, in order, and once, whatever was sent again."""

import shutil
import threading
from contextlib import contextmanager

import orjson
import pytest
from confluent_kafka import TopicCollection

from tailrace.bus.brokers import Brokers
from tailrace.bus.disk import DiskBus
from tailrace.errors import ConfigError
from tailrace.record import Batch, Level, Stream
from tailrace.ship.kafka import Cluster
from tailrace.ship.shipping import Shipping
from tests.apps.programs import until
from tests.batches import batch_of
from tests.bus.topics import brokers_of, lines_on, messages_on


@contextmanager
def spool(directory):
    bus = DiskBus(directory / "spool", bytes_max=0)
    shipping = Shipping(bus, directory / "dead", host="web-1")
    try:
        yield bus, shipping
    finally:
        shipping.stop(0)
        until(lambda: not any(one.name.startswith("ship ") for one in threading.enumerate()))  # it keeps its position
        bus.close()


def put(bus, first, count, service="shop"):
    messages = [f"line {n}" for n in range(first, first + count)]
    bus.append(batch_of(messages, source=f"file:{service}", first=first, service=service)).result(20)


def ship(bus, shipping, to):
    """Ship all there is."""
    shipping.change([to])
    try:
        until(lambda: shipping.status()[0].waiting == 0, 60)
    except AssertionError:
        raise AssertionError(shipping.status()) from None


def shipped(directory, to, *puts):
    with spool(directory) as (bus, shipping):
        for first, count, service in puts:
            put(bus, first, count, service)
        ship(bus, shipping, to)
        return shipping.status()[0]


@pytest.mark.parametrize(("acks", "compression"), [("all", "zstd"), ("1", "lz4"), ("0", "gzip"), ("all", "none")])
def test_every_record_is_there_in_the_order_of_its_stream(kafka, tmp_path, acks, compression):
    topic = kafka.topic(3)
    to = Cluster(brokers_of(kafka), topic=topic, acks=acks, compression=compression)
    shipped(tmp_path, to, (0, 300, "shop"), (0, 300, "cart"), (300, 300, "shop"))
    until(lambda: len(messages_on(kafka, topic)) == 900)  # acks=0 waits for nobody
    found = messages_on(kafka, topic)
    for service, count in (("shop", 600), ("cart", 300)):
        own = [orjson.loads(one.value()) for one in found if b'"%b"' % service.encode() in one.value()]
        assert [one["message"] for one in own] == [f"line {n}" for n in range(count)]


def test_any_consumer_reads_the_documented_json(kafka, tmp_path):
    topic = kafka.topic()
    batch = Batch.of(
        time=[1_795_161_600_123_456_789],
        observed=[1_795_161_601_000_000_000],
        level=[Level.ERROR],
        stream=Stream.of({"service": "shop", "host": "web-1", "path": "/var/log/a.log"}),
        message=["payment failed"],
        position=[4711],
        fields=['{"user":7}'],
    )
    with spool(tmp_path) as (bus, shipping):
        bus.append(batch).result(20)
        ship(bus, shipping, Cluster(brokers_of(kafka), topic=topic))
        epoch = bus.epoch
    (message,) = messages_on(kafka, topic)
    assert orjson.loads(message.value()) == {
        "@timestamp": "2026-11-20T08:00:00.123456789Z",
        "log.level": "error",
        "service.name": "shop",
        "host.name": "web-1",
        "log.file.path": "/var/log/a.log",
        "event.created": "2026-11-20T08:00:01.000000000Z",
        "log.offset": 4711,
        "message": "payment failed",
        "fields": {"user": 7},
    }
    assert message.headers() == [("tailrace", b"1 0 1 0 1 agent:%x" % epoch)]
    assert message.timestamp()[1] == 1_795_161_601_000


def test_shipping_goes_on_behind_what_was_delivered_before(kafka, tmp_path):
    to = Cluster(brokers_of(kafka), topic=kafka.topic())
    shipped(tmp_path, to, (0, 5, "shop"))
    shipped(tmp_path, to, (5, 5, "shop"))
    assert len(messages_on(kafka, to.topic)) == 10


@pytest.mark.parametrize("by", ["stream", "spread", "service"])
def test_what_is_sent_again_because_nobody_remembers_is_read_once(kafka, tmp_path, by):
    to = Cluster(brokers_of(kafka), topic=kafka.topic(3), partition_by=by)
    shipped(tmp_path, to, (0, 1500, "shop"), (0, 50, "cart"))
    shutil.rmtree(tmp_path / "kafka")
    shipped(tmp_path, to, (1500, 50, "shop"))
    assert len(messages_on(kafka, to.topic)) == 3150
    expected = [f"line {n}" for n in range(1550)] + [f"line {n}" for n in range(50)]
    assert sorted(lines_on(kafka, to.topic)) == sorted(expected)


@pytest.mark.parametrize("content", [b"", b"{", b'{"epoch":1,"offset":9,"branch":"","place":""}'])
def test_a_position_that_says_nothing_of_this_log_sends_all(kafka, tmp_path, content):
    to = Cluster(brokers_of(kafka), topic=kafka.topic())
    shipped(tmp_path, to, (0, 5, "shop"))
    (file,) = (tmp_path / "kafka").glob("*.json")
    file.write_bytes(content)
    shipped(tmp_path, to, (5, 5, "shop"))
    assert lines_on(kafka, to.topic) == [f"line {n}" for n in range(10)]


def test_records_of_a_copied_directory_are_not_taken_for_those_of_the_first(kafka, tmp_path):
    to = Cluster(brokers_of(kafka), topic=kafka.topic())
    shipped(tmp_path / "one", to, (0, 3, "shop"))
    shutil.copytree(tmp_path / "one", tmp_path / "other")
    shipped(tmp_path / "one", to, (3, 3, "shop"))
    shipped(tmp_path / "other", to, (3, 3, "cart"))
    assert sorted(lines_on(kafka, to.topic)) == sorted([f"line {n}" for n in range(6)] + ["line 3", "line 4", "line 5"])


def test_a_topic_is_made_for_each_service_with_the_partitions_that_are_wished(kafka, tmp_path):
    prefix = kafka.topic()
    to = Cluster(brokers_of(kafka), topic=f"{prefix}-{{service}}", partitions=2, replication=3)
    shipped(tmp_path, to, (0, 2, "shop"), (0, 3, "a/ä"))
    names = [f"{prefix}-shop", f"{prefix}-a__"]
    made = kafka.admin.describe_topics(TopicCollection(names))
    assert [[len(one.replicas) for one in made[name].result(20).partitions] for name in names] == [[3, 3], [3, 3]]
    assert [len(messages_on(kafka, name)) for name in names] == [2, 3]


def test_the_label_topic_wins():
    cluster = Cluster(Brokers(("127.0.0.1:1",)), topic="logs-{service}")
    assert cluster.topic_of(Stream.of({"service": "shop", "topic": "orders"})) == "orders"
    assert cluster.topic_of(Stream.of({"service": "shop"})) == "logs-shop"
    assert cluster.topic_of(Stream.of({"host": "a"})) == "logs-none"


def test_a_topic_name_is_one_that_kafka_takes():
    cluster = Cluster(Brokers(("127.0.0.1:1",)), topic="{path}")
    assert cluster.topic_of(Stream.of({"path": "/var/log/a b.log"})) == "_var_log_a_b.log"
    assert cluster.topic_of(Stream.of({"path": ".."})) == "_"
    assert len(cluster.topic_of(Stream.of({"path": "x" * 999}))) == 249


def test_with_too_many_topics_what_is_filled_in_is_other():
    assert (
        Cluster(Brokers(("127.0.0.1:1",)), topic="l-{path}").topic_of(Stream.of({"path": "x"}), crowded=True)
        == "l-other"
    )


def test_a_record_that_is_too_large_for_its_topic_is_put_aside_and_the_others_arrive(kafka, tmp_path):
    topic = kafka.topic(config={"max.message.bytes": "600000"})
    with spool(tmp_path) as (bus, shipping):
        put(bus, 0, 3)
        large = "".join(f"{n:x}" for n in range(400_000))
        bus.append(batch_of([large, "x" * 300_000], source="file:shop", first=3)).result(20)
        put(bus, 5, 3)
        ship(bus, shipping, Cluster(brokers_of(kafka), topic=topic, compression="none"))
        (status,) = shipping.status()
        dead = orjson.loads((tmp_path / "dead").glob("*.ndjson").__next__().read_bytes())
    assert [len(line) for line in lines_on(kafka, topic)] == [6, 6, 6, 300_000, 6, 6, 6]
    assert (status.dead, dead["record"]["message"]) == (1, large)
    assert "larger than its topic takes" in dead["why"]


def test_a_topic_that_cannot_be_made_is_said_and_nothing_is_lost(kafka, tmp_path):
    name = f"{kafka.topic()}-x"
    with spool(tmp_path) as (bus, shipping):
        put(bus, 0, 3)
        shipping.change([Cluster(brokers_of(kafka), topic=name, replication=9)])
        until(lambda: shipping.status()[0].state == "failing", 60)
        assert "kafka.replication" in shipping.status()[0].error
        kafka.topic(name=name)
        until(lambda: shipping.status()[0].waiting == 0, 60)
        assert shipping.status()[0].error == ""
    assert lines_on(kafka, name) == ["line 0", "line 1", "line 2"]


def test_brokers_that_are_away_are_said(tmp_path):
    with spool(tmp_path) as (bus, shipping):
        put(bus, 0, 3)
        shipping.change([Cluster(Brokers(("127.0.0.1:1",)))])
        until(lambda: shipping.status()[0].state == "failing", 60)
        assert "does not answer" in shipping.status()[0].error
        assert shipping.status()[0].waiting == 3


@pytest.mark.parametrize("wrong", [{"acks": "2"}, {"compression": "rar"}, {"topic": " "}, {"topic": "a-{Service"}])
def test_a_wrong_setting_is_told(wrong):
    with pytest.raises(ConfigError):
        Cluster(Brokers(("127.0.0.1:1",)), **wrong)
