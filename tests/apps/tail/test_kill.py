"""A real process is killed while it is watched: who comes back with the last id misses nothing, sees nothing twice."""

from __future__ import annotations

import http.client
import itertools
import threading
from pathlib import Path

from tests.apps.programs import Server
from tests.apps.tail.serving import events

KILLS = 4
LINES = 60
"""What is seen between two kills, at least."""


class Watcher:
    """A browser, as far as a tail can tell: it reads events, and connects again with the newest id."""

    def __init__(self) -> None:
        self.last_id = ""
        self.messages: list[str] = []

    def watch(self, port: int, done: int) -> None:
        """Read until ``done`` messages were seen in all."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        connection.request("GET", "/api/v1/tail?last=100000", headers=headers)
        with connection.getresponse() as answer:
            for event, last_id, data in events(answer):
                assert event in ("ping", "rows"), (event, data)
                self.last_id = last_id
                self.messages += [record["message"] for record in data.get("records", ())]
                if len(self.messages) >= done:
                    break
        connection.close()


def test_nothing_is_missed_or_repeated_over_kills_of_the_server(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.touch()
    stopping = threading.Event()
    written = itertools.count()

    def write() -> None:
        with log.open("ab", buffering=0) as file:
            while not stopping.wait(0.002):
                file.write(b"2026-11-20 08:00:00,000 INFO line %d\n" % next(written))

    writer = threading.Thread(target=write)
    writer.start()
    watcher = Watcher()
    try:
        for kill in range(KILLS):
            server = Server(tmp_path / "data", log, "--no-discover", command="up")
            watcher.watch(server.port, LINES * (kill + 1))
            server.stop(9)
    finally:
        stopping.set()
        writer.join()
    total = next(written)
    server = Server(tmp_path / "data", log, "--no-discover", command="up")
    try:
        watcher.watch(server.port, total)
        assert [message.rpartition(" ")[2] for message in watcher.messages] == [str(number) for number in range(total)]
    finally:
        server.stop()
