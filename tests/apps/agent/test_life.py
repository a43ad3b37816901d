"""An agent starts, drains, fills its spool, and shares its directory with nobody."""

import os
import re
import shutil
import signal
import time
from collections import Counter

import pytest

from tailrace.bus.disk import DiskBus
from tailrace.limits import LINE_BYTES_MAX, MIB
from tests.apps.agent.agents import all_there, count, logs, numbers, wait_for_lines, write
from tests.apps.programs import tailrace, until
from tests.apps.test_bad_disk import fill, small_disk  # noqa: F401 - a fixture
from tests.batches import batch_of


def spool_bytes(shipping):
    return sum(path.stat().st_size for path in shipping.directory.glob("spool/*.seg"))


@pytest.mark.scenario("D09", "a second `tailrace agent` is started over the same directory")
def test_a_second_agent_in_the_same_directory_says_so_and_ends(agent, log, port):
    first = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: (first.directory / "lock").exists() and "shipping to" in first.said())
    done = tailrace("agent", log, "--server", f"http://127.0.0.1:{port}", "--data", first.directory)
    assert done.returncode == 1
    assert f"in use by another tailrace (process {first.process.pid})".encode() in done.stderr


def test_an_agent_without_a_server_says_what_to_do(tmp_path):
    done = tailrace("agent", tmp_path / "x.log", "--data", tmp_path / "agent")
    assert (done.returncode, b"--server" in done.stderr) == (2, True)


@pytest.mark.scenario("D15", "told to stop while its server is away")
def test_an_agent_that_ends_while_the_server_is_away_ends_at_once_and_says_what_waits(start, agent, log, port):
    write(log, 0, 1000)
    shipping = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "PROBLEM" in shipping.said() and any(shipping.directory.glob("spool/*.seg")))
    until(lambda: "1000 records wait" in shipping.said())
    assert shipping.stop() == 0
    assert f"1000 records wait in the spool for http://127.0.0.1:{port}; the next start" in shipping.said()
    log.unlink()  # the spool has them
    agent(servers=[f"http://127.0.0.1:{port}"], TAILRACE_COLLECT__DISCOVER="false")
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: numbers(server) == list(range(1000)))


@pytest.mark.scenario("D16", "told to stop with a good server, in the middle of 20,000 lines")
def test_an_agent_that_ends_delivers_what_it_has_read(start, agent, log):
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


@pytest.mark.scenario("D17", "two signals, one after the other, while a call is under way")
def test_a_second_signal_ends_it_at_once(start, agent, proxy, log):
    between = proxy(start().port)
    between.turn("stall")
    write(log, 0, 10)
    shipping = agent(log, servers=[between.url])
    until(lambda: between.connections)
    shipping.process.send_signal(signal.SIGTERM)
    shipping.process.send_signal(signal.SIGINT)
    assert shipping.process.wait(30) in (0, 1)


@pytest.mark.scenario(
    "F02",
    "the server is away for so long that the spool is full, while 20 kB lines are written and rotated",
    others="otel drops by default (`block_on_overflow`), vlagent when its queue on disk is full",
)
@pytest.mark.scenario(
    "D21", "the backlog of an outage is larger than the spool", others="vector#26035, fluent-bit#5166"
)
@pytest.mark.parametrize("writer", [{"rotate_lines": 300, "pad": 20_000}], indirect=True)
def test_a_full_spool_stops_the_reader_and_nothing_is_dropped(tmp_path, start, agent, port, writer):
    shipping = agent(logs(tmp_path), servers=[f"http://127.0.0.1:{port}"], TAILRACE_AGENT__SPOOL="16 MiB")
    until(lambda: "is full: nothing more is read" in shipping.said(), 60)
    wait_for_lines(writer, 700)
    assert spool_bytes(shipping) < 32 * MIB
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: "no longer: the spool" in shipping.said(), 60)
    writer.stop()
    all_there(server, writer)
    assert shipping.peak_mib() < 200


@pytest.mark.scenario(
    "F01",
    "the disk of the spool is full and the server is away",
    others="Vector ends, by design; otel drops on enqueue",
)
def test_a_full_disk_under_the_spool_stops_the_reader_and_nothing_is_dropped(
    start,
    agent,
    log,
    port,
    small_disk,  # noqa: F811
):
    shipping = agent(log, name="disk/agent", servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "shipping to" in shipping.said())
    ballast = fill(small_disk)
    write(log, 0, 20_000)
    until(lambda: "cannot be written" in shipping.said())
    ballast.unlink()
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: len(numbers(server)) >= 20_000, 60)
    assert numbers(server) == list(range(20_000))


@pytest.mark.scenario(
    "F06",
    "started with 5,000 blocks in its spool (50 MB), nothing of which was shipped",
    others="fluent-bit#5166, vector#26035",
)
def test_an_agent_with_much_in_its_spool_stays_small(start, agent, log, port, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", lambda _: None)  # what is made here need not outlive the power
        bus = DiskBus(tmp_path / "agent" / "spool", bytes_max=0, segment_bytes=8 * MIB, threaded=False)
        now = time.time_ns()
        for number in range(5000):
            lines = [f"{os.urandom(250).hex()} app line {20 * number + row}" for row in range(20)]
            bus.append(batch_of(lines, time=now, observed=now))
            bus.commit()
        bus.close()
    log.touch()
    shipping = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: f"100000 records wait in the spool for http://127.0.0.1:{port}" in shipping.said())
    server = start("--listen", f"127.0.0.1:{port}")
    until(lambda: server.get("/api/v1/status")["records"] >= 100_000, 120)
    assert count(server) == 100_000
    assert shipping.peak_mib() < 130


@pytest.mark.scenario("D06", "a byte of what waits in the spool is another one after a restart")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_what_damage_in_the_spool_has_cost_is_counted_and_said(start, agent, log, port, number):
    url = f"http://127.0.0.1:{port}"
    log.touch()
    shipping = agent(log, servers=[url])
    for first in range(0, 3000, 500):
        size = spool_bytes(shipping)
        write(log, first, 500)
        until(lambda: spool_bytes(shipping) > size)  # noqa: B023 - it is called in this turn
    shipping.stop(number)
    (segment,) = shipping.directory.glob("spool/*.seg")
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 1
    segment.write_bytes(data)
    write(log, 3000, 1)
    server = start("--listen", f"127.0.0.1:{port}")
    shipping = agent(log, servers=[url])
    until(lambda: numbers(server)[-1:] == [3000])
    until(lambda: "neither there" in shipping.said())
    lost = sum(int(number) for number in re.findall(r": (\d+) are neither there", shipping.said()))
    assert 0 < lost == 3001 - count(server)
    assert numbers(server) == sorted(set(numbers(server)))


@pytest.mark.scenario("D20", "the directory of an agent comes back from a backup, while its server has more")
def test_an_agent_that_comes_back_from_a_backup_loses_nothing_and_doubles_what_its_spool_has_at_most(
    tmp_path, start, agent, log
):
    server = start()
    for first in (0, 500):
        write(log, first, 500)
        shipping = agent(log, servers=[server.url])
        until(lambda: count(server) >= first + 500)  # noqa: B023 - it is called in this turn
        shipping.stop()
        if not first:
            shutil.copytree(shipping.directory, tmp_path / "backup")
    shutil.rmtree(shipping.directory)
    shutil.copytree(tmp_path / "backup", shipping.directory)
    write(log, 1000, 500)
    agent(log, servers=[server.url])
    until(lambda: numbers(server)[-1:] == [1499])
    times = Counter(numbers(server))
    assert sorted(times) == list(range(1500))
    assert set(times.values()) <= {1, 2}


@pytest.mark.scenario("C07", "an agent ships a line of 16 MiB")
def test_a_line_as_long_as_can_be_arrives_whole(start, agent, log):
    long = os.urandom((LINE_BYTES_MAX - 100) // 2).hex()
    log.write_text(f"before\n{long}\nafter\n")
    server = start()
    agent(log, servers=[server.url])
    until(lambda: server.get("/api/v1/status")["records"] >= 3, 60)
    before, line, after = server.messages()
    assert (before, after) == ("before", "after")
    same = line == long
    assert same  # by itself: pytest would explain how millions of characters differ


def test_the_server_shows_who_ships_to_it(start, agent, log):
    server = start()
    write(log, 0, 10)
    agent(log, servers=[server.url], TAILRACE_COLLECT__HOST="web-1")
    until(lambda: numbers(server))
    assert [one["host"] for one in server.get("/api/v1/status")["agents"]] == ["web-1"]
    assert b"web-1 (" in tailrace("status", server=server).stdout
