"""The tail as a WebSocket: a real client library over real sockets, against a real server."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tailrace.access.tokens import Tokens
from tests.apps.programs import Server, until
from tests.apps.tail.serving import Serving


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(tmp_path)
    yield server
    server.close()


class Client:
    """A program that watches over a WebSocket, and notes what it is told."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    def say(self, **message: Any) -> None:
        self.connection.send(json.dumps(message))

    def next(self, *events: str) -> dict[str, Any]:
        """Return the next frame that is one of these events."""
        while (frame := json.loads(self.connection.recv(20)))["event"] not in events:
            pass
        return frame

    def messages(self, count: int) -> list[str]:
        found: list[str] = []
        while len(found) < count:
            found += [record["message"] for record in self.next("rows")["records"]]
        return found

    def code(self) -> int:
        """Return why the server closed the connection."""
        with pytest.raises(ConnectionClosed) as closed:
            self.connection.recv(20)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code


@contextmanager
def watching(serving: Serving, target: str = "") -> Iterator[Client]:
    with connect(f"ws://127.0.0.1:{serving.port}/api/v1/tail/ws{target}", max_size=None) as connection:
        yield Client(connection)


def test_the_frames_are_those_of_the_stream_and_name_their_event(serving: Serving) -> None:
    with watching(serving, "?q=payment") as client:
        assert client.next("ping")["checkpoint"] == str(serving.history.at(0))
        end = serving.history.append("a payment failed")
        rows = client.next("rows")
        assert (rows["next"], [record["message"] for record in rows["records"]]) == (str(end), ["a payment failed"])


def test_it_resumes_with_the_token_of_a_stream(serving: Serving) -> None:
    with serving.tail() as frames:
        next(frames)
        serving.history.append("one")
        _, last_id, _ = next(frames)
    serving.history.append("two")
    with watching(serving, f"?after={last_id}") as client:
        assert client.messages(1) == ["two"]


@pytest.mark.promise(8)
def test_a_narrower_query_begins_where_the_other_stopped(serving: Serving) -> None:
    with watching(serving) as client:
        client.next("ping")
        serving.history.append("apple", "pear")
        assert client.messages(2) == ["apple", "pear"]
        client.say(q="apple", id="narrow")
        changed = client.next("changed")
        assert (changed["id"], changed["q"], changed["checkpoint"]) == ("narrow", "apple", str(serving.history.at(2)))
        serving.history.append("pear", "apple again")
        assert client.messages(1) == ["apple again"]


@pytest.mark.promise(8)
def test_a_query_can_be_widened_over_what_was_seen_already(serving: Serving) -> None:
    begin = serving.history.append("before")
    with watching(serving, "?q=apple") as client:
        client.next("ping")
        serving.history.append("pear", "apple", "pear too")
        assert client.messages(1) == ["apple"]
        client.say(q="*", after=str(begin))
        assert client.next("changed")["checkpoint"] == str(begin)
        serving.history.append("live")
        assert client.messages(4) == ["pear", "apple", "pear too", "live"]


@pytest.mark.promise(7)
def test_a_pause_sends_no_rows_counts_what_matches_and_loses_nothing(tmp_path: Path) -> None:
    serving = Serving(tmp_path, ping_s=0.1)
    with watching(serving, "?q=apple") as client:
        serving.history.append("apple 0")
        assert client.messages(1) == ["apple 0"]
        client.say(pause=True)
        stopped = client.next("changed")
        assert stopped["paused"]
        for number in range(1, 6):
            serving.history.append(f"apple {number}", "pear")
        while (frame := client.next("ping", "rows"))["event"] == "rows" or frame["matched"] < 5:
            assert frame["event"] == "ping", frame
        assert (frame["checkpoint"], frame["sent"]) == (stopped["checkpoint"], 0)
        client.say(resume=True)
        assert client.next("changed", "rows")["checkpoint"] == stopped["checkpoint"]
        serving.history.append("apple 6")
        assert client.messages(6) == [f"apple {number}" for number in range(1, 7)]
    serving.close()


def test_a_query_that_cannot_be_is_refused_and_the_tail_goes_on(serving: Serving) -> None:
    with watching(serving) as client:
        client.next("ping")
        client.say(q="level:", id=7)
        refused = client.next("refused")
        assert (refused["id"], bool(refused["why"])) == (7, True)
        client.say(q="* | stats count()")
        assert client.next("refused")["why"]
        serving.history.append("still here")
        assert client.messages(1) == ["still here"]


@pytest.mark.parametrize(
    "said", ["no json", "{}", '{"q":"a","pause":true}', '{"qq":"a"}', '{"pause":1}', "[]", b"\xff"]
)
def test_a_message_that_is_none_ends_the_tail_with_the_reason(serving: Serving, said: str | bytes) -> None:
    with watching(serving) as client:
        client.connection.send(said)
        assert client.next("end")["why"].startswith("A message ")
        assert client.code() == 1008
    until(lambda: serving.hub.stats().viewers == 0)


def test_a_message_that_is_too_long_is_not_kept(serving: Serving) -> None:
    with watching(serving) as client:
        client.next("ping")
        client.connection.send('{"q":"' + "x" * 200_000 + '"}')
        assert client.code() == 1009
    until(lambda: serving.hub.stats().viewers == 0)


def test_a_message_in_fragments_is_one_message(serving: Serving) -> None:
    with watching(serving) as client:
        client.connection.send(['{"q":', '"app', 'le"}'])
        assert client.next("changed")["q"] == "apple"


def test_thousands_of_messages_at_once_are_answered_in_their_order(serving: Serving) -> None:
    with watching(serving) as client:
        for number in range(2_000):
            client.say(q=f"word{number}", id=number)
        assert [client.next("changed")["id"] for _ in range(2_000)] == list(range(2_000))


def test_a_ping_of_the_protocol_is_answered(serving: Serving) -> None:
    with watching(serving) as client:
        assert client.connection.ping().wait(20)


def test_a_client_that_closes_is_answered_and_forgotten(serving: Serving) -> None:
    with watching(serving) as client:
        client.next("ping")
        assert (serving.hub.stats().viewers, len(serving.connections)) == (1, 1)
    assert client.connection.close_code == 1000
    until(lambda: (serving.hub.stats().viewers, len(serving.connections)) == (0, 0))


def test_a_stop_of_the_server_ends_the_tail_with_a_checkpoint(serving: Serving) -> None:
    with watching(serving) as client:
        client.next("ping")
        serving.history.append("one")
        client.messages(1)
        serving.stop()
        assert client.next("end")["checkpoint"] == str(serving.history.at(1))
        assert client.code() == 1001
    serving.start()


@pytest.mark.promise(15)
def test_a_client_that_never_reads_holds_nobody_up_and_is_cut_off(tmp_path: Path) -> None:
    serving = Serving(tmp_path, ping_s=0.05, stall_s=0.3)
    stuck = socket.create_connection(("127.0.0.1", serving.port))
    stuck.sendall(asking(serving.port))
    until(lambda: serving.hub.stats().viewers == 1)
    with watching(serving) as client:
        client.next("ping")
        for number in range(20):
            serving.history.append(*[f"{number} {'x' * 5000}"] * 200)
        assert len(client.messages(4000)) == 4000
        until(lambda: serving.hub.stats().viewers == 1)
    stuck.close()
    serving.close()


def asking(port: int, version: str = "1.1", **headers: str) -> bytes:
    """Return a request to upgrade; a header of None is left out."""
    asked = {
        "Host": f"127.0.0.1:{port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    } | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in asked.items() if value)
    return f"GET /api/v1/tail/ws HTTP/{version}\r\n{lines}\r\n".encode()


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"Upgrade": ""}, 426),
        ({"Connection": "close"}, 426),
        ({"version": "1.0"}, 426),
        ({"Sec_WebSocket_Version": "12"}, 400),
        ({"Sec_WebSocket_Key": "short"}, 400),
    ],
)
def test_a_request_that_is_no_upgrade_is_told_what_is_missing(serving: Serving, asked: Any, status: int) -> None:
    with socket.create_connection(("127.0.0.1", serving.port)) as client:
        client.sendall(asking(serving.port, **asked))
        answer = http.client.HTTPResponse(client)
        answer.begin()
        problem = json.loads(answer.read())
    assert (answer.status, problem["status"], bool(problem["detail"])) == (status, status, True)
    assert "proxy" in problem["cure"]
    assert serving.hub.stats().viewers == 0


def test_tokens_sessions_and_origins_decide_as_for_every_call(tmp_path: Path) -> None:
    token = Tokens(tmp_path / "data").add("anna")
    server = Server(tmp_path / "data")
    address = f"ws://127.0.0.1:{server.port}/api/v1/tail/ws"

    def status(**headers: str) -> int:
        try:
            with connect(address, additional_headers=headers, proxy=None) as connection:
                return 101 if "ping" in str(connection.recv(20)) else 0
        except InvalidStatus as refused:
            return refused.response.status_code

    try:
        form = {"Content_Type": "application/x-www-form-urlencoded"}
        cookie = server.call("POST", "/login", body=f"token={token}", **form)[1]["set-cookie"].partition(";")[0]
        bearer = {"Authorization": f"Bearer {token}"}
        assert status() == 401
        assert status(Authorization="Bearer tr_wrong") == 401
        assert status(**bearer) == 101
        assert status(Cookie=cookie) == 101
        assert status(Cookie=cookie, Origin=server.url) == 101
        assert status(Cookie=cookie, Origin="http://evil.example") == 403
    finally:
        server.stop()
