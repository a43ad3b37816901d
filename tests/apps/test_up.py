"""`tailrace up` as a newcomer starts it: without arguments it finds the logs and says why; the demo has something."""

import re
import subprocess
import sys

import pytest

from tests.apps.programs import until


@pytest.fixture
def home(tmp_path):
    """A home with one log in its state directory."""
    place = tmp_path / "home"
    (place / "state" / "notes").mkdir(parents=True)
    (place / "state" / "notes" / "notes.log").write_text("from the state directory\n")
    return place


def surroundings(home):
    return {"HOME": str(home), "XDG_STATE_HOME": str(home / "state"), "XDG_DATA_HOME": str(home / "data")}


@pytest.fixture
def writer(tmp_path):
    """A process that holds a log open for append."""
    path = tmp_path / "shop" / "logs" / "app.log"
    path.parent.mkdir(parents=True)
    code = f"f = open({str(path)!r}, 'a', 1); f.write('from a process\\n'); print('open', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"open\n"
        process.path = path
        yield process
        process.communicate(b"\n")


def test_logs_are_found_and_it_is_said_which_and_why(start, home, writer):
    server = start(command="up", **surroundings(home))
    for written in ("from a process", "from the state directory"):  # of all that this machine writes
        until(lambda text=written: server.messages(q=f'"{text}"') == [text])
    shown = [line for line in server.said if line.startswith("  /")]  # of all the logs of this machine, the first
    assert shown
    assert all(
        re.search(r"  \((open for append by .+ \(pid \d+\)|a (text )?log in .+|a container's log)\)$", line)
        for line in shown
    )
    found = server.get("/api/v1/search", q='"from a process"')["records"]
    assert [record["service"] for record in found] == ["shop"]


def test_its_own_data_is_not_followed(start, home):
    data = home / "state" / "tailrace"
    (data / "bus").mkdir(parents=True)
    (data / "own.log").write_text("about myself\n")
    server = start(command="up", name="home/state/tailrace", **surroundings(home))
    until(lambda: server.messages(q='"from the state directory"'))
    assert not any("own.log" in line for line in server.said)
    assert server.messages(q='"about myself"') == []


def test_a_file_that_appears_is_picked_up(start, tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    server = start(logs, command="up")
    (logs / "new.log").write_text("new\n")
    until(lambda: server.messages() == ["new"])


def test_a_log_that_appears_where_logs_are_found_is_picked_up(start, home):
    server = start(command="up", **surroundings(home))
    until(lambda: server.messages(q='"from the state directory"'))
    (home / "state" / "later [1].log").write_text("from a log that came later\n")
    until(lambda: server.messages(q='"from a log that came later"'), seconds=30)


def test_the_demo_shows_three_services(start):
    server = start("--demo", command="up")

    def services():
        found = server.get("/api/v1/values", field="service")["values"]
        return {one["value"] for one in found}

    until(lambda: services() == {"checkout", "gateway", "billing"})


def test_what_was_found_is_not_followed_when_that_is_not_wanted(start, home):
    server = start("--no-discover", command="up", **surroundings(home))
    assert "following 0 files" in server.said[-1]
