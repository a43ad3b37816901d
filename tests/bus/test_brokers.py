"""How a cluster is reached, and what is told when that cannot work."""

import hashlib
from contextlib import suppress

import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from tailrace.bus.brokers import Brokers, Place, committed, epoch_of, offsets, places, sentence
from tailrace.errors import Away, ConfigError
from tests.apps.programs import until
from tests.bus.topics import brokers_of


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
    given = one.settings()
    assert given["security.protocol"] == "sasl_ssl"
    assert (given["ssl.ca.location"], given["sasl.username"], given["sasl.password"]) == ("ca.pem", "u", "geheim")
    assert "geheim" not in repr(one)


def test_a_password_that_cannot_be_read_is_told(tmp_path):
    one = Brokers(("a:1",), mechanism="PLAIN", user="u", password_file=str(tmp_path / "none"))
    with pytest.raises(Away, match="password"):
        one.settings()


def test_a_certificate_that_cannot_be_read_is_told(tmp_path):
    with pytest.raises(ConfigError, match="ca"):
        Brokers(("127.0.0.1:1",), tls=True, ca_file=str(tmp_path / "none")).admin()


def test_only_what_leaves_the_machine_in_plain_text_is_exposed():
    assert Brokers(("10.0.0.1:9092",)).exposed
    assert not Brokers(("127.0.0.1:9092", "localhost:9093")).exposed
    assert not Brokers(("10.0.0.1:9092",), tls=True).exposed


def test_an_epoch_is_the_hash_of_topic_and_partition():
    digest = hashlib.sha256(b"abc/7").digest()
    assert epoch_of("abc", 7) == int.from_bytes(digest[:8], "big")


def test_the_partitions_of_topics_and_their_ends_are_told(kafka):
    topic = kafka.topic(2)
    admin = brokers_of(kafka).admin()
    found = places(admin, [topic, "there-is-none"])
    assert set(found.values()) == {Place(topic, 0), Place(topic, 1)}

    def ends():
        # A partition has a leader a moment before that broker knows it.
        with suppress(Away):
            return offsets(admin, found, OffsetSpec.latest())

    assert set(until(ends).values()) == {0}


def test_how_far_a_group_has_committed_is_told_to_who_is_not_part_of_it(kafka):
    topic = kafka.topic(2)
    admin = brokers_of(kafka).admin()
    wanted = until(lambda: len(found := places(admin, [topic])) == 2 and found)  # all brokers know it soon
    onlooker = brokers_of(kafka).onlooker(f"{topic}-group")

    def told():
        with suppress(Away):  # brokers that have just started find out first who of them knows this group
            return [committed(onlooker, wanted)]

    assert until(told) == [{}]
    member = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": f"{topic}-group", "log_level": 0})
    member.commit(offsets=[TopicPartition(topic, 1, 7)], asynchronous=False)
    member.close()
    (second,) = [epoch for epoch, place in wanted.items() if place.number == 1]
    assert committed(onlooker, wanted) == {second: 7}


@pytest.mark.parametrize("more", ["", ", 3 identical error(s) suppressed"])
def test_what_a_client_says_again_and_again_is_one_sentence(more):
    said = "kafka:9092/1: Connect to ipv4#10.0.0.1:9092 failed: Connection refused"
    assert sentence(f"{said} (after 12ms in state CONNECT{more})") == said


@pytest.fixture
def cluster(start_kafka):
    return start_kafka(3, proxied=True)


def test_while_brokers_go_no_offset_is_made_up_and_who_asks_for_those_of_a_group_lives_and_never_joins(cluster):
    topic = cluster.topic(6, 3)
    brokers = brokers_of(cluster)
    found = places(brokers.admin(), [topic])
    onlooker = brokers.onlooker("ours")

    def known():
        with suppress(Away):
            return committed(onlooker, found), offsets(brokers.admin(), found, OffsetSpec.earliest())

    assert until(known) == ({}, dict.fromkeys(found, 0))
    member = brokers.member(print, "ours", {})
    member.commit(offsets=[TopicPartition(topic, place.number, 0) for place in found.values()], asynchronous=False)
    member.close()
    for end in (cluster.brokers[0].stop, cluster.brokers[0].start, cluster.brokers[2].kill):
        end()
        assert until(known) == (dict.fromkeys(found, 0), dict.fromkeys(found, 0))
    (ours,) = cluster.admin.describe_consumer_groups(["ours"]).values()
    assert ours.result(30).members == []
