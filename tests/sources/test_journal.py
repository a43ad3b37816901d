"""journal: the export format, and a real journald of its own name space."""

import os
import shutil
import signal
import socket
import subprocess
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.bus.disk import DiskBus
from tailrace.pipeline import Pipeline
from tailrace.sources.journal import Journal, parse, record_of
from tests.apps.programs import until

JOURNALD = Path("/lib/systemd/systemd-journald")

VALUES = st.binary(max_size=40)
ENTRIES = st.lists(st.dictionaries(st.text("ABC_", min_size=1, max_size=5), VALUES, min_size=1), max_size=5)


def exported(entries):
    data = b""
    for entry in entries:
        for name, value in entry.items():
            if b"\n" in value:
                data += name.encode() + b"\n" + len(value).to_bytes(8, "little") + value + b"\n"
            else:
                data += name.encode() + b"=" + value + b"\n"
        data += b"\n"
    return data


@given(ENTRIES, st.integers(1, 30))
def test_entries_are_the_same_wherever_the_bytes_are_cut(entries, step):
    data, found, rest = exported(entries), [], b""
    for place in range(0, len(data), step):
        some, taken = parse(rest + data[place : place + step])
        rest = (rest + data[place : place + step])[taken:]
        found += some
    assert (found, rest) == (entries, b"")


def test_a_length_beyond_every_bound_is_an_error():
    with pytest.raises(ValueError, match="no field"):
        parse(b"MESSAGE\n" + b"\xff" * 8 + b"x")


def test_what_the_journal_knows_finds_its_place():
    entry = {
        "__CURSOR": b"c",
        "__REALTIME_TIMESTAMP": b"1795161600000000",
        "MESSAGE": b"hello",
        "PRIORITY": b"3",
        "_SYSTEMD_UNIT": b"nginx.service",
        "_HOSTNAME": b"web-1",
        "_PID": b"7",
    }
    assert record_of(entry) == {
        "timestamp": 1795161600000000,
        "message": "hello",
        "level": "3",
        "service": "nginx",
        "host": "web-1",
        "fields": {"_SYSTEMD_UNIT": "nginx.service", "_PID": "7"},
    }


def test_a_message_that_is_not_utf8_can_be_recovered():
    assert record_of({"MESSAGE": b"caf\xe9"})["fields"] == {"raw_base64": "Y2Fm6Q=="}


@pytest.fixture
def journald():
    """A journal daemon with a name space of its own; gives its name."""
    if os.geteuid() or not JOURNALD.exists() or shutil.which("journalctl") is None:
        pytest.skip("a journald of one's own needs root and systemd")
    name = f"tr{uuid.uuid4().hex[:8]}"
    process = subprocess.Popen([JOURNALD, name], stderr=subprocess.DEVNULL)
    run = Path(f"/run/systemd/journal.{name}")
    try:
        until((run / "socket").exists)
        yield name
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(10)
        shutil.rmtree(run, ignore_errors=True)
        for directory in (*Path("/var/log/journal").glob(f"*.{name}"), *Path("/run/log/journal").glob(f"*.{name}")):
            shutil.rmtree(directory)


def say(name, text, **fields):
    lines = {"MESSAGE": text, "PRIORITY": "3", "SYSLOG_IDENTIFIER": "shop", **fields}
    data = b"".join(
        key.encode() + b"\n" + len(value.encode()).to_bytes(8, "little") + value.encode() + b"\n"
        for key, value in lines.items()
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.sendto(data, f"/run/systemd/journal.{name}/socket")


def shop(bus):
    found = [record for batch in bus.read(bus.first, 1 << 30) for record in batch.records()]
    return [record for record in found if record.stream.labels.get("service") == "shop"]


def test_entries_of_a_real_journal_are_there_once_over_restarts(journald, tmp_path):
    wanted = []
    for life in range(3):
        bus = DiskBus(tmp_path / "bus")
        journal = Journal(bus, pipeline=Pipeline(), host="h", arguments=[f"--namespace={journald}"])
        journal.start()
        for number in range(3):
            wanted.append(f"life {life}\n  line {number}")
            say(journald, wanted[-1], ORDER=str(number))
        until(lambda b=bus: len(shop(b)) >= len(wanted))
        assert journal.status().state == "reading"
        journal.stop()
        wanted.append(f"while down {life}")
        say(journald, wanted[-1])
        bus.close()
    bus = DiskBus(tmp_path / "bus")
    journal = Journal(bus, pipeline=Pipeline(), host="h", arguments=[f"--namespace={journald}"])
    journal.start()
    until(lambda: len(shop(bus)) >= len(wanted))
    journal.stop()
    found = shop(bus)
    bus.close()
    assert [record.message for record in found] == wanted
    assert (found[1].level.name, found[1].fields["ORDER"]) == ("ERROR", "1")


def test_what_is_masked_of_a_journal_goes_from_message_and_fields(journald, tmp_path):
    bus = DiskBus(tmp_path / "bus")
    pipeline = Pipeline(redact=("secrets",))
    journal = Journal(bus, pipeline=pipeline, host="h", arguments=[f"--namespace={journald}"])
    journal.start()
    say(journald, "password=hunter2", API_TOKEN="t1", ORDER="7")
    until(lambda: shop(bus))
    journal.stop()
    (record,) = shop(bus)
    bus.close()
    assert record.message == "password=[redacted:password]"
    assert (record.fields["API_TOKEN"], record.fields["ORDER"]) == ("[redacted:token]", "7")
