"""Sources that are no plain files, as a person uses them: real commands, real clients, a whole process."""

import json
import shutil
import socket
import subprocess

import pytest

from tests.apps.programs import Server, until

ID = "0123456789ab" + "c" * 52


@pytest.fixture
def up(tmp_path):
    """Start `tailrace up` with arguments; all end with the test."""
    started = []

    def start(*arguments, **more):
        started.append(Server(tmp_path / "data", *arguments, command="up", **more))
        return started[-1]

    yield start
    for server in started:
        server.stop()


def free_port(kind):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.skipif(shutil.which("logger") is None, reason="needs logger, of util-linux")
@pytest.mark.parametrize("options", [["--udp"], ["--tcp", "--octet-count"], ["--tcp", "--rfc3164"]])
def test_the_command_logger_speaks_syslog_to_us(up, options):
    port = free_port(socket.SOCK_DGRAM if "--udp" in options else socket.SOCK_STREAM)
    scheme = options[0].strip("-")
    server = up("--no-discover", TAILRACE_COLLECT__SYSLOG=f"{scheme}://127.0.0.1:{port}")
    command = [
        "logger",
        *options,
        "--server",
        "127.0.0.1",
        "--port",
        str(port),
        "--tag",
        "shop",
        "-p",
        "user.err",
        "bad day",
    ]
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL)
    until(lambda: server.get("/api/v1/search", q="bad")["records"])
    (record,) = server.get("/api/v1/search", q="bad")["records"]
    assert (record["level"], record["service"], record["source"]) == ("error", "shop", "syslog")
    assert record["host"] == socket.gethostname()


def test_what_is_piped_into_up_can_be_searched(tmp_path):
    server = Server(tmp_path / "data", "-", command="up", stdin=subprocess.PIPE)
    server.process.stdin.write(b"2026-11-20 08:00:00 ERROR from a pipe\nlast")
    server.process.stdin.close()
    until(lambda: len(server.messages()) == 2)
    assert server.messages() == ["2026-11-20 08:00:00 ERROR from a pipe", "last"]
    assert server.stop() == 0


def test_the_log_of_a_pod_knows_where_it_comes_from(up, tmp_path):
    pod = tmp_path / "pods" / "shop_checkout-7d4b9_9f1c" / "web"
    pod.mkdir(parents=True)
    (pod / "0.log").write_text("2026-11-20T08:00:00Z stdout F hello\n")
    links = tmp_path / "containers"
    links.mkdir()
    (links / f"checkout-7d4b9_shop_web-{ID}.log").symlink_to(pod / "0.log")
    server = up(links / "*.log")
    until(lambda: server.messages(q="namespace:shop pod:checkout-7d4b9 container:web hello"))


def test_the_log_of_a_docker_container_knows_its_name(up, tmp_path):
    directory = tmp_path / "containers" / ID
    directory.mkdir(parents=True)
    (directory / "config.v2.json").write_text(json.dumps({"Name": "/shop-web-1", "Config": {"Image": "shop:3"}}))
    line = {"log": "hello\n", "stream": "stdout", "time": "2026-11-20T08:00:00.5Z"}
    (directory / f"{ID}-json.log").write_text(json.dumps(line) + "\n")
    server = up(tmp_path / "containers" / "*" / "*-json.log")
    until(lambda: server.messages(q="container:shop-web-1 image:shop* hello"))
