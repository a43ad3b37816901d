"""What a search may take: it ends with its client, waits in a bounded line, and says when it was cut short."""

import signal
import socket

from tailrace.limits import SEARCHES_AT_ONCE_MAX, SEARCHES_WAITING_MAX
from tests.apps.programs import until


def metric(server, name):
    lines = server.call("GET", "/metrics")[2].decode().splitlines()
    return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)


def begin(server, path="/api/v1/search?limit=1000000"):
    """Ask, and do not read the answer."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(("127.0.0.1", server.port))
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return client


def push_much(server):
    """Store more than sockets and queues can hold."""
    body = b"".join(b'{"message":"%d %s"}\n' % (number, b"x" * 500) for number in range(60_000))
    assert server.push(body)[0] == 200


def test_a_search_ends_with_its_client(start):
    server = start()
    push_much(server)
    client = begin(server)
    assert client.recv(10)
    assert metric(server, "tailrace_searches_running") == 1
    client.close()
    until(lambda: metric(server, "tailrace_searches_running") == 0)
    assert metric(server, 'tailrace_searches_total{end="cancelled"}') == 1


def test_a_search_too_many_is_told_to_come_back(start):
    server = start()
    push_much(server)
    clients = [begin(server) for _ in range(SEARCHES_AT_ONCE_MAX + SEARCHES_WAITING_MAX)]
    until(lambda: metric(server, "tailrace_searches_running") == len(clients))
    status, headers, _ = server.call("GET", "/api/v1/search")
    assert (status, headers["retry-after"]) == (429, "1")
    for client in clients:
        client.close()
    until(lambda: metric(server, "tailrace_searches_running") == 0)
    assert server.call("GET", "/api/v1/search")[0] == 200


def test_a_second_signal_ends_a_stop_that_waits_for_a_client(start):
    server = start()
    push_much(server)
    client = begin(server)
    assert client.recv(10)
    server.process.send_signal(signal.SIGTERM)
    until(lambda: refused(server))
    assert server.process.poll() is None
    assert server.stop(signal.SIGTERM) == 1
    client.close()
    assert len(start().messages(limit=100_000)) == 60_000


def refused(server):
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
    except OSError:
        return True
    return False
