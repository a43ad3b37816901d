"""What an indexer does when the cluster, the messages or Kafka are not as one wishes; with real ones of all."""

import http.client
import json
import time

import pytest
from confluent_kafka import Consumer, TopicPartition

from tests.apps.programs import until
from tests.indexing.lines import Sender, committed, count, messages, numbered, wait_for

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
    own = {"mappings": {"properties": {"message": {"type": "long", "norms": None}}}}
    own = {"settings": {"number_of_replicas": 0}, "mappings": {"properties": {"log.level": {"type": "ip"}}}}
    assert search_server.call("PUT", f"/{today(prefix)}", own)[0] == 200
    sender.send(3)
