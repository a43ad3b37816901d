"""A viewer of a topic of a real cluster."""

import pytest

from tailrace.cursor import Checkpoint
from tests.topics.topics import Seen, window


def test_everything_there_is_comes_in_the_order_of_its_partition_and_then_the_end(kafka):
    topic = kafka.topic()
    kafka.put(topic, *map(str, range(500)))
    seen = Seen(kafka, window(topic)).whole()
    assert seen.messages == [str(number) for number in range(500)]
    assert seen.end["done"]


def test_without_an_end_it_goes_on_live(kafka):
    topic = kafka.topic()
    kafka.put(topic, "before")
    seen = Seen(kafka, window(topic, first_ns=None, ends=False))
    seen.until(lambda: seen.messages, when=lambda: kafka.put(topic, "after"))
    assert seen.messages == ["after"]


def test_only_the_partitions_that_were_chosen_are_read(kafka):
    topic = kafka.topic(3)
    for partition in range(3):
        kafka.put(topic, str(partition), partition=partition)
    seen = Seen(kafka, window(topic, partitions=(0, 2))).whole()
    assert sorted(seen.messages) == ["0", "2"]
    assert seen.frames[-2][2]["total"] == 2


def test_a_limit_ends_it_exactly_behind_the_last_match(kafka):
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.put(topic, *(f"{partition} {number}" for number in range(100)), partition=partition)
    first = Seen(kafka, window(topic), limit=30).whole()
    assert len(first.messages) == 30
    after = Checkpoint.parse(first.end["checkpoint"])
    rest = Seen(kafka, window(topic, after=after)).whole()
    assert sorted(first.messages + rest.messages) == sorted(f"{p} {n}" for p in range(2) for n in range(100))


def test_a_viewer_goes_on_behind_any_frame_it_has_seen(kafka):
    topic = kafka.topic(2)
    for partition in range(2):
        kafka.put(topic, *(f"{partition} {n} " + "x" * 3000 for n in range(200)), partition=partition)
    whole = Seen(kafka, window(topic)).whole()
    rows = [number for number, (kind, _, _) in enumerate(whole.frames) if kind == "rows"]
    assert len(rows) > 4
    for at in rows[:: len(rows) // 4]:
        before = [
            record["message"]
            for kind, _, data in whole.frames[: at + 1]
            if kind == "rows"
            for record in data["records"]
        ]
        rest = Seen(kafka, window(topic, after=Checkpoint.parse(whole.frames[at][1]))).whole()
        assert sorted(before + rest.messages) == sorted(whole.messages)


def test_progress_says_how_much_was_read_and_of_how_many(kafka):
    topic = kafka.topic()
    kafka.put(topic, "refund", "other", "refund")
    seen = Seen(kafka, window(topic), "refund").whole()
    progress = seen.frames[-2][2]
    assert (progress["read"], progress["total"], progress["matched"], progress["bytes"]) == (3, 3, 2, 17)


def test_messages_that_a_transaction_took_back_are_not_shown_and_do_not_keep_it_from_ending(kafka):
    from confluent_kafka import Producer

    topic = kafka.topic()
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic, "log_level": 0})
    producer.init_transactions(60)
    for value, finish in (("kept", producer.commit_transaction), ("taken back", producer.abort_transaction)):
        producer.begin_transaction()
        producer.produce(topic, value.encode())
        producer.flush(60)
        finish(60)
    seen = Seen(kafka, window(topic)).whole()
    assert seen.messages == ["kept"]


def test_pipes_shape_what_is_sent(kafka):
    topic = kafka.topic()
    kafka.put(topic, '{"id":7}', '{"id":8}')
    seen = Seen(kafka, window(topic), "* | where value.id:8 | fields value.id").whole()
    assert [record["value.id"] for record in seen.records] == [8]


def test_nobody_who_looked_is_known_to_the_brokers_afterwards(kafka):
    topic = kafka.topic()
    kafka.put(topic, "a")
    Seen(kafka, window(topic)).whole()
    groups = kafka.admin.list_consumer_groups().result(60)
    assert not [group.group_id for group in groups.valid if group.group_id.startswith("tailrace-")]


@pytest.mark.parametrize("value", [b"\xff\x00\xfe", b"{broken", None])
def test_a_message_that_nobody_understands_is_shown_all_the_same(kafka, value):
    topic = kafka.topic()
    kafka.put(topic, "before", value, "after") if value is not None else kafka.put(topic, "before", b"", "after")
    assert len(Seen(kafka, window(topic)).whole().messages) == 3


def test_what_retention_removes_before_it_was_read_is_a_gap(kafka):
    from confluent_kafka import TopicPartition

    topic = kafka.topic()
    kafka.put(topic, *(f"{number} " + "x" * 900 for number in range(20_000)))

    def remove():
        kafka.admin.delete_records([TopicPartition(topic, 0, 19_990)])[TopicPartition(topic, 0)].result(60)

    seen = Seen(kafka, window(topic))
    seen.until(lambda: seen.end, when=remove)
    numbers = [int(message.split()[0]) for message in seen.messages]
    lost = [number for kind, _, data in seen.frames if kind == "gap" for number in _range(data)]
    assert lost
    assert sorted(numbers + lost) == list(range(20_000))


def _range(gap):
    first, behind = (int(gap[name].split("-")[1]) for name in ("from", "to"))
    assert gap["count"] == behind - first
    return range(first, behind)
