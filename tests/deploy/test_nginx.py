"""deploy/nginx/tailrace.conf, in a real nginx before two real servers."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
from contextlib import contextmanager

import pytest
from websockets.sync.client import connect

from tests.apps.collection.test_applications import connects, free_port
from tests.apps.programs import until
from tests.apps.tail.serving import streamed
from tests.deploy.files import DEPLOY


class Front:
    """The port of nginx, and the servers behind it."""

    def __init__(self, port, servers):
        self.port, self.servers = port, servers

    def call(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    @contextmanager
    def tail(self, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request("GET", "/api/v1/tail", headers=headers)
        with streamed(connection, connection.getresponse()) as frames:
            yield frames


@pytest.fixture
def front(start, tmp_path):
    if shutil.which("nginx") is None:
        pytest.skip("nginx is not installed (Debian: apt install nginx-light)")
    servers, port = [start(name="data1"), start(name="data2")], free_port()
    site = (DEPLOY / "nginx/tailrace.conf").read_text().replace("listen 80;", f"listen 127.0.0.1:{port};")
    for number, server in enumerate(servers, 1):
        site, count = re.subn(rf"serve-{number}:7800", f"127.0.0.1:{server.port}", site)
        assert count == 1
    (tmp_path / "site.conf").write_text(site)
    config = tmp_path / "nginx.conf"
    config.write_text(f"""
        pid {tmp_path}/pid; error_log {tmp_path}/error.log; daemon off; master_process off;
        events {{}}
        http {{ access_log off; client_body_temp_path {tmp_path}/b; proxy_temp_path {tmp_path}/p;
          fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s;
          include {tmp_path}/site.conf; }}""")
    tested = subprocess.run(["nginx", "-t", "-c", config], capture_output=True, text=True)  # noqa: PLW1510
    assert tested.returncode == 0, tested.stderr
    nginx = subprocess.Popen(["nginx", "-c", config], stderr=subprocess.DEVNULL)
    until(lambda: connects(port))
    yield Front(port, servers)
    nginx.terminate()
    nginx.wait(20)


def tails(front):
    """Return how many viewers each server has."""
    return [server.get("/api/v1/status")["tails"] for server in front.servers]


def test_a_line_passes_at_once_on_every_way_and_viewers_are_shared_out(front):
    with front.tail() as one, front.tail() as two:
        assert next(one)[0] == next(two)[0] == "ping"
        assert tails(front) == [1, 1]
        for server in front.servers:
            server.push(b'{"message":"one"}\n')
        for frames in (one, two):
            event, _, data = next(frames)
            assert (event, [record["message"] for record in data["records"]]) == ("rows", ["one"])
    with connect(f"ws://127.0.0.1:{front.port}/api/v1/tail/ws", proxy=None) as client:
        assert json.loads(client.recv(20))["event"] == "ping"


def test_a_server_that_is_gone_is_not_asked_and_a_large_push_streams_through(front):
    front.servers[0].stop()
    for _ in range(6):
        assert front.call("GET", "/api/v1/status")[0] == 200
        with front.tail() as frames:
            assert next(frames)[0] == "ping"
    body = b'{"message":"a line of some length that is pushed"}\n' * 100_000
    status, answer = front.call("POST", "/api/v1/push", body, Content_Type="application/x-ndjson")
    assert (status, json.loads(answer)["accepted"]) == (200, 100_000)
    found = json.loads(front.call("GET", "/api/v1/search?q=pushed&limit=5")[1])
    assert len(found["records"]) == 5
