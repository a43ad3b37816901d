"""A message that comes again has the same index and the same _id, whatever happened meanwhile."""

import json

import numpy as np
import pytest
from confluent_kafka import Message

from tailrace.bus.brokers import Brokers
from tailrace.bus.message import encode
from tailrace.indexing.documents import Documents
from tailrace.pipeline.foreign import understand
from tailrace.record import Batch, Stream

DAY_NS = 86_400 * 10**9
NOW_NS = 1_795_000_000 * 10**9  # 2026-11-18
PLACE = ("logs", 0)


@pytest.fixture
def documents():
    made = Documents(Brokers(("127.0.0.1:1",)), "tailrace", 30 * DAY_NS, understand)
    made._epochs[PLACE] = 0xAB  # what Kafka would say
    return made


def messages(times_ns, offsets, *, first=7):
    """Return messages of an agent, whose log has them from ``first`` on."""
    batch = Batch.of(
        time=times_ns,
        observed=np.full(len(times_ns), NOW_NS),
        level=[3] * len(times_ns),
        stream=Stream.of({"service": "shop"}),
        message=[f"line {n}" for n in range(len(times_ns))],
    ).placed(0x7F3A, first)
    made = encode(batch, source="agent:7f3a")
    return [
        Message(topic="logs", partition=0, offset=offset, value=value, headers=headers, timestamp=(1, stamp))
        for value, headers, stamp, offset in zip(made.values, made.headers, made.times_ms, offsets, strict=True)
    ]


def actions(lines):
    found = [line.split(b"\n") for line in lines]
    assert all(len(one) == 3 and one[2] == b"" for one in found)
    return [json.loads(action)["create"] for action, _, _ in found], [json.loads(source) for _, source, _ in found]


def test_a_line_is_an_action_and_a_document(documents):
    (action,), (source,) = actions(documents.of("logs", messages([NOW_NS], [42])))
    assert action["_index"] == "tailrace-2026.11.18"
    assert (source["message"], source["service.name"]) == ("line 0", "shop")
    assert (source["tailrace"]["epoch"], source["tailrace"]["offset"]) == ("00000000000000ab", 42)


def test_the_same_line_at_another_offset_has_the_same_name(documents):
    (one,), _ = actions(documents.of("logs", messages([NOW_NS], [42])))
    (again,), _ = actions(documents.of("logs", messages([NOW_NS], [99])))
    (other,), _ = actions(documents.of("logs", messages([NOW_NS], [42], first=8)))
    assert one == again != other


def test_a_foreign_message_is_named_by_its_place(documents):
    def foreign(offset):
        return Message(
            topic="logs", partition=0, offset=offset, value=b"text\nof two lines", timestamp=(1, 1_795_000_000_000)
        )

    (one, other), (source, _) = actions(documents.of("logs", [foreign(1), foreign(2)]))
    (again,), _ = actions(documents.of("logs", [foreign(1)]))
    assert one == again
    assert one["_id"] != other["_id"]
    assert source["message"] == "text\nof two lines"


def test_lines_of_several_partitions_are_named_as_they_are_alone(documents):
    documents._epochs["logs", 1] = 0xCD

    def foreign(partition):
        return Message(topic="logs", partition=partition, offset=5, value=b"text", timestamp=(1, 1_795_000_000_000))

    every = [*messages([NOW_NS], [42]), foreign(1), foreign(0)]
    alone = [actions(documents.of("logs", [message])) for message in every]
    assert actions(documents.of("logs", every)) == tuple(
        [one for (one,) in column] for column in zip(*alone, strict=True)
    )
    assert [source["tailrace"]["epoch"][-2:] for _, (source,) in alone] == ["ab", "cd", "ab"]


def test_lines_of_days_that_cannot_be_do_not_get_an_index_of_their_own(documents):
    times = [NOW_NS, NOW_NS - 2 * DAY_NS, NOW_NS - 400 * DAY_NS, NOW_NS + 400 * DAY_NS]
    found, _ = actions(documents.of("logs", messages(times, range(4))))
    names = [one["_index"] for one in found]
    assert names[:2] == ["tailrace-2026.11.18", "tailrace-2026.11.16"]
    assert names[2:] == ["tailrace-undated-2026.11.18"] * 2  # when they were seen


@pytest.mark.parametrize(
    "change", [lambda value: value + b" \n", lambda value: value.replace(b',"message"', b',\n"message"')]
)
def test_a_message_that_is_ours_but_for_its_spaces_is_still_one_line(documents, change):
    (usual,) = messages([NOW_NS], [42])
    odd = Message(
        topic="logs",
        partition=0,
        offset=42,
        value=change(usual.value()),
        headers=usual.headers(),
        timestamp=usual.timestamp(),
    )
    (action,), (source,) = actions(documents.of("logs", [odd]))
    (known,), (wanted,) = actions(documents.of("logs", [usual]))
    assert (action, source) == (known, wanted)
