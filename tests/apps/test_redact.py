"""Masking in a whole process: what must not be kept is on no disk, by whichever way it came."""

import json
import signal
import socket
import subprocess

import pytest

from tests.apps.programs import until
from tests.apps.test_entries import applied, written


def on_disk(server, text):
    return any(text.encode() in path.read_bytes() for path in server.directory.rglob("*") if path.is_file())


def masked(server, rule):
    name = f'tailrace_values_redacted_total{{rule="{rule}"}} '
    lines = server.call("GET", "/metrics")[2].decode().splitlines()
    return sum(float(line.removeprefix(name)) for line in lines if line.startswith(name))


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.mark.parametrize("redact", ['["secrets"]', "[]"])
def test_a_secret_that_came_by_file_stdin_syslog_or_push_is_on_disk_only_if_nothing_is_masked(start, tmp_path, redact):
    port = free_port()
    head = f'[collect]\npaths = ["{tmp_path}/path.log", "-"]\nsyslog = ["tcp://127.0.0.1:{port}"]\nredact = {redact}\n'
    entries = [[f'path = "{tmp_path}/entry.log"'], [f'path = "{tmp_path}/open.log"', "redact = []"]]
    written(tmp_path / "tailrace.toml", *entries, head=head)
    for name in ("path", "entry", "open"):
        (tmp_path / f"{name}.log").write_text(f"password=hush-{name}\n")
    server = start("--config", tmp_path / "tailrace.toml", command="up", stdin=subprocess.PIPE)
    server.process.stdin.write(b"password=hush-stdin\n")
    server.process.stdin.close()
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(b"<34>1 2026-11-20T08:00:00Z web su - - - password=hush-syslog\n")
    server.push(json.dumps({"message": "password=hush-message", "token": "hush-field"}).encode() + b"\n")
    server.push(b"password=hush-text\n", kind="text/plain")
    until(lambda: len(server.messages()) == 7)
    everything = {"path", "entry", "open", "stdin", "syslog", "message", "field", "text"}
    kept, counts = (everything, (0, 0)) if redact == "[]" else ({"open"}, (6, 1))
    assert (masked(server, "password"), masked(server, "token")) == counts
    assert {name for name in everything if on_disk(server, f"hush-{name}")} == kept
    server.stop()  # moves what is on the bus only into the store
    assert {name for name in everything if on_disk(server, f"hush-{name}")} == kept


def test_a_server_that_collects_nothing_masks_what_is_pushed(start):
    server = start(TAILRACE_COLLECT__REDACT="secrets,email")
    server.push(b"password=hunter2 for bob@tailrace.dev\n", kind="text/plain")
    assert server.messages() == ["password=[redacted:password] for b***@tailrace.dev"]
    assert (masked(server, "password"), masked(server, "email")) == (1, 1)


def test_what_is_masked_changes_with_the_file_for_files_and_pushes(start, tmp_path):
    config, log = tmp_path / "tailrace.toml", tmp_path / "a.log"
    entry = [f'path = "{log}"']
    rule = '[collect.rules.order]\npattern = "order (\\\\w+)"\nkeep = [1, 0]\n'
    log.write_text("file order A1\n")
    written(config, entry, head="[collect]\n" + rule)
    server = start("--config", config, command="up")
    server.push(b"push order A1\n", kind="text/plain")
    until(lambda: len(server.messages()) == 2)
    written(config, entry, head='[collect]\nredact = ["order"]\n' + rule)
    server.process.send_signal(signal.SIGHUP)
    applied(server, 0)
    server.push(b"push order B2\n", kind="text/plain")
    with log.open("a") as file:
        file.write("file order B2\n")
    until(lambda: len(server.messages()) == 4)
    assert sorted(server.messages()) == ["file order A1", "file order B*", "push order A1", "push order B*"]
    assert "the configuration has changed: what is masked" in server.log.read_text()
