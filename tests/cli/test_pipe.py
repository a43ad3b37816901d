"""`tailrace pipe`: passing through comes first, and what the server missed it gets later."""

import socket
import subprocess

import pytest

from tests.apps.programs import TAILRACE, Server, environment, until


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def away(tmp_path):
    """A pipe to a server that is not there, and the way to start it."""
    port = free_port()
    pipe = subprocess.Popen(
        [*TAILRACE, "pipe", "--service", "build", "--server", f"http://127.0.0.1:{port}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    started = []

    def arrive():
        started.append(Server(tmp_path / "data", "--listen", f"127.0.0.1:{port}"))
        return started[-1]

    yield pipe, arrive
    pipe.kill()
    pipe.wait()
    for stream in (pipe.stdin, pipe.stdout, pipe.stderr):
        stream.close()
    for server in started:
        if server.process.poll() is None:
            server.stop()


def write(pipe, first, count):
    data = b"".join(b"line %d\n" % number for number in range(first, first + count))
    pipe.stdin.write(data)
    pipe.stdin.flush()
    assert pipe.stdout.read(len(data)) == data


def test_lines_pass_through_while_the_server_is_away_and_reach_it_when_it_comes(away):
    pipe, arrive = away
    write(pipe, 0, 5000)
    server = arrive()
    until(lambda: len(server.messages()) == 5000)
    server.stop(9)
    write(pipe, 5000, 5000)
    server = arrive()
    write(pipe, 10_000, 10)
    pipe.stdin.close()
    assert pipe.wait(30) == 0
    assert server.messages() == [f"line {number}" for number in range(10_010)]


def test_a_reader_that_leaves_does_not_end_the_log(away):
    pipe, arrive = away
    server = arrive()
    write(pipe, 0, 1)
    pipe.stdout.close()
    pipe.stdin.write(b"".join(b"line %d\n" % number for number in range(1, 50_000)))
    pipe.stdin.close()
    assert (pipe.wait(30), pipe.stderr.read()) == (0, b"")
    assert len(server.messages()) == 50_000
