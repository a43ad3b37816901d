"""Replays by a real server process: over HTTP, and as ``tailrace replay`` in a terminal."""

from __future__ import annotations

import http.client
import json
import random
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import numpy as np
import pytest

from tailrace.record import rfc3339
from tests.apps.programs import TAILRACE, environment, tailrace
from tests.apps.tail.serving import streamed

SECOND = 1_000_000_000
WINDOW_S = 60
ROWS = 400


def push(server: Any, *records: tuple[int, str]) -> None:
    times = rfc3339(np.array([time_ns for time_ns, _ in records], np.int64))
    lines = [json.dumps({"time": at, "message": text}) for at, (_, text) in zip(times, records, strict=True)]
    status, answer = server.push("\n".join(lines).encode())
    assert (status, answer["accepted"]) == (200, len(records)), answer


def fill(server: Any) -> int:
    """Push records of a minute that has passed, not in their order and some of one moment; return its beginning."""
    chance = random.Random(7)
    first_ns = time.time_ns() - 2 * WINDOW_S * SECOND
    moments = [first_ns + chance.randrange(WINDOW_S * 10) * SECOND // 10 for _ in range(ROWS)]
    push(
        server,
        *[(moment, f"line {number} {chance.choice(('apple', 'pear'))}") for number, moment in enumerate(moments)],
    )
    return first_ns


@pytest.fixture(scope="module")
def filled(server: Any) -> tuple[Any, int]:
    return server, fill(server)


@contextmanager
def replay(server: Any, last_id: str = "", **asked: Any) -> Iterator[Iterator[tuple[str, str, dict[str, Any]]]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    headers = {"Last-Event-ID": last_id} if last_id else {}
    parameters = {name.rstrip("_"): value for name, value in asked.items()}
    connection.request("GET", "/api/v1/replay?" + urlencode(parameters), headers=headers)
    with streamed(connection, connection.getresponse()) as frames:
        yield frames


def cursors(data: dict[str, Any]) -> list[str]:
    return [record["cursor"] for record in data.get("records", ())]


def found(server: Any, first_ns: int, last_ns: int, q: str = "") -> list[str]:
    asked = {"from_": str(first_ns), "to": str(last_ns), "q": q, "order": "oldest", "limit": 10_000}
    return cursors(server.get("/api/v1/search", **asked))


@pytest.mark.parametrize("speed", ["1000", "max"])
@pytest.mark.parametrize("q", ["", "apple"])
@pytest.mark.promise(12)
def test_a_replay_of_a_window_shows_what_a_search_finds_in_its_order(
    filled: tuple[Any, int], speed: str, q: str
) -> None:
    server, first_ns = filled
    last_ns = first_ns + WINDOW_S * SECOND // 2
    shown: list[str] = []
    with replay(server, from_=first_ns, to=last_ns, speed=speed, q=q) as frames:
        for event, _, data in frames:
            shown += cursors(data)
            if event == "end":
                assert data["done"] is True
                break
    assert shown == found(server, first_ns, last_ns, q)
    assert 50 < len(shown) < ROWS


def test_pings_tell_the_moment_that_is_shown(filled: tuple[Any, int]) -> None:
    server, first_ns = filled
    with replay(server, from_=first_ns, speed=10) as frames:
        clocks = [data["clock"] for event, _, data in (next(frames) for _ in range(20)) if event == "ping"]
    begin = rfc3339(np.array([first_ns], np.int64))[0]
    assert clocks
    assert clocks == sorted(clocks)
    assert begin <= clocks[0]


@pytest.mark.promise(12)
def test_a_replay_goes_on_into_live_and_the_tail_takes_its_id(filled: tuple[Any, int]) -> None:
    server, first_ns = filled
    shown: list[str] = []
    messages: list[str] = []
    checkpoint = ""
    with replay(server, from_=first_ns, speed=1000) as frames:
        for event, last_id, data in frames:
            shown += cursors(data)
            messages += [record["message"] for record in data.get("records", ())]
            if event == "ping" and not last_id.startswith("replay.") and not checkpoint:
                push(server, (first_ns - SECOND, "live, and older than the window"))
            checkpoint = "" if last_id.startswith("replay.") else last_id
            if messages and messages[-1].startswith("live"):
                break
    assert messages[-1] == "live, and older than the window"
    assert shown[:-1] == found(server, first_ns, time.time_ns())
    push(server, (time.time_ns(), "next"))
    answer = server.get("/api/v1/tail/poll", after=checkpoint, wait=20)
    assert [record["message"] for record in answer["frames"][0]["records"]] == ["next"]
    with replay(server, after=checkpoint, speed=5) as frames:
        assert [record["message"] for record in _rows(frames)] == ["next"]


def _rows(frames: Iterator[tuple[str, str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return next(data["records"] for event, _, data in frames if event == "rows")


@pytest.mark.promise(12)
def test_kills_of_the_server_in_the_middle_lose_nothing_and_repeat_nothing(start: Any) -> None:
    server = start()
    first_ns = fill(server)
    last_ns = first_ns + WINDOW_S * SECOND
    shown: list[str] = []
    last_id, ended, kills = "", False, 0
    while not ended:
        with replay(server, last_id, from_=first_ns, to=last_ns, speed=40) as frames:
            before = len(shown)
            for event, last_id, data in frames:  # noqa: B007 - the newest one counts
                assert event != "gap", data
                shown += cursors(data)
                ended = event == "end"
                if ended or (kills < 2 and len(shown) > before + ROWS // 4):
                    break
        if not ended:
            server.stop(signal.SIGKILL)
            kills += 1
            server = start()
    assert kills == 2
    assert shown == found(server, first_ns, last_ns)
    assert len(shown) == ROWS


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "from"),
        ({"from": "10m", "to": "20m"}, "before"),
        ({"from": "10m", "speed": "0"}, "speed"),
        ({"from": "10m", "speed": "1001"}, "speed"),
        ({"after": "replay.nonsense"}, "token"),
        ({"after": "nonsense"}, "cursor"),
        ({"from": "10m", "q": "* | stats count()"}, "live"),
    ],
)
def test_what_cannot_be_replayed_is_refused_before_the_stream_starts(
    server: Any, asked: dict[str, str], said: str
) -> None:
    status, _, body = server.call("GET", "/api/v1/replay", asked)
    assert status == 400
    assert said in body.decode()


def test_a_head_request_opens_no_replay(server: Any) -> None:
    status, headers, _ = server.call("HEAD", "/api/v1/replay", {"from": "10m"})
    assert status == 200
    assert headers["content-type"] == "text/event-stream; charset=utf-8"


def test_the_command_prints_a_window_and_ends(filled: tuple[Any, int]) -> None:
    server, first_ns = filled
    window = ["--from", first_ns, "--to", first_ns + 30 * SECOND]
    shown = tailrace("replay", "apple", *window, "--speed", "max", "--output", "json", server=server)
    assert shown.returncode == 0, shown.stderr
    searched = tailrace(
        "search", "apple", *window, "--order", "oldest", "--limit", 1000, "--output", "json", server=server
    )
    assert shown.stdout == searched.stdout
    assert shown.stdout.count(b"\n") > 20


def test_an_interrupt_of_the_command_says_with_what_to_go_on(filled: tuple[Any, int]) -> None:
    server, first_ns = filled
    window = ["--from", str(first_ns), "--to", str(first_ns + 30 * SECOND)]
    process = subprocess.Popen(
        [*TAILRACE, "replay", "line apple", *window, "--speed", "20", "--output", "json", "--server", server.url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # what a buffer holds would be missing from the rest
        env=environment(),
    )
    try:
        assert process.stdout is not None
        began = [process.stdout.readline() for _ in range(5)]
        process.send_signal(signal.SIGINT)
        rest, said = process.communicate(timeout=20)
        assert process.returncode == 130
    finally:
        process.kill()
        process.wait()
    command = shlex.split(said.decode().partition("to go on: tailrace ")[2])
    assert command[:2] == ["replay", "line apple"]
    on = tailrace(*command[:-1], "max", "--output", "json", server=server)
    assert on.returncode == 0, on.stderr
    shown = [json.loads(line)["cursor"] for line in (b"".join(began) + rest + on.stdout).splitlines()]
    assert shown == found(server, first_ns, first_ns + 30 * SECOND, "apple")
