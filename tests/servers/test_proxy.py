"""What a proxy is told to do happens."""

import socket
import threading

import pytest


@pytest.fixture
def echo():
    """The port of a server that says what it hears."""

    def accept():
        while True:
            try:
                one, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(one,), daemon=True).start()

    def answer(one):
        with one:
            while data := one.recv(65_536):
                one.sendall(data)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def said_back(connection, data):
    """Say something, and return what comes back."""
    connection.sendall(data)
    heard = b""
    while len(heard) < len(data) and (more := connection.recv(65_536)):
        heard += more
    return heard


def broken(connection):
    """Say whether a connection has ended, in order or not."""
    connection.settimeout(20)
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("mode", ["pass", "late", "narrow", "slow", "trickle"])
def test_what_is_only_slow_arrives_whole(proxy, echo, mode):
    between = proxy(echo)
    between.bytes_per_s = 5_000
    between.turn(mode)
    data = bytes(range(20)) * (50 if mode == "narrow" else 1)
    with socket.create_connection(between.address, 20) as connection:
        assert said_back(connection, data) == data


def test_a_connection_that_is_cut_has_passed_what_came_before(proxy, echo):
    between = proxy(echo)
    between.cut_bytes = 5
    between.turn("cut")
    with socket.create_connection(between.address, 20) as connection:
        assert b"abcde".startswith(said_back(connection, b"abcdefgh"))


def test_a_hole_keeps_connections_open_and_swallows_what_they_carry(proxy, echo):
    between = proxy(echo)
    with socket.create_connection(between.address, 20) as before:
        assert said_back(before, b"here") == b"here"
        between.turn("hole")
        with socket.create_connection(between.address, 20) as since:
            for connection in (before, since):
                connection.settimeout(0.1)
                with pytest.raises(TimeoutError):
                    said_back(connection, b"anybody?")
        between.turn("pass")
        assert broken(before)


def test_who_is_refused_finds_the_same_address_again(proxy, echo):
    between = proxy(echo)
    between.turn("refuse")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(between.address, 20)
    between.turn("pass")
    with socket.create_connection(between.address, 20) as connection:
        assert said_back(connection, b"again") == b"again"
