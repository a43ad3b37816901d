"""Servers that are away, killed, misbehaving or elsewhere: each line arrives once and in order when they are back."""

import json
import os
import random
import signal
import socket
import subprocess
import time

import pytest

from tests.apps.agent.agents import all_there, count, logs, numbers, wait_for_lines
from tests.apps.programs import until


@pytest.mark.scenario(
    "E01",
    "the server cannot be reached, while a log is written and rotated",
    others="otel after 300 s, Alloy after 10 tries and Fluent Bit after one give up and drop",
)
def test_what_is_written_while_the_server_is_away_and_files_rotate_arrives_when_it_is_back(
    tmp_path, start, port, agent, writer
):
    shipping = agent(logs(tmp_path), servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "PROBLEM: http://127.0.0.1" in shipping.said())
    wait_for_lines(writer, 3000)
    before = shipping.peak_mib()
    server = start("--listen", f"127.0.0.1:{port}")
    wait_for_lines(writer, 10)
    writer.stop()
    all_there(server, writer)
    assert shipping.peak_mib() - before < 20
    until(lambda: "well again" in shipping.said())


@pytest.mark.scenario(
    "E02", "as E01, and the agent ends or is killed four times meanwhile", others="otel#45120, otel#48635, core#15324"
)
@pytest.mark.timeout(300)
def test_an_outage_of_any_number_of_tries_with_agents_that_begin_again_loses_nothing(
    tmp_path, start, port, agent, writer
):
    for life in range(4):
        shipping = agent(logs(tmp_path), servers=[f"http://127.0.0.1:{port}"])
        until(lambda: shipping.said().count("shipping to") > life)  # noqa: B023 - it is called in this turn
        wait_for_lines(writer, 300)
        assert shipping.stop(random.choice([signal.SIGTERM, signal.SIGKILL])) in (0, -9)
    agent(logs(tmp_path), servers=[f"http://127.0.0.1:{port}"])
    writer.stop()
    all_there(start("--listen", f"127.0.0.1:{port}"), writer)


def reply(status, body=b"", *headers):
    return b"\r\n".join([b"HTTP/1.1 " + status, b"Content-Length: %d" % len(body), *headers, b"", body])


MISBEHAVIOUR = [
    ("cut", ""),
    ("deaf", ""),
    ("stall", ""),
    (reply(b"500 Oh", b"<h1>oh</h1>"), "it answered 500"),
    (reply(b"200 OK", b"<h1>welcome to the hotel</h1>"), "none of a tailrace server"),
    (reply(b"200 OK", b'{"source":"agent:1.0","taken":999999}'), "another log"),
    (reply(b"302 Found", b"", b"Location: http://elsewhere/"), "it answered 302"),
    (reply(b"403 No", b"no"), "it answered 403"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "no HTTP server: 'SSH-2.0"),
]


def test_whatever_stands_between_misbehaves_for_a_while(tmp_path, start, agent, proxy, writer):
    server = start()
    between = proxy(server.port)
    shipping = agent(logs(tmp_path), servers=[between.url])
    for mode, said in random.sample(MISBEHAVIOUR, len(MISBEHAVIOUR)):
        before = len(shipping.said())
        known = count(server)
        between.turn("pass")
        until(lambda: count(server) > known)  # noqa: B023 - it is called in this turn
        between.turn(mode)
        tries = between.connections
        wait_for_lines(writer, 50)
        until(lambda: between.connections > tries + (mode != "stall"))  # noqa: B023
        until(lambda: mode != "deaf" or between.lost > 2)  # noqa: B023
        until(lambda: said in shipping.said()[before:])  # noqa: B023
    between.turn("pass")
    writer.stop()
    all_there(server, writer)


@pytest.mark.scenario("E04", "an answer comes a byte at a time")
def test_an_answer_of_one_byte_at_a_time_has_a_deadline_as_a_whole(tmp_path, start, proxy, monkeypatch):
    from tailrace.ship import connection

    monkeypatch.setattr(connection, "SHIP_CALL_S_MAX", 1.0)
    between = proxy(start().port)
    between.turn("trickle")
    began = time.monotonic()
    with pytest.raises(connection.Failed, match="too long"):
        connection.Connection(connection.Server(between.url)).call("GET", "/healthz")
    assert time.monotonic() - began < 30  # not a measurement: the answer has 500 bytes, and would take minutes


@pytest.mark.scenario("E07", "two of three servers answer 429 and ask for seven seconds, in seconds and as a date")
def test_a_server_that_asks_for_some_seconds_gets_them_and_others_go_on(tmp_path, start, agent, proxy, writer):
    server = start()
    headers = (
        b"Retry-After: 7",
        b"Date: Sat, 21 Nov 2026 08:00:00 GMT\r\nRetry-After: Sat, 21 Nov 2026 08:00:07 GMT",
    )
    behind = [start(name=f"busy-{number}") for number in range(len(headers))]
    busy = [proxy(one.port) for one in behind]
    for between, header in zip(busy, headers, strict=True):
        between.turn(reply(b"429 Busy", b"", header))
    agent(logs(tmp_path), servers=[server.url, *[between.url for between in busy]])
    until(lambda: all(between.connections for between in busy))
    for between in busy:
        between.mode = "pass"
    until(lambda: numbers(server))
    writer.stop()
    all_there(server, writer)
    until(lambda: all(between.connections > 1 for between in busy))
    for between, one in zip(busy, behind, strict=True):
        assert between.calls_s[1] - between.calls_s[0] >= 7
        all_there(one, writer)


@pytest.mark.scenario("E14", "of three servers one is dead, and one takes fifty bytes a second")
def test_servers_that_do_not_take_hold_up_no_other_and_get_everything_when_they_do(
    tmp_path, start, agent, proxy, writer
):
    good, *others = start(name="good"), start(name="slow"), start(name="dead")
    between = [proxy(one.port) for one in others]
    between[0].turn("slow")
    between[1].turn(reply(b"503 No"))
    agent(logs(tmp_path), servers=[*[one.url for one in between], good.url])
    wait_for_lines(writer, 1000)
    until(lambda: numbers(good)[-1:] > [1000])
    writer.stop()
    all_there(good, writer)
    for one, way in zip(others, between, strict=True):
        assert count(one) < writer.written
        way.turn("pass")
        all_there(one, writer)


@pytest.mark.scenario("E23", "the answer to a push is lost; it is sent again with its key")
def test_a_reply_that_is_lost_stores_a_push_once(start, proxy):
    server = start()
    between = proxy(server.port)
    body = b"".join(b'{"message":"line %d"}\n' % n for n in range(1000))
    head = (
        f"POST /api/v1/push HTTP/1.1\r\nHost: localhost\r\nIdempotency-Key: k1\r\n"
        f"Content-Type: application/x-ndjson\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", int(between.url.rpartition(":")[2]))) as client:
            client.sendall(head.encode() + body)
            until(lambda: len(server.messages()) == 1000)
    assert server.push(body, Idempotency_Key="k1")[1]["accepted"] == 1000
    assert server.messages() == [f"line {n}" for n in range(1000)]


@pytest.mark.scenario("G08", "the servers in the configuration change while lines are on their way")
def test_the_servers_may_be_changed_while_lines_are_on_their_way(tmp_path, start, agent, writer):
    one, two = start(name="one"), start(name="two")
    file = tmp_path / "agent.toml"
    file.write_text(f'[agent]\nservers = ["{one.url}"]\n')
    shipping = agent(logs(tmp_path), "--config", file)
    until(lambda: numbers(one))
    for servers in ([two.url], [one.url], [one.url, two.url]):
        file.write_text(f"[agent]\nservers = {json.dumps(servers)}\n")
        shipping.process.send_signal(signal.SIGHUP)
        until(
            lambda s=servers: (
                [x for x in shipping.said().split("\n") if x.startswith("shipping to")][-1]
                == f"shipping to {', '.join(s)}"
            )
        )
        wait_for_lines(writer, 50)
    file.write_text("[agent\n")
    shipping.process.send_signal(signal.SIGHUP)
    until(lambda: "the configuration stays as it was" in shipping.said())
    writer.stop()
    until(lambda: numbers(one)[-1:] == [writer.written - 1])
    until(lambda: numbers(two)[-1:] == [writer.written - 1])
    for server in (one, two):
        found = numbers(server)
        assert found == sorted(set(found))


@pytest.mark.scenario(
    "D17", "forty signals: SIGHUP, SIGSTOP, SIGCONT; then stopped while the log is rotated and the server begins again"
)
def test_an_agent_under_a_hail_of_signals_loses_nothing(tmp_path, start, port, agent, writer):
    server = start("--listen", f"127.0.0.1:{port}")
    shipping = agent(logs(tmp_path), servers=[server.url])
    until(lambda: numbers(server))
    for number in (signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT, signal.SIGHUP) * 10:
        os.kill(shipping.process.pid, number)
        wait_for_lines(writer, 5)
    os.kill(shipping.process.pid, signal.SIGSTOP)
    wait_for_lines(writer, 2000)
    server.stop()
    server = start("--listen", f"127.0.0.1:{port}")
    os.kill(shipping.process.pid, signal.SIGCONT)
    writer.stop()
    all_there(server, writer)


@pytest.mark.scenario("E15", "the name of the server leads to another address from now on; before, to none")
def test_the_name_of_a_server_is_looked_up_anew_for_each_connection(tmp_path, start, proxy, agent, writer):
    server = start(TAILRACE_SERVER__HOSTS="logs.test")
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n")
    private = ("unshare", "--mount", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$@"', "sh")
    if os.geteuid() != 0 or subprocess.run([*private, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine does not let us have our own /etc/hosts")
    old = proxy(server.port)
    new = proxy(server.port, ("127.0.0.2", old.address[1]))
    shipping = agent(logs(tmp_path), servers=[f"http://logs.test:{old.address[1]}"], under=private)
    until(lambda: "PROBLEM: http://logs.test" in shipping.said())
    for between, address in ((old, "127.0.0.1"), (new, "127.0.0.2")):
        hosts.write_text(f"{address} localhost logs.test\n")
        old.turn("pass")
        known = count(server)
        until(lambda: between.connections and count(server) > known)  # noqa: B023 - it is called in this turn
    writer.stop()
    all_there(server, writer)


@pytest.mark.scenario("F11", "the only server is taken out of the configuration, and put back later")
def test_what_no_server_is_named_for_stays_in_the_spool_until_one_is(tmp_path, start, agent, writer):
    server = start()
    file = tmp_path / "agent.toml"
    file.write_text(f'[agent]\nservers = ["{server.url}"]\n')
    shipping = agent(logs(tmp_path), "--config", file)
    for turn in range(1, 3):
        known = count(server)
        until(lambda: count(server) > known)  # noqa: B023 - it is called in this turn
        file.write_text("[agent]\nservers = []\n")
        until(lambda: shipping.said().count("the spool keeps everything") == turn)  # noqa: B023
        wait_for_lines(writer, 500)
        file.write_text(f'[agent]\nservers = ["{server.url}"]\n')
        until(lambda: shipping.said().count(f"shipping to {server.url}") == turn + 1)  # noqa: B023
    writer.stop()
    all_there(server, writer)
