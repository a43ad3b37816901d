"""Topics of a real Kafka are a log that anybody reads, from anywhere."""

import threading
import uuid

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition

from tailrace.bus.kafka import KafkaLog
from tailrace.bus.message import encode
from tailrace.bus.topic import KafkaBus
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import Gone
from tailrace.limits import KAFKA_CLOCK_S, SECOND_NS
from tailrace.pipeline.foreign import understand
from tests.apps.programs import until
from tests.batches import batch_of, messages_of
from tests.bus.topics import all_of, brokers_of, put

ALL = 1 << 30


@pytest.fixture
def opened(kafka):
    """Open logs that are closed with the test."""
    logs = []

    def one(*topics, **more):
        logs.append(KafkaLog(brokers_of(kafka), topics, understand, **more))
        until(lambda: logs[-1].next.cursors, 30)  # each broker has to hear of a new topic
        return logs[-1]

    yield one
    for log in logs:
        log.close()


def send(kafka, topic, *messages, partition=0, first=0, source="agent:7", observed=7):
    """Send records as an agent would."""
    put(
        kafka, topic, encode(batch_of(messages, observed=observed).placed(7, first), source=source), partition=partition
    )


def test_all_partitions_of_all_topics_are_one_log(kafka, opened):
    topics = [kafka.topic(2), kafka.topic(1)]
    send(kafka, topics[0], "a", "b", partition=1)
    send(kafka, topics[1], "c")
    log = opened(*topics)
    assert sorted(messages_of(all_of(log))) == ["a", "b", "c"]
    assert sorted(cursor.offset for cursor in log.next.cursors) == [0, 1, 2]


def test_reading_goes_on_where_it_was_and_covers_what_was_left_out(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, *(f"{n}" for n in range(50)))
    log = opened(topic)
    (end,) = log.newest().cursors
    first = log.read(end.beginning, 1)
    send(kafka, topic, *(f"{n}" for n in range(60)))
    log.newest()
    rest = log.read(first[-1].next, ALL)
    assert messages_of(first + rest) == [f"{n}" for n in range(60)]
    assert (first[0].first, first[-1].next, rest[-1].next) == (end.beginning, end, end + 60)


def test_who_begins_in_the_middle_leaves_out_what_an_agent_that_died_sends_again(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, *(f"{n}" for n in range(50)))
    following, reading = opened(topic), opened(topic)
    (middle,) = following.newest().cursors
    following.on_commit(lambda: None)
    send(kafka, topic, *(f"{n}" for n in range(30, 60)), first=30)
    until(lambda: reading.newest().cursors[0].offset == 80 and following.next.cursors[0].offset == 80)
    wanted = [f"{n}" for n in range(50, 60)]
    until(lambda: messages_of(following.recent(middle, ALL)) == wanted)
    assert messages_of(reading.read(middle, ALL)) == wanted


def test_what_lies_before_retention_or_in_another_log_is_gone(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, "a", "b", "c")
    records = {TopicPartition(topic, 0, 2): None}
    for done in kafka.admin.delete_records(list(records)).values():
        done.result(30)
    log = opened(topic)
    (first,) = log.first.cursors
    assert first.offset == 2
    with pytest.raises(Gone) as gone:
        log.read(first.beginning, ALL)
    assert gone.value.next == first
    with pytest.raises(Gone):
        log.read(Cursor(first.epoch ^ 1, 0), ALL)
    assert messages_of(log.read(first, ALL)) == ["c"]


def test_a_topic_that_was_made_anew_is_another_log(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, "a")
    log = opened(topic)
    old = log.newest()
    kafka.admin.delete_topics([topic])[topic].result(30)
    until(lambda: topic not in kafka.admin.list_topics(timeout=20).topics, 30)
    kafka.topic(name=topic)
    send(kafka, topic, "b")
    until(lambda: log.next.cursors and log.next.cursors[0].epoch != old.cursors[0].epoch, 60)
    until(lambda: len(log.next.cursors) == 1, 60)
    with pytest.raises(Gone):
        log.read(old.cursors[0], ALL)
    until(lambda: messages_of(all_of(log)) == ["b"], 30)


def test_who_wants_to_be_called_is_given_what_arrives_from_memory(kafka, opened):
    topic = kafka.topic(2)
    send(kafka, topic, "before")
    log = opened(topic)
    start, told = log.newest(), threading.Event()
    take_back = log.on_commit(told.set)
    send(kafka, topic, "a", first=1)
    send(kafka, topic, "b", partition=1)
    assert told.wait(30)
    until(lambda: sorted(messages_of(log.recent(start, ALL))) == ["a", "b"], 30)
    assert all(batch.first == start.get(batch.epoch) for batch in log.recent(start, ALL))
    with pytest.raises(Gone):
        log.recent(start.beginning, ALL)
    take_back()


def test_a_partition_that_is_added_is_read_from_its_beginning(kafka, opened):
    from confluent_kafka.admin import NewPartitions

    topic = kafka.topic(1)
    log = opened(topic)
    start = log.newest()
    take_back = log.on_commit(lambda: None)
    kafka.admin.create_partitions([NewPartitions(topic, 2)])[topic].result(30)
    until(lambda: len(log.next.cursors) == 2, 60)
    send(kafka, topic, "new", partition=1)
    until(lambda: messages_of(log.recent(start, ALL)) == ["new"], 60)
    take_back()


def test_a_time_is_a_position_in_each_partition(kafka, opened):
    topic = kafka.topic(2)
    for number in range(4):
        send(kafka, topic, f"{number}", first=number, observed=(1_000 + number) * SECOND_NS)
    log = opened(topic)
    assert sorted(cursor.offset for cursor in log.at_time(1_002 * SECOND_NS).cursors) == [0, 2]
    assert log.at_time(2_000 * SECOND_NS) == log.newest()
    assert log.since((1_003 + int(KAFKA_CLOCK_S)) * SECOND_NS) == log.at_time(1_003 * SECOND_NS)


def test_marks_of_transactions_are_no_records_and_no_loss(kafka, opened):
    topic = kafka.topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "log_level": 0})
    producer.init_transactions(30)
    for message in ("kept", "dropped"):
        producer.begin_transaction()
        producer.produce(topic, message)
        producer.flush(30)
        producer.commit_transaction(30) if message == "kept" else producer.abort_transaction(30)
    log = opened(topic)
    until(lambda: sum(cursor.offset for cursor in log.newest().cursors) == 4, 30)
    found = all_of(log)
    assert (messages_of(found), found[-1].next.offset) == (["kept"], 4)


def test_nobody_joins_a_group_and_nothing_is_committed(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, "a")
    all_of(opened(topic))
    groups = kafka.admin.list_consumer_groups().result(30).valid
    assert not [group.group_id for group in groups if group.group_id.startswith("tailrace-")]


def test_many_threads_read_the_past_at_once(kafka, opened):
    topic = kafka.topic()
    send(kafka, topic, *(f"{n}" for n in range(200)))
    log = opened(topic)
    log.newest()
    found = []
    threads = [threading.Thread(target=lambda: found.append(messages_of(all_of(log)))) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert found == [[f"{n}" for n in range(200)]] * 9


def test_a_bus_puts_a_batch_into_one_partition(kafka):
    topic = kafka.topic(3)
    bus = KafkaBus(brokers_of(kafka), topic, understand)
    try:
        ends = [bus.append(batch_of(["a", "b"], service=f"s{n}")).result(30) for n in range(8)]
        assert isinstance(ends[-1], Checkpoint)
        consumer = Consumer({"bootstrap.servers": kafka.bootstrap, "group.id": "x", "log_level": 0})
        sizes = [consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=20)[1] for n in range(3)]
        consumer.close()
        assert (sum(sizes), [size % 2 for size in sizes]) == (16, [0, 0, 0])
        assert bus.newest() == bus.next
    finally:
        bus.close()


def test_topics_that_a_pattern_means_are_read_from_their_beginning_when_they_are_made(kafka, opened, monkeypatch):
    monkeypatch.setattr("tailrace.bus.kafka.KAFKA_TOPICS_LOOK_S", 0.1)
    prefix = f"logs-{uuid.uuid4().hex}"
    first = kafka.topic(name=f"{prefix}-a")
    send(kafka, first, "a")
    log = opened(f"^{prefix}")
    before = log.newest()
    took_back = log.on_commit(lambda: None)
    second = kafka.topic(2, name=f"{prefix}-b")
    kafka.topic(name=f"{prefix}-b-dead")
    send(kafka, second, "b", partition=1)
    until(lambda: len(log.newest().cursors) == 3, 30)
    assert before.get(before.cursors[0].epoch) == log.next.get(before.cursors[0].epoch)
    until(lambda: "b" in messages_of(log.recent(before, ALL)), 30)
    assert sorted(messages_of(all_of(log))) == ["a", "b"]
    took_back()
