"""How a cluster is reached, and what is told when that cannot work."""

import hashlib
from contextlib import suppress

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import OffsetSpec

from tailrace.bus.brokers import Brokers, Place, committed, epoch_of, offsets, places
from tailrace.errors import Away, ConfigError
from tests.apps.programs import until
from tests.bus.topics import brokers_of


def ignore(text):
    del text


@pytest.mark.parametrize(
    "wrong",
    [
        {"addresses": ("kafka",)},
        {"addresses": ("kafka:0",)},
        {"addresses": (":9092",)},
        {"addresses": ("kafka:9092",), "mechanism": "PLAIN"},
        {"addresses": ("kafka:9092",), "mechanism": "MAGIC", "user": "a"},
        {"addresses": ("kafka:9092",), "cert_file": "a.pem"},
    ],
)
def test_a_setting_that_cannot_be_meant_is_told(wrong):
    with pytest.raises(ConfigError):
        Brokers(**wrong)


def test_tls_and_sasl_are_what_the_client_is_told(tmp_path):
    password = tmp_path / "password"
    password.write_text("geheim\n")
    one = Brokers(("a:1",), tls=True, ca_file="ca.pem", mechanism="PLAIN", user="u", password_file=str(password))
    given = one.settings(ignore)
    assert given["security.protocol"] == "sasl_ssl"
    assert (given["ssl.ca.location"], given["sasl.username"], given["sasl.password"]) == ("ca.pem", "u", "geheim")
    assert "geheim" not in repr(one)


def test_a_password_that_cannot_be_read_is_told(tmp_path):
    one = Brokers(("a:1",), mechanism="PLAIN", user="u", password_file=str(tmp_path / "none"))
    with pytest.raises(Away, match="password"):
        one.settings(ignore)


def test_a_certificate_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match="ca"):
        Brokers(("127.0.0.1:1",), tls=True, ca_file=str(tmp_path / "none")).admin(ignore)


def test_only_what_leaves_the_machine_in_plain_text_is_exposed():
    assert Brokers(("10.0.0.1:9092",)).exposed
    assert not Brokers(("127.0.0.1:9092", "localhost:9093")).exposed
    assert not Brokers(("10.0.0.1:9092",), tls=True).exposed


def test_an_epoch_is_the_hash_of_topic_and_partition():
    digest = hashlib.sha256(b"abc/7").digest()
    assert epoch_of("abc", 7) == int.from_bytes(digest[:8], "big")


def test_the_partitions_of_topics_and_their_ends_are_told(kafka):
    topic = kafka.topic(2)
    admin = brokers_of(kafka).admin(ignore)
    found = places(admin, [topic, "there-is-none"])
    assert set(found.values()) == {Place(topic, 0), Place(topic, 1)}

    def ends():
        # A partition has a leader a moment before that broker knows it.
        with suppress(Away):
            return offsets(admin, found, OffsetSpec.latest())

    assert set(until(ends).values()) == {0}


def test_a_group_that_brokers_do_not_know_yet_has_committed_nothing_and_nobody_joins_it(start_kafka):
    """The broker makes where it keeps offsets meanwhile: who asked before that is told to ask another one."""
    cluster = start_kafka()
    topic = cluster.topic()
    brokers = brokers_of(cluster)
    found = places(brokers.admin(ignore), [topic])
    for number in range(5):
        asking = brokers.member(ignore, f"group-{number}", {})
        assert committed(asking, found) == {}
        asking.close()
    member = brokers.member(ignore, "group-5", {})
    member.commit(offsets=[TopicPartition(topic, 0, 7)], asynchronous=False)
    assert list(committed(member, found).values()) == [7]
    member.close()
    assert [one.group_id for one in cluster.admin.list_consumer_groups().result(30).valid] == ["group-5"]


def test_a_partition_without_a_leader_has_no_offset_and_that_is_said(start_kafka, monkeypatch):
    monkeypatch.setattr("tailrace.bus.brokers.KAFKA_CALL_S_MAX", 3.0)
    cluster = start_kafka(3)
    topic = cluster.topic(3)
    found = places(brokers_of(cluster).admin(ignore), [topic])
    led_by = {one.id: one.leader for one in cluster.admin.list_topics(topic, timeout=20).topics[topic].partitions.values()}
    cluster.brokers[led_by[0] - 1].kill()
    with pytest.raises(Away):
        offsets(brokers_of(cluster).admin(ignore), found, OffsetSpec.earliest())
    cluster.brokers[led_by[0] - 1].start()
