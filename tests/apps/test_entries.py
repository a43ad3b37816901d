"""Entries of the configuration in a real process: what changes in the file applies, and costs no line.

The writer appends all the while.
"""

import os
import signal
import threading
import time
from collections import Counter
from contextlib import contextmanager

import pytest

from tests.apps.programs import until


def written(path, *entries, head=""):
    """Write a configuration as editors do: beside the file, then in its place."""
    text = head + "".join("[[collect.entries]]\n" + "\n".join(entry) + "\n" for entry in entries)
    other = path.with_suffix(".new")
    other.write_text(text)
    other.replace(path)
    return text


def entry(path, **more):
    return [f'path = "{path}"', *(f"{key} = {value}" for key, value in more.items())]


def problems(server):
    return " ".join(server.get("/api/v1/status")["problems"])


def reloads(server):
    return server.get("/api/v1/collect")["configuration"]["reloads"]


def applied(server, before):
    until(lambda: reloads(server) > before)


def opened(server, folder):
    """Return the log files that a process has open, by descriptor."""
    found = {}
    for number in os.listdir(f"/proc/{server.process.pid}/fd"):
        try:
            path = os.readlink(f"/proc/{server.process.pid}/fd/{number}")
        except FileNotFoundError:
            continue
        if path.startswith(str(folder)):
            found[number] = path
    return found


@contextmanager
def writing(folder, files=3):
    """Append lines to files until the end of the block; gives what was written."""
    done, lines = threading.Event(), []

    def write():
        number = 0
        with appended(folder, files) as logs:
            while not done.is_set():
                for log in logs:
                    line = f"2026-01-01 00:00:00 INFO {log.name} {number}"
                    log.write(line + "\n")
                    log.flush()
                    lines.append(line)
                number += 1
                time.sleep(0.002)  # the load, not a wait

    thread = threading.Thread(target=write)
    thread.start()
    try:
        yield lines
    finally:
        done.set()
        thread.join()


@contextmanager
def appended(folder, count):
    logs = [(folder / f"{number}.log").open("a") for number in range(count)]
    try:
        yield logs
    finally:
        for log in logs:
            log.close()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def config(tmp_path):
    return tmp_path / "tailrace.toml"


@pytest.fixture
def up(start, config):
    """Start with the configuration as it is."""
    return lambda **more: start("--config", config, command="up", **more)


@pytest.mark.scenario("G01", "an unchanged configuration is reloaded 20 times while files are written")
def test_an_unchanged_configuration_that_is_reloaded_under_load_opens_nothing_and_costs_no_line(folder, config, up):
    written(config, entry(folder / "*.log"))
    server = up()
    with writing(folder) as lines:
        until(lambda: len(opened(server, folder)) == 3)
        before = opened(server, folder)
        for turn in range(20):
            server.process.send_signal(signal.SIGHUP)
            applied(server, turn)
        assert opened(server, folder) == before
    until(lambda: len(server.messages()) >= len(lines))
    assert Counter(server.messages()) == Counter(lines)


@pytest.mark.scenario(
    "G02", "an entry is removed and added again, three times", others="Alloy reads such files from their beginning"
)
def test_an_entry_that_is_removed_and_added_again_goes_on_at_its_mark(folder, config, up):
    for name in ("0.log", "1.log", "2.log"):
        (folder / name).touch()
    one, other = entry(folder / "0.log"), entry(folder / "[12].log", start='"end"')
    written(config, one, other)
    server = up()
    until(lambda: len(opened(server, folder)) == 3)
    with writing(folder) as lines:
        for turn in range(3):
            written(config, one)
            applied(server, 2 * turn)
            until(lambda: set(opened(server, folder).values()) == {str(folder / "0.log")})
            written(config, other, one)
            applied(server, 2 * turn + 1)
            until(lambda: len(opened(server, folder)) == 3)
    until(lambda: len(server.messages()) >= len(lines))
    found = server.messages()
    for name in "012":
        assert [line for line in found if f"/{name}.log " in line] == [one for one in lines if f"/{name}.log " in one]


@pytest.mark.scenario("G03", "the configuration is no TOML, has an unknown key, a query that is none, or is gone")
def test_a_file_that_makes_no_sense_changes_nothing_is_told_and_can_be_mended(folder, config, up):
    good = written(config, entry(folder / "0.log"))
    server = up()
    with writing(folder, 2) as lines:
        for number, bad in enumerate(["[[collect.entries]\n", good + 'strat = "end"\n', good + 'drop = "level:("\n']):
            config.write_text(bad)
            until(lambda: "the configuration: " in problems(server))
            server.process.send_signal(signal.SIGHUP)
            until(lambda: server.get("/api/v1/collect")["configuration"]["failures"] >= 2 * number + 2)  # noqa: B023
            count = len(server.messages())
            until(lambda: len(server.messages()) > count)  # noqa: B023
            written(config, entry(folder / "0.log"))
            until(lambda: not problems(server))
        config.unlink()
        until(lambda: "cannot read" in problems(server))
        written(config, entry(folder / "*.log"))
        until(lambda: not problems(server))
    until(lambda: len(server.messages()) >= len(lines))
    assert Counter(server.messages()) == Counter(lines)
    said = server.log.read_text()
    assert said.count("the configuration stays as it was") == 4
    assert "Did you mean 'start'?" in said
    metrics = server.call("GET", "/metrics")[2].decode()
    assert 'tailrace_config_reloads_total{end="failed"} 7.0' in metrics


@pytest.mark.scenario("G05", "labels of an entry change while its files are written")
def test_labels_change_from_the_next_line_on_while_the_file_is_written(folder, config, up):
    written(config, entry(folder / "*.log", labels='{ team = "red" }'))
    server = up()
    with writing(folder) as lines:
        until(lambda: server.messages(q="team:red") and len(opened(server, folder)) == 3)
        before = opened(server, folder)
        written(config, entry(folder / "*.log", labels='{ team = "blue" }'))
        until(lambda: server.messages(q="team:blue"))
        assert opened(server, folder) == before
    until(lambda: len(server.messages()) >= len(lines))
    assert Counter(server.messages()) == Counter(lines)
    colours = {colour: server.messages(q=f"team:{colour}") for colour in ("red", "blue")}
    for name in "012":
        mine = [line for colour in ("red", "blue") for line in colours[colour] if f"/{name}.log " in line]
        assert mine == [line for line in lines if f"/{name}.log " in line]


def test_the_switch_of_a_link_above_the_file_is_noticed(folder, tmp_path, up, config):
    """As Kubernetes gives a new version of a ConfigMap."""
    for version in ("1", "2"):
        (tmp_path / version).mkdir()
        written(tmp_path / version / "tailrace.toml", entry(folder / f"{version}.log"))
        (folder / f"{version}.log").write_text(f"of {version}\n")
    (tmp_path / "now").symlink_to("1")
    config.symlink_to("now/tailrace.toml")
    server = up()
    until(lambda: server.messages() == ["of 1"])
    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").rename(tmp_path / "now")
    until(lambda: server.messages() == ["of 1", "of 2"])


def test_what_needs_a_restart_is_said_and_the_rest_applies(folder, config, up):
    written(config, entry(folder / "a.log"))
    server = up()
    (folder / "b.log").write_text("b\n")
    written(config, entry(folder / "b.log"), head='[store]\nretain = "2d"\n')
    until(lambda: server.messages() == ["b"])
    assert "a restart is needed for store.retain" in problems(server)


def test_files_of_overlapping_entries_stay_followed_when_one_of_them_goes(folder, config, up):
    (folder / "a.log").write_text("first\n")
    written(config, entry(folder / "a.log"), entry(folder / "*.log"))
    server = up()
    until(lambda: server.messages() == ["first"])
    before = opened(server, folder)
    written(config, entry(folder / "*.log"))
    applied(server, 0)
    until(lambda: server.get("/api/v1/collect")["files"][0]["entry"] == str(folder / "*.log"))
    assert opened(server, folder) == before


@pytest.mark.scenario("G07", "the configuration, or a link, leads to files outside of what is allowed")
def test_nothing_is_followed_outside_of_what_is_allowed_wherever_links_and_dots_lead(folder, tmp_path, config, up):
    (tmp_path / "secret.log").write_text("secret\n")
    (folder / "link.log").symlink_to(tmp_path / "secret.log")
    (folder / "good.log").write_text("good\n")
    wishes = [folder / "*.log", f"{folder}/../secret.log", "/etc/passwd", "/proc/self/status", tmp_path / "*.log"]
    written(config, *map(entry, wishes), head=f'[collect]\nallow = ["{folder}"]\n')
    server = up()
    until(lambda: server.messages() == ["good"])
    files = {one["path"]: one["state"] for one in server.get("/api/v1/collect")["files"]}
    assert [path for path, state in files.items() if state != "skipped"] == [str(folder / "good.log")]
    assert [one["files"] for one in server.get("/api/v1/collect")["entries"]] == [1, 0, 0, 0, 0]
    written(config, *map(entry, wishes))
    until(lambda: "a restart is needed for collect.allow" in problems(server))
    assert server.messages() == ["good"]


def test_logs_of_the_machine_are_followed_only_while_nothing_is_named(folder, config, up, tmp_path):
    config.write_text("")
    state = tmp_path / "state"
    (state / "notes").mkdir(parents=True)
    (state / "notes" / "found.log").write_text("found\n")
    (folder / "named.log").write_text("named\n")
    server = up(XDG_STATE_HOME=str(state))
    until(lambda: server.messages(q="found path:found.log") == ["found"])
    written(config, entry(folder / "named.log"))
    until(lambda: server.messages(q="path:named.log") == ["named"])
    until(lambda: server.get("/api/v1/collect")["total"] == 1)
