"""What lies on a topic: as any consumer sees it, and as Tailrace reads it."""

from confluent_kafka import Consumer, KafkaError, TopicPartition

from tailrace.bus.brokers import Brokers
from tailrace.bus.kafka import KafkaLog
from tailrace.pipeline.foreign import understand
from tests.apps.programs import until


def brokers_of(kafka):
    return Brokers(tuple(kafka.bootstrap.split(",")))


def put(kafka, topic, encoded, *, partition=0):
    """Write what an agent or a server has made of its records."""
    columns = zip(encoded.values, encoded.headers, encoded.times_ms, strict=True)
    rows = [{"value": value, "headers": headers, "timestamp": time_ms} for value, headers, time_ms in columns]
    kafka.put(topic, *rows, partition=partition)


def messages_on(kafka, topic):
    """Return all messages of a topic, partition by partition, with a client that knows nothing of Tailrace."""
    consumer = Consumer(
        {
            "bootstrap.servers": kafka.bootstrap,
            "group.id": "anybody",
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "log_level": 0,
        }
    )
    partitions = until(
        lambda: consumer.list_topics(topic, timeout=20).topics[topic].partitions
    )  # all brokers know it soon
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    found, waiting = [], set(partitions)
    while waiting:
        message = consumer.poll(20)
        assert message is not None, "the broker does not answer"
        if message.error() is None:
            found.append(message)
        else:
            assert message.error().code() == KafkaError._PARTITION_EOF, message.error()
            waiting.discard(message.partition())
    consumer.close()
    return sorted(found, key=lambda message: (message.partition(), message.offset()))


def all_of(log):
    """Return the batches of all partitions, from their beginnings to their ends."""
    found = []
    for end in log.newest().cursors:
        at = log.first.get(end.epoch)
        while at < end:
            found += log.read(at, 1 << 20)
            at = found[-1].next
    return found


def lines_on(kafka, *topics):
    """Return the messages of all records, as Tailrace reads them."""
    log = KafkaLog(brokers_of(kafka), topics, understand)
    try:
        return [message for batch in all_of(log) for message in batch.array("message").to_pylist()]
    finally:
        log.close()
