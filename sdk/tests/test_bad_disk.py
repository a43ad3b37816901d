"""A full disk, no permission: the program goes on, what was lost is counted, what is in the files is whole."""

import os
import subprocess

import pytest

from tailrace_sdk import AsyncLogWriter, StdoutSink


def numbers(records):
    return [record["n"] for record in records if "n" in record]


def test_a_full_disk_loses_only_what_is_counted_and_leaves_whole_lines(small_disk, logged, capfd):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(512 * 1024))
    place = small_disk / "logs"
    accepted = 0
    with AsyncLogWriter(str(place), retry_interval=0.001, batch_size=50) as writer:
        while writer.get_stats()["errors"] < 500:
            accepted += writer.log_many({"n": accepted + n, "pad": "x" * 1000} for n in range(100))
            writer.flush()
        ballast.unlink()
        accepted += writer.log({"n": accepted})
        assert writer.flush()
        stats = writer.get_stats()
    found = logged(place)
    assert len(numbers(found)) == len(set(numbers(found))) == stats["written"]
    assert stats["written"] + stats["errors"] == stats["enqueued"] == accepted
    assert stats["queue_full_events"] == 0
    assert numbers(found)[-1] == accepted - 1
    said = [record for record in found if record.get("logger") == "tailrace_sdk"]
    assert sum(record["lost"] for record in said) == stats["errors"]
    assert "No space left" in said[-1]["message"]
    assert "No space left" in capfd.readouterr().err


def test_a_disk_that_has_room_again_in_time_loses_nothing(small_disk, logged, until):
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(900 * 1024))
    with AsyncLogWriter(str(small_disk / "logs"), retry_interval=0.05, max_retries=1000, batch_size=100) as writer:
        writer.log_many({"n": n, "pad": "x" * 1000} for n in range(200))
        until(lambda: writer.get_stats()["retries"])
        ballast.unlink()
        assert writer.flush(20)
        assert writer.get_stats()["errors"] == 0
    assert numbers(logged(small_disk / "logs")) == list(range(200))


LIMITED = """
import resource, sys
from tailrace_sdk import AsyncLogWriter, FileSink
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
writer = AsyncLogWriter(sinks=[FileSink(sys.argv[1])], retry_interval=0.001, max_retries=2)
for number in range(300):
    writer.log({"n": number, "pad": "x" * 1000})
writer.flush()
stats = writer.get_stats()
print(stats["written"], stats["errors"], stats["retries"], "File too large" in stats["last_error"])
"""


def test_of_a_batch_that_does_not_fit_the_lines_that_do_are_kept_and_counted(run, tmp_path, logged):
    written, errors, retries, said = run(LIMITED, tmp_path).stdout.decode().split()
    found = numbers(logged(tmp_path))
    assert found == list(range(int(written)))
    assert 90 < len(found) < 100
    assert (int(written) + int(errors), retries, said) == (300, "2", "True")


def test_a_device_that_is_always_full_is_counted(capfd):
    with open("/dev/full", "wb") as full, AsyncLogWriter(sinks=[StdoutSink(full.fileno())], max_retries=0) as writer:
        for number in range(100):
            assert writer.log({"n": number})
        writer.flush()
        assert writer.get_stats()["errors"] == 100
    assert "No space left" in capfd.readouterr().err


PROGRAM = """
import os, sys
from tailrace_sdk import AsyncLogWriter
os.setuid(65534)
writer = AsyncLogWriter(sys.argv[1], retry_interval=0.01)
for number in range(100):
    writer.log({"n": number})
writer.flush()
stats = writer.get_stats()
print(stats["enqueued"], stats["errors"], "Permission denied" in stats["last_error"])
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become nobody")
def test_a_directory_that_may_not_be_written_is_said_and_counted(tmp_path, begin):
    import sys

    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    code = f"import sys; sys.path[:0] = {sys.path!r}\n" + PROGRAM
    done = subprocess.run([sys.executable, "-c", code, closed / "logs"], capture_output=True, timeout=60, check=True)
    assert done.stdout == b"100 100 True\n", done.stderr
