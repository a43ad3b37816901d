"""An agent starts, drains, fills its spool, and shares its directory with nobody."""

import os
import signal

import pytest

from tailrace.limits import LINE_BYTES_MAX, MIB
from tests.apps.agent.agents import numbers, write
from tests.apps.programs import tailrace, until
from tests.apps.test_bad_disk import fill, small_disk  # noqa: F401 - a fixture


def test_a_second_agent_in_the_same_directory_says_so_and_ends(agent, log, port):
    """D09"""
    first = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: (first.directory / "lock").exists() and "shipping to" in first.said())
    done = tailrace("agent", log, "--server", f"http://127.0.0.1:{port}", "--data", first.directory)
    assert done.returncode == 1
    assert f"in use by another tailrace (process {first.process.pid})".encode() in done.stderr


def test_an_agent_without_a_server_says_what_to_do(tmp_path):
    done = tailrace("agent", tmp_path / "x.log", "--data", tmp_path / "agent")
    assert (done.returncode, b"--server" in done.stderr) == (2, True)


def test_an_agent_that_ends_while_the_server_is_away_ends_at_once_and_says_what_waits(start, agent, log, port):
    """D15"""
    write(log, 0, 1000)
    shipping = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "PROBLEM" in shipping.said() and any(shipping.directory.glob("spool/*.seg")))
    until(lambda: sum(path.stat().st_size for path in shipping.directory.glob("spool/*.seg")) > 10_000)
    assert shipping.stop() == 0
    assert f"1000 records wait in the spool for http://127.0.0.1:{port}" in shipping.said()
    log.unlink()  # the spool has them
    agent(servers=[f"http://127.0.0.1:{port}"], TAILRACE_COLLECT__DISCOVER="false")
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: numbers(server) == list(range(1000)))


def test_an_agent_that_ends_delivers_what_it_has_read(start, agent, log):
    """D16"""
    server = start()
    write(log, 0, 20_000)
    shipping = agent(log, servers=[server.url])
    until(lambda: numbers(server))
    assert shipping.stop() == 0
    assert "wait in the spool" not in shipping.said()
    known = len(numbers(server))
    assert numbers(server) == list(range(known))
    agent(log, servers=[server.url])
    until(lambda: len(numbers(server)) >= 20_000)
    assert numbers(server) == list(range(20_000))


def test_a_second_signal_ends_it_at_once(start, agent, proxy, log):
    """D17"""
    between = proxy(start().port)
    between.turn("stall")
    write(log, 0, 10)
    shipping = agent(log, servers=[between.url])
    until(lambda: between.connections)
    shipping.process.send_signal(signal.SIGTERM)
    shipping.process.send_signal(signal.SIGINT)
    assert shipping.process.wait(30) in (0, 1)


def test_a_full_spool_stops_the_reader_and_nothing_is_dropped(start, agent, log, port):
    """F02"""
    write(log, 0, 60_000, size=1000)
    shipping = agent(log, servers=[f"http://127.0.0.1:{port}"], TAILRACE_AGENT__SPOOL="16 MiB")
    until(lambda: "is full: nothing more is read" in shipping.said(), 60)
    assert sum(path.stat().st_size for path in shipping.directory.glob("spool/*.seg")) < 32 * MIB
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: server.get("/api/v1/status")["records"] >= 60_000, 120)
    assert numbers(server) == list(range(60_000))
    until(lambda: "well again: the spool" in shipping.said())


def test_a_full_disk_under_the_spool_stops_the_reader_and_nothing_is_dropped(
    start,
    agent,
    log,
    port,
    small_disk,  # noqa: F811
):
    """F01"""
    shipping = agent(log, name="disk/agent", servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "shipping to" in shipping.said())
    ballast = fill(small_disk)
    write(log, 0, 20_000)
    until(lambda: "cannot be written" in shipping.said())
    ballast.unlink()
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: len(numbers(server)) >= 20_000, 60)
    assert numbers(server) == list(range(20_000))


def test_an_agent_with_much_in_its_spool_starts_soon_and_stays_small(start, agent, log, port):
    """F06"""
    write(log, 0, 300_000, size=400)
    first = agent(log, servers=[f"http://127.0.0.1:{port}"])
    size = log.stat().st_size
    until(lambda: sum(path.stat().st_size for path in first.directory.glob("spool/*.seg")) > size * 0.55, 100)
    assert first.stop() == 0
    second = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "PROBLEM: http" in second.said()[len(first.said()) :] or second.said().count("shipping to") == 2)
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: server.get("/api/v1/status")["records"] >= 300_000, 120)
    assert second.peak_mib() < 130


@pytest.mark.parametrize("kind", ["text", "latin"])
def test_a_line_as_long_as_can_be_arrives_whole(start, agent, log, kind):
    long = os.urandom((LINE_BYTES_MAX - 100) // 2).hex().encode() if kind == "text" else b"\xe9" * (LINE_BYTES_MAX - 1)
    log.write_bytes(b"before\n" + long + b"\nafter\n")
    server = start()
    agent(log, servers=[server.url])
    until(lambda: server.get("/api/v1/status")["records"] >= 3, 60)
    before, line, after = server.messages()
    assert (before, after) == ("before", "after")
    same = line == (long.decode() if kind == "text" else r"\xe9" * len(long))
    assert same  # by itself: pytest would explain how millions of characters differ


def test_the_server_shows_who_ships_to_it(start, agent, log):
    server = start()
    write(log, 0, 10)
    agent(log, servers=[server.url], TAILRACE_COLLECT__HOST="web-1")
    until(lambda: numbers(server))
    assert [one["host"] for one in server.get("/api/v1/status")["agents"]] == ["web-1"]
    assert b"web-1 (" in tailrace("status", server=server).stdout
