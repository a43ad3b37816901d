"""The calls about topics, of a real server over a real cluster."""

import json

import pytest

from tests.apps.programs import tailrace
from tests.topics.topics import serving


@pytest.fixture(scope="module")
def topic(kafka):
    made = kafka.topic(2)
    for partition in range(2):
        kafka.put(made, *(f'{{"id":{10 * partition + n}}}' for n in range(5)), partition=partition, key=b"k")
    return made


@pytest.fixture(scope="module")
def server(kafka, topic, tmp_path_factory):
    with serving(kafka, topic, "shop", tmp_path_factory) as one:
        yield one


def events(server, **parameters):
    status, headers, body = server.call("GET", "/api/v1/kafka/tail", {"from": "earliest", "to": "now", **parameters})
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    blocks = [block for block in body.decode().split("\n\n") if "event: " in block]
    return [dict(line.split(": ", 1) for line in block.split("\n")) for block in blocks]


def ids(some):
    found = [json.loads(event["data"])["records"] for event in some if event["event"] == "rows"]
    return sorted(record["fields"]["value"]["id"] for records in found for record in records)


def problem(server, **parameters):
    status, _, body = server.call("GET", "/api/v1/kafka/tail", parameters)
    return status, json.loads(body)["detail"]


def test_topics_are_listed_with_their_partitions(server, topic):
    (found,) = [one for one in server.get("/api/v1/kafka/topics")["topics"] if one["name"] == topic]
    assert (found["messages"], found["aliases"]) == (10, ["shop"])
    assert [(one["partition"], one["first"], one["next"]) for one in found["partitions"]] == [(0, 0, 5), (1, 0, 5)]


def test_a_topic_is_a_stream_of_events_with_an_end(server):
    some = events(server, topic="shop", q="value.id:>11")
    assert ids(some) == [12, 13, 14]
    assert some[-1]["event"] == "end"


def test_a_stream_goes_on_behind_the_id_of_an_event(server, topic):
    first = events(server, topic=topic, limit=4)
    rest = events(server, topic=topic, after=first[-1]["id"])
    assert sorted(ids(first) + ids(rest)) == [*range(5), *range(10, 15)]


def test_what_is_wrong_is_said_before_the_stream_begins(server, topic):
    assert problem(server, topic="not-there") == (400, "there is no topic 'not-there'")
    assert problem(server, topic=topic, partitions="a") == (400, "'a' are no partitions")
    assert problem(server, topic=topic, to="2200-01-01") == (400, "`to` is still to come")
    assert problem(server, topic=topic, after="1-5")[1].startswith("1-5 is no position")


def test_a_server_without_brokers_says_so(start):
    server = start()
    assert server.get("/api/v1/kafka/topics") == {"brokers": 0, "topics": []}
    cure = "Name them in its configuration: [kafka] brokers."
    status, _, body = server.call("GET", "/api/v1/kafka/tail", {"topic": "any"})
    assert (status, json.loads(body)["cure"]) == (400, cure)
    asked = tailrace("kafka", "topics", server=server)
    assert asked.returncode != 0
    assert cure in asked.stderr.decode()


def test_the_command_prints_messages_and_says_where_to_go_on(server, topic):
    done = tailrace("kafka", "tail", "shop", "value.id:13", "--from", "earliest", "--to", "now", server=server)
    assert done.returncode == 0
    assert done.stdout.decode().split(" ", 2)[2] == '1:3 k {"id":13}\n'
    listed = tailrace("kafka", "topics", "--partitions", server=server).stdout.decode().splitlines()
    found = [line.split() for line in listed if line.endswith(topic)]
    assert [(first, next_, partition) for first, next_, _, _, _, _, partition, _ in found] == [
        ("0", "5", "0"),
        ("0", "5", "1"),
    ]
