"""syslog: real sockets, real openssl, and the framing of RFC 6587."""

import contextlib
import socket
import ssl
import subprocess
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.bus.disk import DiskBus
from tailrace.errors import ConfigError, DiskFull, Refused
from tailrace.limits import SYSLOG_MESSAGE_BYTES_MAX
from tailrace.pipeline import Pipeline
from tailrace.sources.syslog import Address, Frames, Syslog
from tests.apps.programs import until


@pytest.fixture
def bus(tmp_path):
    made = DiskBus(tmp_path / "bus")
    yield made
    made.close()


@contextlib.contextmanager
def listening(bus, *addresses, **options):
    syslog = Syslog(bus, addresses, pipeline=Pipeline(), **options)
    syslog.start()
    try:
        yield syslog
    finally:
        syslog.stop()


def records(bus, count):
    until(lambda: bus.next.offset >= count)
    return [record for batch in bus.read(bus.first, 1 << 30) for record in batch.records()]


def send(address, data):
    with socket.create_connection((address.host, address.port)) as connection:
        connection.sendall(data)


def test_a_datagram_becomes_a_record_with_time_level_host_and_service(bus):
    with listening(bus, "udp://127.0.0.1:0") as syslog:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.sendto(
                b"<34>1 2026-11-20T08:00:00Z web-1 su - - - failed\n", ("127.0.0.1", syslog.addresses[0].port)
            )
        (record,) = records(bus, 1)
    assert record.message == "<34>1 2026-11-20T08:00:00Z web-1 su - - - failed"
    assert (record.level.name, record.time_ns) == ("FATAL", 1795161600 * 10**9)
    assert {**record.stream.labels} == {"source": "syslog", "host": "web-1", "service": "su"}


def test_messages_over_tcp_end_with_a_newline_or_are_counted(bus):
    with listening(bus, "tcp://127.0.0.1:0") as syslog:
        send(syslog.addresses[0], b"<1>one\n<1>two\r\n9 <1>a\nb c\n<1>last")
        found = [record.message for record in records(bus, 4)]
    assert found == ["<1>one", "<1>two", "<1>a\nb c", "<1>last"]


def test_what_was_received_before_the_stop_is_kept(bus):
    with (
        listening(bus, "tcp://127.0.0.1:0") as syslog,
        socket.create_connection(("127.0.0.1", syslog.addresses[0].port)) as one,
    ):
        one.sendall(b"<1>x\n" * 1000)
        until(lambda: bus.next.offset > 0)
    assert bus.next.offset == 1000


def test_messages_over_tls_need_the_certificate_and_arrive(bus, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    trusting = ssl.create_default_context(cafile=str(cert))
    with listening(bus, "tls://127.0.0.1:0", certificate=str(cert), key=str(key)) as syslog:
        address = ("127.0.0.1", syslog.addresses[0].port)
        with trusting.wrap_socket(socket.create_connection(address), server_hostname="127.0.0.1") as secret:
            secret.sendall(b"8 <1>hello")
            assert [record.message for record in records(bus, 1)] == ["<1>hello"]


def test_a_certificate_that_cannot_be_read_is_a_config_error(bus, tmp_path):
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    with pytest.raises(ConfigError, match="cannot be used"):
        Syslog(bus, ["tls://127.0.0.1:0"], pipeline=Pipeline(), certificate=str(cert), key=str(key))


def test_a_frame_that_is_none_ends_the_connection_and_is_told(bus):
    with listening(bus, "tcp://127.0.0.1:0") as syslog:
        send(syslog.addresses[0], b"123456789012 what")
        assert "cannot begin" in until(lambda: syslog.status().error)


def test_senders_wait_while_the_bus_has_no_room(bus):
    class Full:
        room = threading.Event()

        def append(self, batch):
            if not self.room.is_set():
                raise DiskFull("no room")
            return bus.append(batch)

    full = Full()
    with listening(full, "tcp://127.0.0.1:0") as syslog:
        send(syslog.addresses[0], b"<1>x\n" * 100)
        assert until(lambda: syslog.status().error) == "no room"
        full.room.set()
        assert len(records(bus, 100)) == 100
        until(lambda: not syslog.status().error)


def test_datagrams_that_the_kernel_dropped_are_counted(bus):
    class Slow:
        room = threading.Event()

        def append(self, batch):
            assert self.room.wait(20)
            return bus.append(batch)

    slow, sent = Slow(), 0
    with listening(slow, "udp://127.0.0.1:0") as syslog:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            address = ("127.0.0.1", syslog.addresses[0].port)
            size = syslog.receive_buffer_bytes
            while sent * 1000 < 2 * size:
                sender.sendto(b"<1>" + b"x" * 1000, address)
                sent += 1
        slow.room.set()
        until(lambda: bus.next.offset + syslog.status().lost == sent)
        assert "had to drop" in syslog.status().error


def test_an_address_that_is_taken_is_refused_with_a_cure(bus):
    with listening(bus, "tcp://127.0.0.1:0") as syslog, pytest.raises(Refused, match="cannot listen"):
        Syslog(bus, [str(syslog.addresses[0])], pipeline=Pipeline())


@pytest.mark.parametrize("text", ["514", "udp://", "udp://host", "http://a:1", "udp://a:x", "udp://a:1/path"])
def test_an_address_that_is_none_is_a_config_error(text):
    with pytest.raises(ConfigError, match="no address"):
        Address.parse(text)


MESSAGES = st.lists(
    st.binary(min_size=1, max_size=20).map(
        lambda text: b"<1>" + text.replace(b"\n", b"_").replace(b"\0", b"_").replace(b"\r", b"_")
    )
)


@given(MESSAGES, st.lists(st.booleans(), min_size=1), st.lists(st.integers(1, 7), min_size=1))
def test_frames_are_the_same_wherever_the_bytes_are_cut(messages, counted, cuts):
    data = b"".join(
        b"%d %b" % (len(message), message) if counted[place % len(counted)] else message + b"\n"
        for place, message in enumerate(messages)
    )
    frames, found, place = Frames(), [], 0
    while place < len(data):
        step = cuts[place % len(cuts)]
        found += frames.feed(data[place : place + step])
        place += step
    assert found + frames.end() == messages


@pytest.mark.parametrize("head", [b"", b"%d " % (SYSLOG_MESSAGE_BYTES_MAX + 3)])
def test_a_message_that_is_too_long_goes_on_as_the_next(head):
    frames = Frames()
    found = frames.feed(head + b"<" + b"x" * (SYSLOG_MESSAGE_BYTES_MAX + 2) + (b"" if head else b"\n"))
    assert [len(message) for message in found] == [SYSLOG_MESSAGE_BYTES_MAX, 3]
