"""Streams that are moved to a second process, while lines pour in: a real process, real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tailrace.cursor import Cursor
from tailrace.query import parse
from tailrace.tail.connection import Connections
from tailrace.tail.workers import _spawn
from tests.apps.programs import until
from tests.apps.tail.serving import Serving


@pytest.fixture
def serving(tmp_path: Path, monkeypatch) -> Iterator[Serving]:
    monkeypatch.setattr("tailrace.tail.workers.WORKER_TICK_S", 0.1)
    server = Serving(tmp_path, ping_s=0.2, processes=1)
    yield server
    server.close()


class Watcher:
    """A browser: it reads in a thread of its own, and comes back with the newest id when it is cut off."""

    def __init__(self, serving: Serving, query: str = "*") -> None:
        self.serving, self.query = serving, query
        self.start = serving.bus.next.offset
        self.offsets: list[int] = []
        self.last_id = str(serving.bus.next)
        self.connections = 0
        self.ping: dict[str, Any] = {}
        self.gaps: list[dict[str, Any]] = []
        self.ended = ""
        self.leaving = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self) -> None:
        while not self.leaving and not self.ended:
            self.connections += 1
            try:
                self.read()
            except (OSError, http.client.HTTPException):
                continue

    def read(self) -> None:
        with self.serving.tail(f"/tail?q={self.query}", Last_Event_ID=self.last_id) as frames:
            for event, last_id, data in frames:
                self.last_id = last_id
                if event == "rows":
                    self.offsets += [Cursor.parse(record["cursor"]).offset for record in data["records"]]
                elif event == "gap":
                    self.gaps.append(data)
                elif event == "ping":
                    self.ping = data
                elif event == "end":
                    self.ended = data["why"]
                if self.leaving:
                    return

    def wanted(self) -> list[int]:
        return self.serving.history.expected(parse(self.query, 0), self.start, self.serving.bus.next.offset)

    def leave(self) -> None:
        self.leaving = True
        self.thread.join(20)
        assert not self.thread.is_alive()


@pytest.fixture
def watchers(serving: Serving) -> Iterator[list[Watcher]]:
    found = [Watcher(serving, query) for query in ["*", "apple", "*", "apple", "pear", "*"]]
    until(lambda: len(serving.connections) == 6)
    yield found
    for one in found:
        one.leave()


def pour(serving: Serving, until_true: Any) -> None:
    """Append lines until something holds."""

    def poured() -> Any:
        serving.history.append("an apple", "a pear", "a plum")
        return until_true()

    until(poured)


def elsewhere(serving: Serving) -> int:
    return serving.workers.elsewhere


def kill(serving: Serving) -> None:
    """Kill the second process, and wait until that was noticed."""
    pid = serving.workers.pids[0]
    os.kill(pid, signal.SIGKILL)
    until(lambda: pid not in serving.workers.pids)


def test_a_stream_that_is_moved_shows_what_a_search_finds(serving: Serving, watchers: list[Watcher]) -> None:
    pour(serving, lambda: elsewhere(serving) >= 2)
    pour(serving, lambda: all(len(one.offsets) > 100 for one in watchers))
    for one in watchers:
        until(lambda one=one: one.offsets == one.wanted())
    assert [one.connections for one in watchers] == [1] * 6
    assert serving.workers.stats().viewers == 6


def test_its_pings_count_on_as_if_it_had_stayed(serving: Serving, watchers: list[Watcher]) -> None:
    pour(serving, lambda: elsewhere(serving) >= 2)
    pour(serving, lambda: all(len(one.offsets) > 50 for one in watchers))
    for one in watchers:
        until(lambda one=one: one.ping and one.ping["sent"] == len(one.wanted()))
        assert one.ping["from"] == str(serving.history.at(one.start))
        assert one.ping["in"] == serving.bus.next.offset - one.start
    same = {one.ping["digest"] for one in watchers if one.query == "*" and one.start == watchers[0].start}
    assert len(same) == 1


def test_nothing_is_missed_when_the_process_is_killed(serving: Serving, watchers: list[Watcher]) -> None:
    for _ in range(2):
        pour(serving, lambda: elsewhere(serving) >= 2)
        count = sum(one.connections for one in watchers)
        kill(serving)
        pour(serving, lambda count=count: sum(one.connections for one in watchers) >= count + 2)
    for one in watchers:
        until(lambda one=one: one.offsets == one.wanted())
        assert not one.gaps


def test_a_stream_counts_towards_its_quota_wherever_it_is(serving: Serving, watchers: list[Watcher]) -> None:
    def used() -> float:
        return next(one.used for one in serving.quota.usage("", 0) if one.limit == "tails_total")

    pour(serving, lambda: elsewhere(serving) >= 2)
    assert used() == 6
    kill(serving)
    pour(serving, lambda: sum(one.connections for one in watchers) >= 8 and elsewhere(serving) >= 2)
    until(lambda: used() == 6)
    for one in watchers:
        one.leaving = True
    pour(serving, lambda: used() == 0)


def test_a_stop_ends_the_streams_of_all_processes(serving: Serving, watchers: list[Watcher]) -> None:
    pour(serving, lambda: elsewhere(serving) >= 2)
    pid = serving.workers.pids[0]
    serving.stop()
    until(lambda: all(one.ended for one in watchers))
    for one in watchers:
        stop = Cursor.parse(one.last_id).offset
        assert one.offsets == serving.history.expected(parse(one.query, 0), one.start, stop)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    serving.start()


def test_a_stream_that_falls_behind_the_bus_comes_back_to_who_has_the_store(
    serving: Serving, watchers: list[Watcher], monkeypatch
) -> None:
    returned: list[int] = []
    take_back = serving.workers._take_back

    async def noted(one: Any, tail: Any, descriptor: int) -> None:
        returned.append(tail.id)
        await take_back(one, tail, descriptor)

    monkeypatch.setattr(serving.workers, "_take_back", noted)
    serving.bus._bytes_max = 1_000
    serving.bus._segment_bytes = 100_000
    slow = [socket.create_connection(("127.0.0.1", serving.port)) for _ in range(8)]
    for client in slow:
        client.sendall(b"GET /api/v1/tail?behind=0 HTTP/1.0\r\nHost: localhost\r\n\r\n")
    pour(serving, lambda: elsewhere(serving) >= 6)
    start = serving.bus.next.offset
    for number in range(60):
        serving.history.append(*[f"{number} {'x' * 1_000}"] * 200)
    serving.bus.release(serving.bus.next)
    until(lambda: serving.bus.first.offset > start)
    stop = serving.bus.next.offset
    for client in slow:
        found: list[int] = []
        with client, client.makefile("rb") as lines:
            for line in lines:
                if line.startswith(b"data: "):
                    data = json.loads(line[6:])
                    assert "why" not in data
                    found += [Cursor.parse(record["cursor"]).offset for record in data.get("records", [])]
                if found and found[-1] == stop - 1:
                    break
        assert found == list(range(found[0], stop))
    assert returned


def test_a_process_ends_when_the_main_one_is_gone(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    running = _spawn(theirs, tmp_path, 7, Connections())
    assert ours.recv(1_000).startswith(b'{"type":"stats"')
    running.send_signal(signal.SIGTERM)
    running.send_signal(signal.SIGINT)
    ours.send(b'{"type":"bus","first":0,"next":0}')
    assert ours.recv(1_000)
    ours.close()
    assert running.wait(20) == 0
