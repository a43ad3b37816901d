"""The process as a whole: how it starts, what keeps it from starting, how it ends."""

import signal
import socket

from tests.apps.programs import tailrace, until


def test_the_last_line_is_the_address_of_the_page(start):
    server = start()
    assert server.said[-1].endswith(f"http://127.0.0.1:{server.port}")
    assert server.call("GET", "/readyz")[0] == 200


def test_what_was_acknowledged_is_there_after_a_kill(start):
    server = start()
    assert server.push(b'{"message":"survivor"}\n')[0] == 200
    server.stop(signal.SIGKILL)
    assert start().messages() == ["survivor"]


def test_a_stop_is_orderly_and_leaves_nothing_locked(start):
    server = start()
    server.push(b'{"message":"kept"}\n')
    assert server.stop() == 0
    assert start().messages() == ["kept"]
    assert "Traceback" not in server.log.read_text()


def test_a_locked_data_directory_names_the_other_process(start, tmp_path):
    server = start()
    done = tailrace("serve", "--data", server.directory, "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert f"process {server.process.pid}".encode() in done.stderr
    assert b"--data" in done.stderr


def test_a_port_in_use_is_said_with_a_cure(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        done = tailrace("serve", "--data", tmp_path / "data", "--listen", f"127.0.0.1:{other.getsockname()[1]}")
    assert done.returncode == 1
    assert b"--listen" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_data_directory_that_is_a_file_is_said(tmp_path):
    (tmp_path / "data").write_text("")
    done = tailrace("serve", "--data", tmp_path / "data", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert b"is not a directory" in done.stderr


def test_another_address_needs_a_token(tmp_path):
    done = tailrace("serve", "--data", tmp_path / "data", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert b"token" in done.stderr


def test_insecure_is_said_out_loud(start):
    assert "INSECURE" in start("--insecure").said[0]


def test_a_file_that_was_read_before_is_counted_when_it_is_followed_again(start, tmp_path):
    log = tmp_path / "app.log"
    log.write_text("first\n")
    server = start(log, command="up")
    until(lambda: server.messages() == ["first"])
    server.stop()
    assert "following 1 file " in start(log, command="up").said[-1]


def test_up_follows_what_is_named(start, tmp_path):
    log = tmp_path / "app.log"
    log.write_text("first\nsecond\n")
    server = start(log, command="up")
    assert "following 1 file " in server.said[-1]
    until(lambda: server.messages() == ["first", "second"])
    with log.open("a") as file:
        file.write("third\n")
    until(lambda: server.messages() == ["first", "second", "third"])
