"""The tail over real sockets: server-sent events and long-poll."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apps.tail.serving import Serving, messages


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(tmp_path)
    yield server
    server.close()


def wait_until(holds) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_the_first_frame_is_a_ping_with_the_position(serving: Serving) -> None:
    end = serving.history.append("before")
    with serving.tail() as frames:
        event, last_id, data = next(frames)
        assert (event, last_id, data["checkpoint"], data["lag_ms"]) == ("ping", str(end), str(end), 0.0)


def test_no_proxy_may_keep_the_stream_back(serving: Serving) -> None:
    connection, answer = serving.get("/tail")
    answer.close()
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answer.headers["cache-control"] == "no-cache, no-transform"
    assert answer.headers["x-accel-buffering"] == "no"
    connection.close()


def test_a_line_arrives_as_rows_with_the_checkpoint_as_id(serving: Serving) -> None:
    with serving.tail("/tail?q=payment") as frames:
        next(frames)
        end = serving.history.append("a payment failed")
        event, last_id, data = next(frames)
        assert (event, last_id, data["next"]) == ("rows", str(end), str(end))
        assert [record["message"] for record in data["records"]] == ["a payment failed"]


def test_a_cut_connection_resumes_from_the_last_event_id(serving: Serving) -> None:
    with serving.tail() as frames:
        next(frames)
        serving.history.append("one")
        seen, last_id = messages(frames, 1)
    serving.history.append("two")
    with serving.tail("/tail", Last_Event_ID=last_id) as frames:
        serving.history.append("three")
        assert seen + messages(frames, 2)[0] == ["one", "two", "three"]


def test_a_restart_of_the_server_ends_the_tail_and_loses_nothing(serving: Serving) -> None:
    with serving.tail() as frames:
        next(frames)
        serving.history.append("one")
        _, last_id = messages(frames, 1)
        serving.stop()
        event, end_id, _ = next(frames)
        assert (event, end_id) == ("end", last_id)
    serving.history.append("while it was away")
    serving.start()
    with serving.tail(f"/tail?after={end_id}") as frames:
        assert messages(frames, 1)[0] == ["while it was away"]


def test_history_flows_into_live(serving: Serving) -> None:
    serving.history.append(*[f"old {number}" for number in range(50)])
    with serving.tail("/tail?last=10") as frames:
        serving.history.append("new")
        found, _ = messages(frames, 11)
        assert found == [f"old {number}" for number in range(40, 50)] + ["new"]


def test_a_client_that_leaves_is_noticed(serving: Serving) -> None:
    with serving.tail() as frames:
        next(frames)
        assert serving.hub.stats().viewers == 1
    wait_until(lambda: serving.hub.stats().viewers == 0)


@pytest.mark.scenario("E26", "somebody who watches live never reads what comes")
def test_a_client_that_never_reads_holds_a_bounded_queue_and_nobody_up(serving: Serving) -> None:
    connection, answer = serving.get("/tail")
    with serving.tail() as frames:
        next(frames)
        for number in range(40):
            serving.history.append(*[f"{number} {'x' * 2000}"] * 100)
        found, _ = messages(frames, 4000)
        assert len(found) == 4000
    sizes = [viewer.subscription.queued_bytes for viewer in list(serving.hub._viewers)]
    assert max(sizes) <= 3 << 20
    answer.close()
    connection.close()


def test_a_client_that_accepts_nothing_is_cut_off(tmp_path: Path) -> None:
    serving = Serving(tmp_path, ping_s=0.05, stall_s=0.1)
    connection, answer = serving.get("/tail")
    for number in range(20):
        serving.history.append(*[f"{number} {'x' * 5000}"] * 200)
    wait_until(lambda: serving.hub.stats().viewers == 0)
    answer.close()
    connection.close()
    serving.close()


def test_two_starts_contradict_each_other(serving: Serving) -> None:
    status, problem = serving.json("/tail?last=1&since=1m")
    assert status == 400
    assert "last" in problem["detail"]


def test_what_is_not_a_cursor_is_refused_before_the_stream_starts(serving: Serving) -> None:
    status, problem = serving.json("/tail?after=nonsense")
    assert status == 400
    assert "nonsense" in problem["detail"]


def test_a_head_request_opens_no_tail(serving: Serving) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", serving.port, timeout=20)
    connection.request("HEAD", "/api/v1/tail")
    assert connection.getresponse().status == 200
    assert serving.hub.stats().viewers == 0
    connection.close()


def test_a_poll_answers_at_once_when_there_is_something(serving: Serving) -> None:
    serving.history.append("one", "two")
    status, answer = serving.json(f"/tail/poll?after={serving.history.at(0)}&wait=20")
    assert status == 200
    assert [frame["event"] for frame in answer["frames"]] == ["rows"]
    assert [record["message"] for record in answer["frames"][0]["records"]] == ["one", "two"]
    assert answer["next"] == str(serving.history.at(2))


def test_a_poll_says_where_what_it_answers_begins(serving: Serving) -> None:
    serving.history.append("one", "two", "three")
    _, answer = serving.json("/tail/poll?last=2")
    assert answer["from"] == str(serving.history.at(1))


def test_a_poll_without_news_is_empty_and_says_where_to_go_on(serving: Serving) -> None:
    end = serving.history.append("one")
    assert serving.json("/tail/poll?wait=0") == (200, {"from": str(end), "frames": [], "next": str(end)})


def test_polls_that_do_not_wait_get_all_that_is_there(serving: Serving) -> None:
    end = serving.history.append(*[f"line {number}" for number in range(9_000)])
    after, found = str(serving.history.at(0)), []
    while after != str(end):
        _, answer = serving.json(f"/tail/poll?after={after}&wait=0")
        assert answer["next"] != after
        after = answer["next"]
        found += [record["message"] for frame in answer["frames"] for record in frame["records"]]
    assert found == [f"line {number}" for number in range(9_000)]


def test_a_poll_that_does_not_wait_answers_from_the_end_at_once(serving: Serving) -> None:
    end = serving.history.append("one")
    assert serving.json(f"/tail/poll?after={end}&wait=0") == (200, {"from": str(end), "frames": [], "next": str(end)})


def test_a_poll_waits_for_what_comes(serving: Serving) -> None:
    answers: list[dict] = []
    thread = threading.Thread(target=lambda: answers.append(serving.json("/tail/poll?wait=20")[1]))
    thread.start()
    wait_until(lambda: serving.hub.stats().viewers == 1)
    serving.history.append("news")
    thread.join(20)
    assert answers[0]["frames"][0]["records"][0]["message"] == "news"


def test_a_poll_resumes_with_the_token_of_a_stream(serving: Serving) -> None:
    with serving.tail() as frames:
        next(frames)
        serving.history.append("one")
        _, last_id = messages(frames, 1)
    serving.history.append("two")
    _, answer = serving.json(f"/tail/poll?after={last_id}")
    assert [record["message"] for record in answer["frames"][0]["records"]] == ["two"]


def test_lines_around_a_match_come_marked_and_are_not_counted(serving: Serving) -> None:
    with serving.tail("/tail?q=payment&context=1") as frames:
        next(frames)
        serving.history.append("before", "a payment failed", "after", "later")
        found: list[tuple[str, bool]] = []
        while len(found) < 3:
            _, _, data = next(frames)
            found += [(record["message"], record.get("context", False)) for record in data["records"]]
    assert found == [("before", True), ("a payment failed", False), ("after", True)]


def test_counts_say_what_matched_without_showing_all_of_it(serving: Serving) -> None:
    with serving.tail("/tail?rate_max=1&counts=true") as frames:
        next(frames)
        serving.history.append(*(f"order {number} done" for number in range(50)))
        event, _, gap = next(frames)
        assert (event, gap["why"], gap["count"]) == ("gap", "sampled", 48)
        event, _, data = next(frames)
    assert (event, len(data["records"])) == ("rows", 2)
    assert data["counts"] == {
        "levels": {"info": 50},
        "facets": {"service": {"shop": 50}},
        "patterns": {"order * done": 50},
    }


def test_an_answer_to_a_poll_declares_what_sampling_left_out_of_it(serving: Serving) -> None:
    start = serving.history.append("first")
    serving.history.append(*(f"order {number} done" for number in range(50)))
    _, answer = serving.json(f"/tail/poll?after={start}&rate_max=1&wait=20")
    gap, rows = answer["frames"]
    assert len(rows["records"]) + gap["count"] == 50
    assert (gap["event"], gap["why"], gap["to"]) == ("gap", "sampled", answer["next"])


def test_more_context_than_the_bound_is_refused(serving: Serving) -> None:
    assert serving.json("/tail/poll?context=101&wait=0")[0] == 400
