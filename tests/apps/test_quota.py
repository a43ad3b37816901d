"""Quotas of a real server: who asks too much is told what and when, loses nothing, and is let in again."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tailrace.access.tokens import Tokens
from tests.apps import programs
from tests.apps.programs import Server, tailrace, until
from tests.apps.tail.serving import events

EVENTS = {"Accept": "text/event-stream"}


@dataclass
class Guarded:
    """A server, and one who may call it."""

    server: Server
    token: str

    def call(self, path: str, parameters: dict[str, object] | None = None, **headers: str):
        return self.server.call("GET", path, parameters, Authorization=f"Bearer {self.token}", **headers)

    def problem(self, path: str, parameters: dict[str, object] | None = None) -> dict[str, object]:
        """Return the problem of a call that a quota refuses."""
        found = self.refusal(path, parameters)
        assert found is not None
        return found

    def refusal(self, path: str, parameters: dict[str, object] | None = None) -> dict[str, object] | None:
        """Return the problem of a call if a quota refuses it."""
        status, headers, body = self.call(path, parameters)
        if status != 429:
            return None
        assert headers["content-type"] == "application/problem+json"
        problem = json.loads(body)
        assert int(headers["retry-after"]) >= 1
        assert problem["until"] > "2026"
        return problem

    @contextmanager
    def tail(self, **parameters: object) -> Iterator[Iterator[tuple[str, str, dict]]]:
        """Open a stream as EventSource does."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        headers = {**EVENTS, "Authorization": f"Bearer {self.token}"}
        connection.request("GET", f"/api/v1/tail?{urlencode(parameters)}", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            yield events(answer)
        finally:
            answer.close()
            connection.close()

    def push(self, first: int, stop: int) -> None:
        body = b"".join(b'{"message":"line %d"}\n' % number for number in range(first, stop))
        assert self.server.push(body, Authorization=f"Bearer {self.token}")[0] == 200

    def metric(self, name: str) -> float:
        lines = self.call("/metrics")[2].decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


@pytest.fixture
def guarded(start, tmp_path) -> Callable[..., Guarded]:
    """Start a server with a token and a quota: keys of [quota]."""

    def one(**quota: object) -> Guarded:
        token = Tokens(tmp_path / "data").add("anna")
        config = tmp_path / "tailrace.toml"
        config.write_text("[collect]\ndiscover = false\n[quota]\n" + "".join(f"{k} = {v}\n" for k, v in quota.items()))
        return Guarded(start("--config", config, command="up"), token)

    return one


def opened(tail) -> bool:
    """Tell whether a tail was let in: its first event is then a ping."""
    with tail as frames:
        return next(frames)[0] == "ping"


def test_a_tail_too_many_is_refused_on_each_way_and_let_in_when_one_is_closed(guarded, tmp_path):
    anna = guarded(tails=2)
    bert = Guarded(anna.server, Tokens(tmp_path / "data").add("bert"))
    with anna.tail() as first:
        assert next(first)[0] == "ping"
        with anna.tail() as second:
            assert next(second)[0] == "ping"
            for path in ("/api/v1/tail", "/api/v1/tail/poll"):
                problem = anna.problem(path)
                assert (problem["limit"], problem["used"], problem["allowed"]) == ("tails", 2, 2)
                assert "2 of 2 tails of token 'anna'" in str(problem["detail"])
            with anna.tail(after="1-7") as third:
                event, last_id, data = next(third)
                assert (event, last_id, data["checkpoint"], data["limit"]) == ("end", "1-7", "1-7", "tails")
                assert "2 of 2 tails" in data["why"]
                assert data["retry_s"] >= 1
                assert next(third, None) is None
            until(lambda: opened(bert.tail()))
            assert anna.metric('tailrace_quota_refusals_total{limit="tails"}') == 3
        until(lambda: opened(anna.tail()))


def socket(anna: Guarded, target: str = "") -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{anna.server.port}/api/v1/tail/ws{target}",
        additional_headers={"Authorization": f"Bearer {anna.token}"},
    )


def ended(client: ClientConnection) -> tuple[list[dict], int]:
    """Read to the end; return the frames and the code with which the server closed."""
    frames = []
    with suppress(ConnectionClosed):
        frames.extend(map(json.loads, client))
    return frames, client.protocol.close_code or 0


def test_a_websocket_is_told_its_end_and_to_try_again_later(guarded):
    anna = guarded(tails=1)
    with anna.tail() as frames:
        assert next(frames)[0] == "ping"
        with socket(anna, "?after=1-7") as client:
            (end,), code = ended(client)
        assert (end["event"], end["limit"], end["checkpoint"], code) == ("end", "tails", "1-7", 1013)


def test_a_websocket_is_one_tail_however_often_it_changes_its_query(guarded):
    anna = guarded(tails=1)
    with socket(anna) as client:
        for said in ({"q": "error"}, {"q": "warn"}, {"pause": True}, {"resume": True}) * 3:
            client.send(json.dumps(said))
            while (frame := json.loads(client.recv(20)))["event"] == "ping":
                pass
            assert frame["event"] == "changed"
            assert anna.problem("/api/v1/tail")["used"] == 1
    until(lambda: opened(anna.tail()))


def test_a_websocket_that_is_sent_too_much_is_told_so_unless_it_is_paused(guarded):
    anna = guarded(lines_per_s=10)
    with socket(anna) as client:
        client.send('{"pause":true}')
        while json.loads(client.recv(20))["event"] != "changed":
            pass
        for number in range(5):
            anna.push(number * 100, number * 100 + 100)
        client.send('{"resume":true}')
        sent = 500
        messages: list[str] = []
        while len(messages) < sent:
            frame = json.loads(client.recv(20))
            messages += [record["message"] for record in frame.get("records", ())]
        assert messages == [f"line {number}" for number in range(500)]
        anna.push(500, 501)
        frames, code = ended(client)
        assert (frames[-1]["event"], frames[-1]["limit"], code) == ("end", "lines_per_s", 1013)


def test_a_browser_is_told_when_to_connect_again(guarded):
    anna = guarded(tails=1)
    with anna.tail() as frames:
        assert next(frames)[0] == "ping"
        status, headers, body = anna.call("/api/v1/tail", Accept="text/event-stream")
        assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
        assert b"\nretry: 5000\n" in body
        assert b"\nid:" not in body


def test_the_status_says_how_much_is_in_use(guarded):
    anna = guarded(tails=7, tails_total=50)
    with anna.tail() as frames:
        assert next(frames)[0] == "ping"
        used = {one["limit"]: one for one in json.loads(anna.call("/api/v1/status")[2])["quota"]}
        assert used["tails"] == {"limit": "tails", "used": 1, "allowed": 7}
        assert used["tails_total"] == {"limit": "tails_total", "used": 1, "allowed": 50}
        said = tailrace("status", server=anna.server, TAILRACE_TOKEN=anna.token).stdout
        assert b"tails 1 of 50 in all; tails 1 of 7" in said


def test_a_tail_that_is_sent_too_much_ends_and_loses_nothing_by_it(guarded):
    anna = guarded(lines_per_s=100)
    total, messages, ends, place = 1_200, [], [], {"last": 0}
    with anna.tail() as frames:
        assert next(frames)[0] == "ping"
        while not ends:
            anna.push(len(messages), len(messages) + 100)
            read(frames, messages, ends, place, len(messages) + 100)
    assert ends[0]["limit"] == "lines_per_s"
    assert "of 100 lines a second were sent to the tails of token 'anna'" in ends[0]["why"]
    anna.push(len(messages) + 100, total)

    def all_read() -> bool:
        with anna.tail(**place) as frames:
            read(frames, messages, ends, place, total)
        return len(messages) == total

    until(all_read, 60)
    assert messages == [f"line {number}" for number in range(total)]


def read(frames, messages: list[str], ends: list[dict], place: dict[str, object], count: int) -> None:
    """Read until there are ``count`` messages or the tail ends; ``place`` is where to go on."""
    while len(messages) < count:
        event, last_id, data = next(frames)
        if last_id:
            place.clear()
            place["after"] = last_id
        if event == "rows":
            messages += [record["message"] for record in data["records"]]
        elif event == "end":
            ends.append(data)
            assert next(frames, None) is None
            return


def test_a_command_that_is_sent_too_much_says_so_and_goes_on(guarded):
    anna = guarded(lines_per_s=1_000)
    anna.push(0, 10_000)
    command = [*programs.TAILRACE, "tail", "--last", "10000", "--output", "raw"]
    environment = programs.environment(TAILRACE_SERVER=anna.server.url, TAILRACE_TOKEN=anna.token)
    with programs.subprocess.Popen(command, env=environment, stdout=-1, stderr=-1) as process:
        assert process.stdout
        assert process.stderr
        found = [process.stdout.readline() for _ in range(10_000)]
        process.terminate()
        said = process.stderr.read()
    assert found == [b"line %d\n" % number for number in range(10_000)]
    assert b"lines a second were sent to the tails of token 'anna'" in said


def test_who_searches_too_much_is_told_when_to_come_back(guarded):
    anna = guarded(search_s_per_min=1)
    anna.push(0, 40_000)
    ask = {"q": "* | stats count() by message", "limit": 1}
    assert anna.call("/api/v1/search", ask)[0] == 200

    def refusal():
        """Search more than a minute has, and ask for something else that searches before some of it is back."""
        anna.call("/api/v1/search", ask)
        return anna.refusal("/api/v1/histogram")

    problem = until(refusal)
    assert (problem["limit"], problem["allowed"]) == ("search_s_per_min", 1)
    assert "of 1 seconds a minute were searched for token 'anna'" in str(problem["detail"])
    assert opened(anna.tail())


def test_a_query_that_runs_out_of_its_time_three_times_is_not_run_for_a_while(start, monkeypatch):
    in_no_time = "import sys, tailrace.cli, tailrace.store.pool as pool; pool.SEARCH_SECONDS_MAX = 1e-6; "
    monkeypatch.setattr(programs, "TAILRACE", [sys.executable, "-c", in_no_time + "sys.exit(tailrace.cli.main())"])
    server = start()
    assert server.push(b'{"message":"one"}\n' * 1000)[0] == 200
    for _ in range(3):
        assert server.get("/api/v1/search", q="one")["complete"] is False
    status, headers, body = server.call("GET", "/api/v1/search", {"q": " (one) "})
    problem = json.loads(body)
    assert (status, problem["limit"]) == (429, "breaker")
    assert 290 <= int(headers["retry-after"]) <= 300
    assert "ran out of its time 3 times within 5 minutes" in problem["detail"]
    assert problem["until"]
    assert server.call("GET", "/api/v1/search", {"q": "another"})[0] == 200
    assert server.call("GET", "/api/v1/search", {"q": "one", "from": "5m"})[0] == 200
    lines = server.call("GET", "/metrics")[2].decode().splitlines()
    assert "tailrace_queries_shut_out 1.0" in lines
    assert 'tailrace_quota_refusals_total{limit="breaker"} 1.0' in lines


def test_a_server_without_tokens_holds_to_the_totals_only(start):
    server = start(TAILRACE_QUOTA__TAILS="1", TAILRACE_QUOTA__TAILS_TOTAL="2", TAILRACE_QUOTA__LINES_PER_S="1")
    nobody = Guarded(server, "")
    with nobody.tail() as first, nobody.tail() as second:
        assert next(first)[0] == next(second)[0] == "ping"
        assert nobody.problem("/api/v1/tail")["limit"] == "tails_total"
        for number in range(20):
            assert server.push(b'{"message":"one"}\n' * 100)[0] == 200
            place, messages, ends = {}, [], []
            read(first, messages, ends, place, 100)
            assert (len(messages), ends, number) == (100, [], number)
