"""A server that is there, away, slow, full, or says no: every record is stored once, or counted."""

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

import pytest

from tailrace_sdk import AsyncLogWriter, LogReader, ServerSink


class Scripted:
    """A server that answers as it is told; keeps what it was sent."""

    def __init__(self, port=0):
        self.answers = []
        self.got = []
        self.connections = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def setup(self):
                super().setup()
                outer.connections.append(self.connection)

            def do_POST(self):
                body = gzip.decompress(self.rfile.read(int(self.headers["Content-Length"])))
                answer = outer.answers.pop(0) if outer.answers else 200
                outer.got.append(
                    (answer, self.headers["Idempotency-Key"], body, self.path, self.headers["Authorization"])
                )
                if answer is None:  # it stored the lines, and its answer never arrives
                    self.connection.shutdown(socket.SHUT_RDWR)
                    self.close_connection = True
                    return
                said = json.dumps({"accepted": body.count(b"\n"), "rejected_count": 0}).encode()
                self.send_response(answer)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def hang_up(self):
        for connection in self.connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.connections.clear()

    def lines(self):
        return [
            json.loads(line)["n"] for answer, _, body, *_ in self.got if answer == 200 for line in body.splitlines()
        ]

    def end(self):
        self.http.shutdown()
        self.http.server_close()


@pytest.fixture
def scripted():
    server = Scripted()
    yield server
    server.end()


@pytest.fixture
def late():
    """Return the address of a server that is not there yet, and what starts it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    begun = []

    def begin():
        begun.append(Scripted(port))
        return begun[0]

    yield f"http://127.0.0.1:{port}", begin
    for server in begun:
        server.end()


@pytest.fixture
def push(tmp_path):
    """Make writers that push and spool in the directory of the test."""
    writers = []

    def one(url, **options):
        sink = ServerSink(url, spool_dir=str(tmp_path / "spool"), **options)
        writers.append(AsyncLogWriter(sinks=[sink], max_queue_size=200_000))
        return writers[-1], sink

    yield one
    for writer in writers:
        writer.shutdown(1)


def spooled(tmp_path):
    return [file for _, _, files in os.walk(tmp_path / "spool") for file in files if file.endswith(".gz")]


def test_records_are_stored_with_their_names_and_labels(tailrace, push):
    writer, sink = push(tailrace.url, labels={"service": "shop"})
    for number in range(1000):
        writer.log({"level": "WARNING", "message": f"line {number}", "trace_id": "abc", "n": number})
    assert writer.flush(20)
    found = list(LogReader(server=tailrace.url).records())
    assert [record["message"] for record in found] == [f"line {number}" for number in range(1000)]
    assert {(record["level"], record["service"], record["trace_id"]) for record in found} == {("warn", "shop", "abc")}
    assert sink.get_stats()["sent"] == 1000


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_server_that_was_away_gets_every_record_once(tailrace, push, until, how):
    writer, sink = push(tailrace.url)
    for number in range(3000):
        if number == 1000:
            tailrace.stop(how)  # in the middle of a push, or not
        assert writer.log({"message": f"line {number}"})
        if number == 2000:
            until(lambda: sink.get_stats()["waiting_on_disk"])
    assert writer.flush(20)  # on disk is enough
    assert sink.get_stats()["waiting_on_disk"] >= 2000
    tailrace.start()
    until(lambda: sink.get_stats()["sent"] == 3000)
    found = [record["message"] for record in LogReader(server=tailrace.url).records()]
    assert sorted(found) == sorted(f"line {number}" for number in range(3000))
    assert writer.get_stats()["errors"] == 0


class Cutting:
    """A way to a server on which the first answers are lost."""

    def __init__(self, url, lost):
        self.lost = lost
        self.target = urlsplit(url)
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listening.getsockname()[1]}"
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):  # closed
            while True:
                threading.Thread(target=self.carry, args=(self.listening.accept()[0],), daemon=True).start()

    def carry(self, client):
        server = socket.create_connection((self.target.hostname, self.target.port))
        with client, server, contextlib.suppress(OSError):
            forward = threading.Thread(target=self.forward, args=(client, server), daemon=True)
            forward.start()
            while data := server.recv(65536):
                if self.lost:
                    self.lost -= 1
                    break
                client.sendall(data)
            client.shutdown(socket.SHUT_RDWR)
            forward.join()

    @staticmethod
    def forward(client, server):
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                server.sendall(data)


def test_answers_that_were_lost_store_nothing_twice(tailrace, push, until):
    way = Cutting(tailrace.url, lost=3)
    try:
        writer, sink = push(way.url)
        for number in range(500):
            writer.log({"message": f"line {number}"})
        until(lambda: sink.get_stats()["sent"] == 500)
        found = [record["message"] for record in LogReader(server=tailrace.url).records()]
        assert found == [f"line {number}" for number in range(500)]
        assert (way.lost, sink.get_stats()["retries"]) == (0, 3)
    finally:
        way.listening.close()


def test_the_key_of_a_push_stays_the_same(scripted, push, until):
    scripted.answers = [None, 503]
    writer, sink = push(scripted.url)
    writer.log({"n": 1})
    until(lambda: sink.get_stats()["sent"] == 1)
    assert [answer for answer, *_ in scripted.got] == [None, 503, 200]
    assert len({key for _, key, *_ in scripted.got}) == 1
    assert sink.get_stats()["retries"] == 2


def test_order_is_kept_across_an_outage(scripted, push, until):
    scripted.answers = [503]
    writer, sink = push(scripted.url)
    for number in range(5):
        writer.log({"n": number})
        writer.flush(20)
    until(lambda: sink.get_stats()["sent"] == 5)
    assert scripted.lines() == list(range(5))


def test_a_push_that_is_refused_is_dropped_and_counted(scripted, push, until):
    scripted.answers = [400]
    writer, sink = push(scripted.url)
    writer.log({"n": 1})
    until(lambda: sink.get_stats()["dropped"] == 1)
    writer.log({"n": 2})
    until(lambda: sink.get_stats()["sent"] == 1)
    assert scripted.lines() == [2]


def test_a_wrong_token_can_be_put_right(scripted, push, until):
    scripted.answers = [401]
    writer, sink = push(scripted.url, token="secret")
    writer.log({"n": 1})
    until(lambda: sink.get_stats()["sent"] == 1)
    assert {authorization for *_, authorization in scripted.got} == {"Bearer secret"}


def test_a_server_with_tokens_takes_the_records_of_who_has_one(begin_tailrace, tmp_path, push, until):
    add = [sys.executable, "-m", "tailrace.cli", "token", "add", "shop", "--data", str(tmp_path / "tailrace")]
    said = subprocess.run(add, capture_output=True, check=True, text=True).stdout
    token = max(said.split(), key=len)
    server = begin_tailrace()
    wrong, sink = push(server.url, token="wrong")
    wrong.log({"message": "kept"})
    until(lambda: "401" in sink.get_stats()["error"])
    assert wrong.shutdown()
    right, sink = push(server.url, token=token)
    right.log({"message": "sent"})
    until(lambda: sink.get_stats()["sent"] == 2)  # also what waited
    found = list(LogReader(server=server.url, token=token).records())
    assert sorted(record["message"] for record in found) == ["kept", "sent"]
    with pytest.raises(OSError, match="answered 401"):
        list(LogReader(server=server.url).records())


def test_a_dead_server_costs_a_bounded_piece_of_the_disk(push, until, tmp_path):
    writer, sink = push("http://127.0.0.1:1", spool_bytes_max=20_000)
    total = 0
    while not sink.get_stats()["dropped"]:
        total += sum(writer.log({"n": number, "pad": os.urandom(200).hex()}) for number in range(10))
        assert writer.flush(20)
    stats = sink.get_stats()
    assert 0 < stats["spool_bytes"] <= 20_000
    assert stats["dropped"] + stats["waiting_on_disk"] == total
    assert stats["waiting_in_memory"] == 0


def test_a_server_that_hangs_is_given_up_and_keeps_nobody_waiting(push, until):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        writer, sink = push(f"http://127.0.0.1:{silent.getsockname()[1]}", push_s_max=0.05)
        for number in range(20_000):
            assert writer.log({"n": number})
        until(lambda: sink.get_stats()["waiting_on_disk"] == 20_000)
        assert writer.get_stats()["queue_full_events"] == 0


ONE = """
import sys
from tailrace_sdk import AsyncLogWriter, ServerSink
writer = AsyncLogWriter(sinks=[ServerSink(sys.argv[1], spool_dir=sys.argv[2], labels={"service": sys.argv[4]})])
writer.log({"n": int(sys.argv[3])})
"""


def test_what_could_not_be_sent_is_sent_by_the_next_process(run, late, tmp_path):
    url, begin_server = late
    run(ONE, url, tmp_path / "spool", 1, "shop")
    assert len(spooled(tmp_path)) == 1
    server = begin_server()
    run(ONE, url, tmp_path / "spool", 2, "shop")
    assert sorted(server.lines()) == [1, 2]
    assert spooled(tmp_path) == []


def test_what_waits_for_one_server_or_service_is_not_sent_as_that_of_another(run, late, scripted, tmp_path):
    url, begin_server = late
    run(ONE, url, tmp_path / "spool", 1, "shop")
    run(ONE, scripted.url, tmp_path / "spool", 2, "shop")
    server = begin_server()
    run(ONE, url, tmp_path / "spool", 3, "till")
    assert (scripted.lines(), server.lines()) == ([2], [3])
    assert len(spooled(tmp_path)) == 1


def test_a_connection_that_the_server_closed_while_it_was_idle_is_made_anew(scripted, push, until):
    writer, sink = push(scripted.url)
    for number in range(3):
        writer.log({"n": number})
        until(lambda count=number + 1: sink.get_stats()["sent"] == count)
        scripted.hang_up()
    assert (sink.get_stats()["retries"], sink.get_stats()["spooled"]) == (0, 0)


def test_a_push_that_the_server_never_answers_is_on_disk_when_the_program_ends(run, late, tmp_path):
    program = """
import sys
from tailrace_sdk import AsyncLogWriter, ServerSink
writer = AsyncLogWriter(sinks=[ServerSink(sys.argv[1], spool_dir=sys.argv[2])])
writer.log({"n": 1})
print(writer.shutdown(0.5))
"""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        assert run(program, url, tmp_path / "spool").stdout == b"True\n"
    assert len(spooled(tmp_path)) == 1


def test_a_kill_during_an_outage_loses_nothing_that_was_spooled(begin, late, tmp_path, run):
    url, begin_server = late
    program = """
import sys, time
from tailrace_sdk import AsyncLogWriter, ServerSink
sink = ServerSink(sys.argv[2], spool_dir=sys.argv[1], labels={"service": "shop"})
writer = AsyncLogWriter(sinks=[sink])
for number in range(500):
    writer.log({"n": number})
writer.flush()
print(sink.get_stats()["waiting_on_disk"], flush=True)
time.sleep(60)
"""
    process = begin(sys.executable, "-c", program, tmp_path / "spool", url)
    assert process.stdout.readline() == b"500\n"
    process.kill()
    process.wait()
    server = begin_server()
    run(ONE, url, tmp_path / "spool", 500, "shop")
    assert sorted(server.lines()) == list(range(501))


def test_an_address_that_is_none_is_said_at_once():
    with pytest.raises(ValueError, match="looks like"):
        ServerSink("localhost:7800")
