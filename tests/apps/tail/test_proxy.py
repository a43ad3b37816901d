"""The tail through a real nginx with its defaults, and clients that fall silent without leaving."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.apps.collection.test_applications import connects, free_port
from tests.apps.programs import until
from tests.apps.tail.serving import Serving, messages

GUIDE = Path(__file__).parents[3] / "docs/guide/live-tail.md"


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[Serving]:
    server = Serving(tmp_path, stall_s=1.0)
    yield server
    server.close()


@contextmanager
def proxied(serving: Serving, folder: Path, lines: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """Put nginx in front, with ``lines`` in its location; ``serving.port`` is nginx's until the end."""
    port, direct = free_port(), serving.port
    (folder / "nginx.conf").write_text(f"""
        pid {folder}/pid; error_log {folder}/error.log; daemon off; master_process off;
        events {{}}
        http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
          fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
          server {{ listen 127.0.0.1:{port};
            location / {{ proxy_pass http://127.0.0.1:{direct}; {lines} }} }} }}""")
    nginx = subprocess.Popen(["nginx", "-c", folder / "nginx.conf"], stderr=subprocess.DEVNULL)
    try:
        until(lambda: connects(port))
        serving.port = port
        yield nginx
    finally:
        serving.port = direct
        nginx.send_signal(signal.SIGCONT)
        nginx.terminate()
        nginx.wait(20)


def documented() -> str:
    """Return what the guide says to put into the location."""
    return GUIDE.read_text().partition("```nginx\n")[2].partition("proxy_pass")[2].partition(";")[2].partition("}")[0]


@pytest.mark.promise(17)
def test_a_stream_is_not_held_back_by_the_defaults_of_nginx(serving: Serving, tmp_path: Path) -> None:
    with proxied(serving, tmp_path), serving.tail() as frames:
        assert next(frames)[0] == "ping"
        for number in range(3):
            serving.history.append(f"line {number}")
            event, _, data = next(frames)
            assert (event, data["records"][0]["message"]) == ("rows", f"line {number}")


def test_a_stream_through_nginx_ends_cleanly_and_resumes_directly(serving: Serving, tmp_path: Path) -> None:
    with proxied(serving, tmp_path):
        with serving.tail() as frames:
            serving.history.append("one")
            _, last_id = messages(frames, 1)
            direct = serving.port
            serving.stop()
            assert [event for event, _, _ in frames][-1:] == ["end"]
        serving.port = direct
    serving.start()
    serving.history.append("two")
    with serving.tail(f"/tail?after={last_id}") as frames:
        assert messages(frames, 1)[0] == ["two"]


@pytest.mark.promise(17)
def test_a_long_poll_passes_nginx(serving: Serving, tmp_path: Path) -> None:
    end = serving.history.append("one")
    with proxied(serving, tmp_path):
        assert serving.json("/tail/poll?wait=0")[1]["next"] == str(end)
        connection, answer = serving.get(f"/tail/poll?wait=20&after={serving.history.at(0)}")
        assert [record["message"] for record in json.loads(answer.read())["frames"][0]["records"]] == ["one"]
        connection.close()


@pytest.mark.promise(17)
def test_with_the_lines_of_the_guide_a_websocket_passes_nginx_and_so_does_a_stream(
    serving: Serving, tmp_path: Path
) -> None:
    lines = documented()
    assert "Upgrade" in lines
    with (
        proxied(serving, tmp_path, lines),
        serving.tail() as frames,
        connect(f"ws://127.0.0.1:{serving.port}/api/v1/tail/ws", proxy=None) as client,
    ):
        assert next(frames)[0] == "ping"
        assert json.loads(client.recv(20))["event"] == "ping"
        client.send('{"q":"apple"}')
        assert json.loads(client.recv(20))["event"] == "changed"


def test_a_websocket_without_those_lines_is_refused_and_told_why(serving: Serving, tmp_path: Path) -> None:
    with proxied(serving, tmp_path):
        with pytest.raises(InvalidStatus) as refused:
            connect(f"ws://127.0.0.1:{serving.port}/api/v1/tail/ws", proxy=None)
        assert refused.value.response.status_code == 426
        assert "Upgrade and Connection" in json.loads(refused.value.response.body)["cure"]
    assert serving.hub.stats().viewers == 0


def test_a_proxy_that_goes_silent_is_cut_off(serving: Serving, tmp_path: Path) -> None:
    with proxied(serving, tmp_path) as nginx, serving.tail() as frames:
        next(frames)
        assert serving.hub.stats().viewers == 1
        nginx.send_signal(signal.SIGSTOP)
        for number in range(20):
            serving.history.append(*[f"{number} {'x' * 5000}"] * 200)
        until(lambda: serving.hub.stats().viewers == 0)


def test_a_client_of_http_1_0_gets_events_that_end_with_the_connection(serving: Serving) -> None:
    serving.history.append("one")
    with socket.create_connection(("127.0.0.1", serving.port)) as client, client.makefile("rb") as answer:
        client.sendall(b"GET /api/v1/tail?last=1 HTTP/1.0\r\nHost: localhost\r\n\r\n")
        head = []
        while (line := answer.readline()) != b"\r\n":
            head.append(line.lower())
        assert b"connection: close\r\n" in head
        assert not [line for line in head if line.startswith((b"transfer-encoding", b"content-length"))]
        assert answer.readline() == b"retry: 1000\n"
        while b'"one"' not in (line := answer.readline()):
            assert line
        serving.stop()
        body = answer.read()
        assert body.endswith(b"}\n\n")
        assert b"event: end\n" in body
    serving.start()


def test_a_thousand_connections_at_once_are_all_served(serving: Serving) -> None:
    clients = [socket.socket() for _ in range(1_000)]
    try:
        for client in clients:
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", serving.port))
        for client in clients:
            client.settimeout(20)
            client.sendall(b"GET /api/v1/tail HTTP/1.1\r\nHost: localhost\r\n\r\n")
        until(lambda: len(serving.connections) == 1_000)
        serving.history.append("for all")
        for client in clients:
            while b"for all" not in client.recv(65_536):
                pass
    finally:
        for client in clients:
            client.close()
    until(lambda: len(serving.connections) == 0)
