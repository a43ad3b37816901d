"""Servers that are away, killed, misbehaving or elsewhere: each line arrives once and in order when they are back."""

import json
import os
import random
import signal
import socket
import time

import pytest

from tests.apps.agent.agents import all_there, logs, numbers, wait_for_lines
from tests.apps.programs import until


def test_what_is_written_while_the_server_is_away_and_files_rotate_arrives_when_it_is_back(
    tmp_path, start, port, agent, writer
):
    """E01"""
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


@pytest.mark.timeout(300)
def test_an_outage_of_any_number_of_tries_with_agents_that_begin_again_loses_nothing(
    tmp_path, start, port, agent, writer
):
    """E02"""
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


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        ("cut", ""),
        ("stall", ""),
        (reply(b"500 Oh", b"<h1>oh</h1>"), "it answered 500"),
        (reply(b"200 OK", b"<h1>welcome to the hotel</h1>"), "none of a tailrace server"),
        (reply(b"200 OK", b'{"source":"agent:1.0","taken":999999}'), "another log"),
        (reply(b"302 Found", b"", b"Location: http://elsewhere/"), "it answered 302"),
        (reply(b"403 No", b"no"), "it answered 403"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ""),
    ],
    ids=lambda one: one if isinstance(one, str) else "answer",
)
def test_whatever_stands_between_misbehaves_for_a_while(tmp_path, start, agent, proxy, writer, mode, said):
    server = start()
    between = proxy(server.port)
    shipping = agent(logs(tmp_path), servers=[between.url])
    until(lambda: numbers(server))
    between.turn(mode)
    tries = between.connections
    wait_for_lines(writer, 100)
    until(lambda: between.connections > tries + (0 if mode == "stall" else 1))
    if said:
        until(lambda: said in shipping.said())
    between.turn("pass")
    writer.stop()
    all_there(server, writer)


def test_an_answer_of_one_byte_at_a_time_has_a_deadline_as_a_whole(tmp_path, start, proxy, monkeypatch):
    """E04"""
    from tailrace.ship import connection

    monkeypatch.setattr(connection, "SHIP_CALL_S_MAX", 1.0)
    between = proxy(start().port)
    between.turn("trickle")
    began = time.monotonic()
    with pytest.raises(connection.Failed, match="too long"):
        connection.Connection(connection.Server(between.url)).call("GET", "/healthz")
    assert time.monotonic() - began < 30  # not a measurement: the answer has 500 bytes, and would take minutes


@pytest.mark.parametrize("as_date", [False, True])
def test_a_server_that_asks_for_some_seconds_gets_them_and_others_go_on(tmp_path, start, agent, proxy, writer, as_date):
    """E07"""
    other, server = start(name="other"), start()
    between = proxy(server.port)
    header = b"Retry-After: 7"
    if as_date:
        header = b"Date: Sat, 21 Nov 2026 08:00:00 GMT\r\nRetry-After: Sat, 21 Nov 2026 08:00:07 GMT"
    between.turn(reply(b"429 Busy", b"", header))
    agent(logs(tmp_path), servers=[between.url, other.url])
    until(lambda: between.connections == 2, 40)
    assert between.calls_s[1] - between.calls_s[0] >= 7
    assert numbers(other)
    between.turn("pass")
    writer.stop()
    all_there(other, writer)
    all_there(server, writer)


def test_a_dead_server_holds_up_no_other_and_gets_everything_when_it_lives(tmp_path, start, port, agent, writer):
    """E14"""
    good = start(name="good")
    agent(logs(tmp_path), servers=[f"http://127.0.0.1:{port}", good.url])
    wait_for_lines(writer, 500)
    writer.stop()
    all_there(good, writer)
    all_there(start("--listen", f"127.0.0.1:{port}"), writer)


def test_a_reply_that_is_lost_stores_a_push_once(start, proxy):
    """E23"""
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


def test_the_servers_may_be_changed_while_lines_are_on_their_way(tmp_path, start, agent, writer):
    """G08"""
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


def test_an_agent_under_a_hail_of_signals_loses_nothing(tmp_path, start, agent, writer):
    """D17"""
    server = start()
    shipping = agent(logs(tmp_path), servers=[server.url])
    until(lambda: numbers(server))
    for number in (signal.SIGHUP, signal.SIGSTOP, signal.SIGCONT, signal.SIGHUP) * 10:
        os.kill(shipping.process.pid, number)
        wait_for_lines(writer, 5)
    writer.stop()
    all_there(server, writer)
