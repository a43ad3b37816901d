"""A call has an answer within its time, or fails; nothing that was half read is taken for an answer."""

import socket
import threading
from contextlib import contextmanager

import pytest

from tailrace.errors import ConfigError
from tailrace.ship import connection as connection_module
from tailrace.ship.connection import Again, Connection, Failed, Server, retry_after_s
from tests.cli.test_pipe import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextmanager
def answering(*answers):
    """Answer each connection with the next of these pieces, one per request, then close it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        for pieces in answers:
            one, _ = listener.accept()
            with one:
                for piece in pieces:
                    if not one.recv(65_536):
                        break
                    one.sendall(piece)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    connection = Connection(Server(f"http://127.0.0.1:{listener.getsockname()[1]}"))
    try:
        yield connection
    finally:
        connection.close()
        thread.join(10)
        listener.close()


def test_a_connection_is_kept_between_calls():
    with answering([OK, OK]) as connection:
        assert [connection.call("GET", "/").body for _ in range(2)] == [b"ok", b"ok"]


def test_a_chunked_answer_is_read_whole():
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
    with answering([chunked, OK]) as connection:
        assert [connection.call("GET", "/").body for _ in range(2)] == [b"ok", b"ok"]


def test_a_kept_connection_that_was_closed_is_not_used_again_without_asking():
    with answering([OK], [OK]) as connection:
        connection.call("GET", "/")
        with pytest.raises(Again):
            connection.call("POST", "/", b"x", media="a/b")
        assert connection.call("GET", "/").status == 200


@pytest.mark.parametrize(
    "said",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\no",
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n" + b"x" * 100_000,
        b"220 mail.example.com ESMTP\r\n",
        b"\0" * 100,
        b"",
    ],
)
def test_what_is_no_whole_answer_fails(said):
    with answering([said]) as connection, pytest.raises(Failed):
        connection.call("GET", "/")


def test_bytes_behind_an_answer_are_not_taken_for_the_next():
    with answering([OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], [OK]) as connection:
        assert [connection.call("GET", "/").body for _ in range(2)] == [b"ok", b"ok"]


def test_an_endless_row_of_continues_has_a_deadline(monkeypatch):
    monkeypatch.setattr(connection_module, "SHIP_CALL_S_MAX", 0.5)
    with answering([b"HTTP/1.1 100 Continue\r\n\r\n" * 100, OK]) as connection, pytest.raises(Failed):
        connection.call("GET", "/")


def test_nobody_there_fails_with_the_reason():
    with pytest.raises(Failed, match="refused"):
        Connection(Server(f"http://127.0.0.1:{free_port()}")).call("GET", "/")


def test_the_token_is_read_anew_and_what_is_none_is_never_sent(tmp_path):
    file = tmp_path / "token"
    server = Server("http://a", token_file=str(file))
    with pytest.raises(Failed):
        server.token()
    file.write_text("one\n")
    assert server.token() == "one"
    file.write_text("two\r\nHost: elsewhere\n")
    with pytest.raises(Failed):
        server.token()


@pytest.mark.parametrize("url", ["", "logs", "ftp://a", "http://", "http://a:99999", "http://u:p@a", "http://a/?q"])
def test_what_is_not_an_address_is_said_at_once(url):
    with pytest.raises(ConfigError):
        Server(url)


@pytest.mark.parametrize(
    ("url", "exposed"),
    [("http://127.0.0.1:1", False), ("http://[::1]:1", False), ("http://logs", True), ("https://logs", False)],
)
def test_an_address_that_others_can_listen_to_is_known(url, exposed):
    assert Server(url).exposed is exposed


@pytest.mark.parametrize(
    ("value", "date", "seconds"),
    [
        (None, None, 0),
        ("7", None, 7),
        ("Sat, 21 Nov 2026 08:00:07 GMT", "Sat, 21 Nov 2026 08:00:00 GMT", 7),
        ("Sat, 21 Nov 2026 08:00:07 GMT", "Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("soon", None, 0),
        ("-1", None, 0),
    ],
)
def test_how_long_a_server_wants_to_be_left_alone(value, date, seconds):
    assert retry_after_s(value, date) == seconds
