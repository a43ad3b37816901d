"""What is kept while somebody follows is bounded, and says so when it no longer reaches back."""

import time

import pytest

from tailrace.bus import follow
from tailrace.bus.kafka import KafkaLog
from tailrace.cursor import Cursor
from tailrace.errors import Gone
from tailrace.pipeline.foreign import understand
from tests.apps.programs import until
from tests.batches import messages_of
from tests.bus.topics import brokers_of

ALL = 1 << 30


@pytest.fixture
def followed(kafka, monkeypatch):
    """Follow a topic of one partition with a ring that keeps little; give what sends to it, the log and its start."""
    monkeypatch.setattr(follow, "KAFKA_RING_BYTES_MAX", 100_000)
    topic = kafka.topic()
    log = KafkaLog(brokers_of(kafka), [topic], understand)
    until(lambda: log.next.cursors, 30)
    (start,) = log.newest().cursors
    log.on_commit(lambda: None)

    def send(text):
        kafka.put(topic, text)
        (end,) = log.newest().cursors
        until(lambda: log._following.kept(Cursor(end.epoch, end.offset - 1), ALL), 30)

    yield send, log, start
    log.close()


def test_the_newest_are_answered_from_memory_and_older_ones_from_kafka(followed):
    send, log, start = followed
    for n in range(6):
        send(f"{n} {'x' * 30_000}")
    with pytest.raises(Gone):
        log.recent(log.next.with_cursor(start), ALL)
    assert [message[0] for message in messages_of(log.read(start, ALL))] == ["0", "1", "2", "3", "4", "5"]
    assert messages_of(log.recent(log.next.with_cursor(start + 5), ALL))[0].startswith("5 ")


def test_a_position_inside_of_a_batch_begins_there(followed):
    send, log, start = followed
    send("a")
    send("b")
    (batch,) = log.recent(log.next.with_cursor(start + 1), ALL)
    assert (batch.first, messages_of([batch])) == (start + 1, ["b"])
    assert log.recent(log.next, ALL) == []


def test_following_ends_a_while_after_the_last_one_has_gone(followed, monkeypatch):
    monkeypatch.setattr("tailrace.bus.kafka.KAFKA_IDLE_S", 0.0)
    _, log, _ = followed
    log._calls = []
    log._unwanted_since = time.monotonic()
    until(lambda: log._following is None, 30)
