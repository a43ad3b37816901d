"""The commands, as a person runs them."""

import json
import re
import subprocess
import sys

import pytest

from tailrace.cli.terminal import escape
from tests.apps.programs import tailrace


@pytest.fixture(scope="module", autouse=True)
def records(server):
    server.push(
        b'{"message":"first \\u001b[31mred","level":"error","service":"shop"}\n{"message":"second","service":"shop"}\n'
    )


def test_search_prints_records_with_control_characters_escaped(server):
    done = tailrace("search", "first", server=server)
    assert (done.returncode, b"\\e[31mred" in done.stdout, b"\x1b" in done.stdout) == (0, True, False)


def test_search_as_json_is_one_record_per_line(server):
    done = tailrace("search", "service:shop", "--output", "json", "--order", "oldest", server=server)
    assert [json.loads(line)["message"][:6] for line in done.stdout.splitlines()] == ["first ", "second"]


def test_search_as_csv_has_a_heading(server):
    done = tailrace("search", "second", "--output", "csv", server=server)
    assert done.stdout.splitlines()[0].startswith(b"time,level,service")


def test_a_wrong_query_has_a_caret_under_the_mistake(server):
    done = tailrace("search", "level:error and (", server=server)
    assert done.returncode == 2
    lines = done.stderr.decode().splitlines()
    assert lines[0] == "level:error and ("
    assert lines[1].lstrip().startswith("^")


def test_pipe_passes_through_and_ships(server):
    done = tailrace("pipe", "--service", "build", server=server, stdin=b"one\ntwo \xff\nno end")
    assert (done.returncode, done.stdout) == (0, b"one\ntwo \xff\nno end")
    assert server.messages(q="service:build")[0] == "one"
    assert server.messages(q="service:build")[-1] == "no end"


def test_status_and_streams_are_tables(server):
    assert b"records" in tailrace("status", server=server).stdout
    assert b"service=shop" in tailrace("streams", server=server).stdout


def test_an_absent_server_is_said_with_a_cure():
    done = tailrace("status", "--server", "http://127.0.0.1:1")
    assert (done.returncode, b"tailrace up" in done.stderr) == (1, True)


def test_check_prints_what_is_in_effect():
    done = tailrace("check", TAILRACE_STORE__RETAIN="7d")
    assert (done.returncode, b'retain = "7d"' in done.stdout) == (0, True)


def test_check_explains_which_files_each_entry_finds_and_what_is_left_out(tmp_path):
    for name in ("a.log", "b.log", "b.log.xz", "no.log"):
        (tmp_path / name).write_text("line\n")
    config = tmp_path / "tailrace.toml"
    entries = [
        f'path = "{tmp_path}/*.log*"\nexclude = ["no*"]\nredact = []',
        f'path = "{tmp_path}/a.log"',
        'path = "/nowhere"',
    ]
    config.write_text(
        '[collect]\nredact = ["secrets"]\n' + "".join(f"[[collect.entries]]\n{entry}\n" for entry in entries)
    )
    done = tailrace("check", config)
    assert done.returncode == 0
    said = done.stdout.decode()
    assert f"# {tmp_path}/*.log*: 2 files, 10 B\n#   {tmp_path}/a.log  (5 B)\n" in said
    assert f"left out, compressed in a way that is not read; gzip is: {tmp_path}/b.log.xz" in said
    assert f"left out, excluded: {tmp_path}/no.log" in said
    assert re.findall("redact: (.*)", said) == ["off, what is written is what is stored", "secrets", "secrets"]
    assert done.stderr.decode().splitlines() == [
        f"warning: {tmp_path}/a.log: 1 of its files belong to {tmp_path}/*.log*, which comes first",
        "warning: /nowhere: finds no file now",
    ]
    again = tmp_path / "again.toml"
    again.write_bytes(done.stdout)
    assert tailrace("check", again).stdout == done.stdout


@pytest.mark.parametrize(
    "text", ["[store]\nretian = '7d'\n", "[stor]\nretain = '7d'\n", "[store]\nretain = 'soon'\n", "["]
)
def test_check_refuses_what_it_does_not_know(tmp_path, text):
    (tmp_path / "tailrace.toml").write_text(text)
    done = tailrace("check", tmp_path / "tailrace.toml")
    assert (done.returncode, bool(done.stderr)) == (2, True)


def test_an_unknown_key_in_the_environment_has_a_suggestion():
    done = tailrace("check", TAILRACE_STORE__RETIAN="7d")
    assert (done.returncode, b"'retain'" in done.stderr) == (2, True)


def test_a_wrong_command_is_wrong_usage():
    assert tailrace("sarch").returncode == 2


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_names_every_command(shell):
    assert b"streams" in tailrace("completion", shell).stdout


def test_bash_completes_commands_options_and_their_values():
    script = tailrace("completion", "bash").stdout.decode()
    typed = {"ta": "tail", "tail --or": "--order", "tail --order ev": "event", "tail --ui": "--ui"}
    for words in (["tailrace", *line.split()] for line in typed):
        script += f"COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; _tailrace; echo ${{COMPREPLY[@]}}\n"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.split() == list(typed.values())


def test_the_help_of_tail_fits_a_small_terminal():
    shown = tailrace("tail", "--help", COLUMNS="80").stdout.decode().splitlines()
    assert len(shown) <= 24
    assert max(map(len, shown)) < 80


def test_the_client_commands_import_no_server():
    code = (
        "import sys; from tailrace.cli import search, pipe, status, streams, tail;"
        "heavy = ('pyarrow', 'numpy', 'starlette', 'uvicorn', 'msgspec', 're2', 'textual');"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert subprocess.check_output([sys.executable, "-c", code]).strip() == b"[]"


@pytest.mark.parametrize(
    ("text", "shown"), [("a\tb", "a\tb"), ("\x1b[2J", "\\e[2J"), ("\x9b", "\\x9b"), ("\u202e", "\\u202e")]
)
def test_escape_leaves_nothing_that_commands_a_terminal(text, shown):
    assert escape(text) == shown


def test_redact_shows_what_would_be_stored_and_counts_by_rule():
    done = tailrace("redact", stdin=b'a password=hunter2\n{"msg":"hi","token":"t1"}\n')
    assert done.stdout == b'a password=[redacted:password]\nhi  {"token":"[redacted:token]"}\n'
    assert [line.split() for line in done.stderr.splitlines()] == [[b"1", b"password"], [b"1", b"token"]]


def test_redact_tries_a_rule_of_ones_own_on_a_file(tmp_path):
    (tmp_path / "app.log").write_text("order ABCDEF now\n")
    done = tailrace("redact", "--rule", r"order=order (\w+)", "--keep", "1,2", tmp_path / "app.log")
    assert done.stdout == b"order A***EF now\n"


def test_redact_explains_a_rule_that_cannot_be():
    done = tailrace("redact", "--rule", "order=(?=x)", stdin=b"")
    assert (done.returncode, b"RE2 does not take this" in done.stderr) == (2, True)
