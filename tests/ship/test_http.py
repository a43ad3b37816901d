"""A real server takes blocks: once, checked, and says where it is."""

import json

import pytest

from tailrace.ship.block import MEDIA_TYPE, PATH, encode, mark_of, source_of
from tests.batches import batch_of


def post(server, body, kind=MEDIA_TYPE, coding="zstd"):
    status, _, answer = server.call("POST", PATH, body=body, Content_Type=kind, Content_Encoding=coding)
    return status, json.loads(answer)


def block(epoch, first, count, after, **more):
    batch = batch_of([f"block {epoch} line {n}" for n in range(first, first + count)], **more).placed(epoch, first)
    return encode(batch, first, first + count, branch=0, after=after, host="web-1", end=first + count), batch


def told(server, epoch):
    return server.get(PATH, source=source_of(epoch, 0))


def test_a_block_is_found_at_once_and_its_place_is_known(server):
    body, batch = block(1, 0, 10, None)
    assert told(server, 1)["taken"] is None
    status, answer = post(server, body)
    assert (status, answer["taken"], answer["mark"]) == (200, 10, mark_of(batch))
    assert told(server, 1) == {**answer, "cursor": told(server, 1)["cursor"]}
    assert server.messages(q='"block 1"') == [f"block 1 line {n}" for n in range(10)]


def test_a_block_that_comes_twice_is_stored_once(server):
    body, _ = block(2, 0, 10, None)
    assert [post(server, body)[0] for _ in range(2)] == [200, 409]
    assert len(server.messages(q='"block 2"')) == 10


def test_a_block_for_a_server_that_is_elsewhere_is_refused_with_where_it_is(server):
    post(server, block(3, 0, 10, None)[0])
    assert [(status, answer["taken"]) for status, answer in [post(server, block(3, 20, 10, 20)[0])]] == [(409, 10)]
    assert post(server, block(4, 20, 10, 20)[0])[1]["taken"] is None
    assert len(server.messages(q='"block 3"')) == 10


def test_records_keep_their_own_time_and_stream(server):
    post(server, block(5, 0, 1, None, service="cart", time=1_700_000_000_000_000_000)[0])
    (found,) = server.get("/api/v1/search", q='"block 5"')["records"]
    assert (found["service"], found["time"][:10], found["level"]) == ("cart", "2023-11-14", "info")


def test_a_block_is_there_after_the_server_was_killed(start):
    """E24"""
    server = start()
    post(server, block(6, 0, 10, None)[0])
    server.stop(9)
    server = start()
    assert told(server, 6)["taken"] == 10
    assert len(server.messages(q='"block 6"')) == 10


@pytest.mark.parametrize(
    ("body", "kind", "coding", "status"),
    [
        (b"x", "application/json", "zstd", 415),
        (b"x", MEDIA_TYPE, "gzip", 415),
        (b"x", MEDIA_TYPE, "zstd", 500),
        (b"", MEDIA_TYPE, "zstd", 400),
    ],
)
def test_what_is_no_block_is_refused(server, body, kind, coding, status):
    assert post(server, body, kind, coding)[0] == status


def test_a_block_that_says_it_is_too_long_is_refused_before_it_comes(server):
    status, _, _ = server.call(
        "POST", PATH, body=iter([]), Content_Type=MEDIA_TYPE, Content_Encoding="zstd", Content_Length=str(1 << 40)
    )
    assert status == 413


@pytest.mark.parametrize("source", ["file:1", "push:k", ""])
def test_only_logs_of_agents_are_told_about(server, source):
    assert server.call("GET", PATH, {"source": source})[0] == 400
