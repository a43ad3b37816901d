"""A data directory that cannot be used, a full disk, and damaged bytes: said with a cure, and nothing more is lost."""

import os
import random
import subprocess

import pyarrow.parquet as pq
import pytest

from tailrace.limits import DISK_FREE_BYTES_MIN, KIB, MIB
from tests.apps.programs import tailrace, until


@pytest.fixture
def small_disk(tmp_path):
    """A disk of its own, a little larger than what the bus leaves free."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk")
    size = f"size={DISK_FREE_BYTES_MIN + 32 * MIB}"
    if subprocess.run(
        ["mount", "-t", "tmpfs", "-o", size, "tmpfs", place], capture_output=True, check=False
    ).returncode:
        pytest.skip("this machine does not let us mount a disk")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


def fill(place):
    """Leave less room than the bus wants."""
    room = os.statvfs(place)
    ballast = place / "ballast"
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - DISK_FREE_BYTES_MIN - 64 * KIB))
    return ballast


def read_only(place, *, on):
    mode = "ro" if on else "rw"
    subprocess.run(["mount", "-o", f"remount,{mode}", place], check=True)


def problems(server):
    return " ".join(server.get("/api/v1/status")["problems"])


def test_a_push_to_a_full_disk_is_refused_with_a_cure_and_taken_once_there_is_room(start, small_disk):
    server = start(name="disk/data")
    assert server.push(b'{"message":"before"}\n')[0] == 200
    ballast = fill(small_disk)
    body = b"".join(b'{"message":"line %d"}\n' % number for number in range(50_000))
    status, answer = server.push(body, Idempotency_Key="full")
    assert (status, bool(answer["cure"])) == (507, True)
    assert "cannot be written" in problems(server)
    assert b"tailrace_problems 1.0" in server.call("GET", "/metrics")[2]
    ballast.unlink()
    assert server.push(body, Idempotency_Key="full")[1]["accepted"] == 50_000
    assert server.messages() == ["before", *(f"line {number}" for number in range(50_000))]
    assert problems(server) == ""


def test_followed_files_wait_for_room_and_arrive_once(start, small_disk, tmp_path):
    log = tmp_path / "app.log"
    log.write_text("first\n")
    server = start(log, command="up", name="disk/data")
    until(lambda: server.messages() == ["first"])
    ballast = fill(small_disk)
    lines = [f"line {number} {'x' * 100}" for number in range(50_000)]
    with log.open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))
    until(lambda: "cannot be written" in problems(server))
    assert server.call("GET", "/healthz")[0] == 200
    ballast.unlink()
    until(lambda: len(server.messages()) > len(lines))
    assert server.messages() == ["first", *lines]


def test_what_was_acknowledged_before_the_disk_was_full_is_there_after_a_kill(start, small_disk):
    server = start(name="disk/data")
    accepted = 0
    fill(small_disk)
    while server.push(b'{"message":"%d %s"}\n' % (accepted, random.randbytes(8 * KIB).hex().encode()))[0] == 200:
        accepted += 1
    server.stop(9)
    (small_disk / "ballast").unlink()
    assert [text.split()[0] for text in start(name="disk/data").messages()] == [str(n) for n in range(accepted)]


def test_a_read_only_directory_is_said_with_a_cure(small_disk):
    read_only(small_disk, on=True)
    done = tailrace("serve", "--data", small_disk / "data", "--listen", "127.0.0.1:0")
    assert done.returncode == 1
    assert b"--data" in done.stderr
    assert b"Traceback" not in done.stderr


def test_a_disk_that_becomes_read_only_and_writable_again_costs_nothing(start, small_disk):
    (small_disk / "sub").mkdir()
    server = start(name="disk/data")
    server.push(b'{"message":"before"}\n')
    server.stop()
    read_only(small_disk, on=True)
    done = tailrace("serve", "--data", server.directory, "--listen", "127.0.0.1:0")
    assert (done.returncode, b"Traceback" in done.stderr, b"cannot" in done.stderr) == (1, False, True)
    read_only(small_disk, on=False)
    assert start(name="disk/data").messages() == ["before"]


# -- damage -------------------------------------------------------------------------------------------------------


def flip(path):
    """Change some bytes in the middle of a file; of a part's rows, those that hold messages."""
    data = bytearray(path.read_bytes())
    at = len(data) // 2
    if path.suffix == ".parquet":
        message = pq.read_metadata(path).row_group(0).column(pq.read_schema(path).get_field_index("message"))
        at = message.data_page_offset + message.total_compressed_size // 2
    data[at : at + 8] = bytes(byte ^ 0xFF for byte in data[at : at + 8])
    path.write_bytes(data)


def two_parts(start):
    """Make a data directory with two parts, by stopping twice."""
    for number in range(2):
        server = start()
        server.push(b"".join(b'{"message":"part %d line %d"}\n' % (number, line) for line in range(1000)))
        server.stop()
    return sorted((server.directory / "store").glob("*-*-*"), key=lambda path: int(path.name.split("-")[1]))


@pytest.mark.parametrize("name", ["data.parquet", "tokens", "part.json"])
def test_a_damaged_part_is_said_and_the_rest_is_found(start, name):
    first, _ = two_parts(start)
    flip(first / name)
    server = start()
    until(lambda: server.call("GET", "/api/v1/search", {"q": '"part 0"'})[0] == 200)
    assert server.messages(q='"part 1"') == [f"part 1 line {line}" for line in range(1000)]
    until(lambda: first.name in problems(server))
    assert (first.parent / "damaged" / first.name).is_dir()
    assert "Traceback" not in server.log.read_text()


def test_a_damaged_part_is_said_by_the_commands_and_when_it_starts(start):
    first, _ = two_parts(start)
    (first / "data.parquet").write_bytes((first / "data.parquet").read_bytes()[:-100])
    server = start()
    assert any(line.startswith("PROBLEM: ") and first.name in line for line in server.said)
    assert first.name.encode() in tailrace("status", server=server).stdout


def test_a_damaged_manifest_costs_nothing(start):
    first, _ = two_parts(start)
    flip(first.parent / "manifest")
    server = start()
    assert len(server.messages()) == 2000
    assert "manifest" in problems(server)


def test_a_damaged_frame_of_the_bus_costs_its_own_records_and_is_said(start):
    server = start()
    for number in range(3):
        server.push(b"".join(b'{"message":"push %d line %d"}\n' % (number, line) for line in range(100)))
    server.stop(9)
    (segment,) = (server.directory / "bus").glob("*.seg")
    flip(segment)
    server = start()
    found = server.messages()
    assert {text.split()[1] for text in found} == {"0", "2"}
    assert len(found) == 200
    assert "100 records" in problems(server)
    assert b"tailrace_damaged_records 100.0" in server.call("GET", "/metrics")[2]


def test_a_torn_end_of_the_bus_is_cut_off_and_the_log_goes_on(start):
    server = start()
    server.push(b'{"message":"whole"}\n')
    server.stop(9)
    (segment,) = (server.directory / "bus").glob("*.seg")
    with segment.open("ab") as file:
        file.write(segment.read_bytes()[-100:-40])
    server = start()
    server.push(b'{"message":"after"}\n')
    assert server.messages() == ["whole", "after"]


def test_kills_while_parts_are_merged_lose_and_double_nothing(start):
    for number in range(6):
        server = start()
        server.push(b"".join(b'{"message":"part %d line %d"}\n' % (number, line) for line in range(3000)))
        server.stop()
    for _ in range(3):
        server = start()
        until(lambda: server.call("GET", "/healthz")[0] == 200)  # noqa: B023 - it is called in this turn
        server.stop(9)
    wanted = [f"part {number} line {line}" for number in range(6) for line in range(3000)]
    server = start()
    until(lambda: server.get("/api/v1/status")["parts"] == 1)
    assert server.messages() == wanted
