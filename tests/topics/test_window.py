"""Which messages a window means, of a real cluster."""

import pytest

from tailrace.bus.brokers import Brokers
from tailrace.cursor import Checkpoint, Cursor
from tailrace.errors import Away, BadInput
from tailrace.topics.window import Catalog, Window
from tests.topics.topics import catalog, window

MS = 1_000_000


@pytest.fixture(scope="module")
def topic(kafka):
    """Ten messages, a second apart, in the first of two partitions."""
    made = kafka.topic(2)
    for number in range(10):
        kafka.put(made, str(number), timestamp=1_700_000_000_000 + 1000 * number)
    return made


def stretches(kafka, *args, **more):
    return [(one.partition, one.start, one.stop) for one in catalog(kafka).stretches(Window(*args, **more))]


def test_without_a_start_it_begins_at_the_end_and_does_not_end(kafka, topic):
    assert stretches(kafka, topic) == [(0, 10, None), (1, 0, None)]


def test_the_beginning_and_what_is_there_now(kafka, topic):
    assert stretches(kafka, topic, first_ns=0, ends=True) == [(0, 0, 10), (1, 0, 0)]


@pytest.mark.parametrize(("offset", "start"), [(3, 3), (-4, 6), (-99, 0), (99, 10)])
def test_an_offset_counts_from_the_beginning_or_back_from_the_end(kafka, topic, offset, start):
    assert stretches(kafka, topic, partitions=(0,), offset=offset) == [(0, start, None)]


def test_a_time_begins_with_the_first_message_at_it_or_later_and_ends_before_it(kafka, topic):
    first, last = (1_700_000_003_000) * MS, 1_700_000_007_500 * MS
    assert stretches(kafka, topic, partitions=(0,), first_ns=first, last_ns=last) == [(0, 3, 8)]
    assert stretches(kafka, topic, partitions=(0,), first_ns=last * 2, ends=True) == [(0, 10, 10)]


def test_a_checkpoint_goes_on_behind_what_was_seen_and_at_the_beginning_of_what_is_new(kafka, topic):
    (known, _) = catalog(kafka).stretches(window(topic))
    after = Checkpoint.of([Cursor(known.epoch, 4)])
    assert stretches(kafka, topic, after=after, ends=True) == [(0, 4, 10), (1, 0, 0)]


def test_a_checkpoint_of_a_topic_that_was_made_anew_is_refused(kafka, topic):
    with pytest.raises(BadInput, match="no position"):
        stretches(kafka, topic, after=Checkpoint.of([Cursor(1, 4)]))


def test_a_partition_or_a_topic_that_is_not_there_is_said(kafka, topic):
    with pytest.raises(BadInput, match="no partition 7"):
        stretches(kafka, topic, partitions=(7,))
    with pytest.raises(BadInput, match="no topic 'nothing-here'"):
        stretches(kafka, "nothing-here")


def test_an_alias_means_its_topic(kafka, topic):
    known = catalog(kafka, shop=topic)
    assert known.stretches(window("shop")) == known.stretches(window(topic))
    assert [one.aliases for one in known.topics() if one.name == topic] == [["shop"]]


def test_topics_are_listed_with_what_can_be_read_of_each_partition(kafka, topic):
    (found,) = [one for one in catalog(kafka).topics() if one.name == topic]
    assert [(one.partition, one.first, one.next, one.replicas, one.in_sync) for one in found.partitions] == [
        (0, 0, 10, 1, 1),
        (1, 0, 0, 1, 1),
    ]
    assert all(one.leader >= 0 for one in found.partitions)


def test_brokers_that_do_not_answer_are_away(monkeypatch):
    monkeypatch.setattr("tailrace.topics.window.KAFKA_CALL_S_MAX", 0.3)
    with pytest.raises(Away):
        Catalog(Brokers(("127.0.0.1:1",)), {}).topics()
