"""Forks, pools, ends of every kind: what was logged is written once, and what is lost is what the guide says."""

import gzip
import os
import signal
import sys

import pytest

from tailrace_sdk import AsyncLogWriter

LOGGING = """
import os, sys, threading, time
from tailrace_sdk import AsyncLogWriter, RealtimeLogger, get_realtime_logger
writer = RealtimeLogger(sys.argv[1], max_queue_size=100_000)
"""


def ns(records, who=None):
    return [record["n"] for record in records if who is None or record["who"] == who]


def test_parent_and_child_of_a_fork_log_each_its_own_once(run, tmp_path, logged):
    run(
        LOGGING
        + """
for n in range(2000): writer.log({"who": "parent", "n": n})
child = os.fork()
who = "parent" if child else "child"
for n in range(2000, 4000): writer.log({"who": who, "n": n})
if child:
    assert os.waitpid(child, 0)[1] == 0
else:
    assert writer.get_stats()["enqueued"] == 2000
""",
        tmp_path,
    )
    records = logged(tmp_path)
    assert ns(records, "parent") == list(range(4000))
    assert ns(records, "child") == list(range(2000, 4000))


def test_a_fork_in_the_middle_of_everything_stops_nobody(run, tmp_path, logged):
    run(
        LOGGING
        + """
def busy():
    for n in range(20_000): writer.log({"who": "parent", "n": n})
threads = [threading.Thread(target=busy) for _ in range(2)]
for thread in threads: thread.start()
for child in range(20):
    if os.fork() == 0:
        for n in range(100): writer.log({"who": child, "n": n})
        assert writer.shutdown()
        os._exit(0)
for _ in range(20): assert os.wait()[1] == 0
for thread in threads: thread.join()
""",
        tmp_path,
    )
    records = logged(tmp_path)
    assert sorted(ns(records, "parent")) == sorted([*range(20_000), *range(20_000)])
    assert all(ns(records, child) == list(range(100)) for child in range(20))


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_write_all_they_logged(begin, tmp_path, logged, method):
    program = tmp_path / "program.py"
    program.write_text(
        """
import multiprocessing, sys
from tailrace_sdk import get_realtime_logger

def work(who):
    for n in range(500): get_realtime_logger().log({"who": who, "n": n})

if __name__ == "__main__":
    get_realtime_logger().log({"who": "parent", "n": 0})
    context = multiprocessing.get_context(sys.argv[1])
    processes = [context.Process(target=work, args=(who,)) for who in range(3)]
    for process in processes: process.start()
    for process in processes: process.join()
    with context.Pool(2) as pool:
        pool.map(work, range(3, 7), chunksize=1)
        pool.close()
        pool.join()
"""
    )
    process = begin(sys.executable, program, method, TAILRACE_LOG_DIR=str(tmp_path / "logs"))
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said.decode()
    records = logged(tmp_path / "logs")
    assert all(ns(records, who) == list(range(500)) for who in range(7))
    assert ns(records, "parent") == [0]


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "threading.Thread(target=lambda: writer.log({'n': 5000})).start()"])
def test_what_was_logged_when_the_interpreter_ends_is_written(run, tmp_path, logged, end):
    run(LOGGING + "for n in range(5000): writer.log({'n': n})\n" + end, tmp_path)
    assert ns(logged(tmp_path))[:5000] == list(range(5000))
    assert len(logged(tmp_path)) == (5001 if "Thread" in end else 5000)


EXIT = """
import atexit, sys
@atexit.register
def last():
    writer.log({"n": 2})
    log.warning("3", extra={"n": 3})
    writer.log(object())
import logging
from tailrace_sdk import AsyncLogWriter, FileSink, RealtimeHandler, ServerSink
sinks = [FileSink(sys.argv[1]), ServerSink("http://127.0.0.1:1", spool_dir=sys.argv[2])]
writer = AsyncLogWriter(sinks=sinks)
log = logging.getLogger("shop")
log.addHandler(RealtimeHandler(writer))
writer.log({"n": 1})
"""


def test_what_is_logged_after_everything_was_written_is_written_too(run, tmp_path, logged):
    said = run(EXIT, tmp_path / "logs", tmp_path / "spool")
    assert said.stderr == b""
    records = logged(tmp_path / "logs")
    assert [record.get("n") for record in records] == [1, 2, 3, None]
    pushes = sorted((tmp_path / "spool").rglob("*.gz"))
    assert b"".join(gzip.decompress(path.read_bytes()) for path in pushes).count(b"\n") == 4


def test_what_was_logged_before_an_exception_ends_the_program_is_written(run, tmp_path, logged):
    run(LOGGING + "for n in range(5000): writer.log({'n': n})\nraise SystemExit(3)", tmp_path, code=3)
    assert ns(logged(tmp_path)) == list(range(5000))


def test_os_exit_loses_at_most_the_queue_and_nothing_after_a_flush(run, tmp_path, logged):
    run(
        LOGGING
        + """
for n in range(1000): writer.log({"n": n})
assert writer.flush()
for n in range(1000, 2000): writer.log({"n": n})
os._exit(0)
""",
        tmp_path,
    )
    found = ns(logged(tmp_path))
    assert found == list(range(len(found)))
    assert 1000 <= len(found) <= 2000


KILLED = """
import mmap, os, sys
from tailrace_sdk import AsyncLogWriter
writer = AsyncLogWriter(sys.argv[1], max_queue_size=2000, batch_size=500)
with open(sys.argv[2], "r+b") as file:
    told = mmap.mmap(file.fileno(), 8)
n = 0
while True:
    while not writer.log({"n": n}):
        pass
    n += 1
    told[:8] = n.to_bytes(8, "little")
"""


def test_a_kill_loses_at_most_the_queue_and_the_batch_in_hand(begin, tmp_path, until):
    told = tmp_path / "told"
    for number in range(3):
        told.write_bytes(bytes(8))
        place = tmp_path / f"logs{number}"
        process = begin(sys.executable, "-c", KILLED, place, told)
        until(lambda: int.from_bytes(told.read_bytes(), "little") > 30_000)
        process.kill()
        process.wait()
        logged_records = int.from_bytes(told.read_bytes(), "little")
        whole = b"".join(path.read_bytes() for path in place.glob("*.jsonl")).rpartition(b"\n")[0].count(b'"n":')
        assert logged_records - (2000 + 500) <= whole <= logged_records + 1


def test_a_process_that_is_killed_with_the_lock_does_not_keep_it_through_its_children(begin, tmp_path, logged):
    program = """
import os, sys, time
from tailrace_sdk import AsyncLogWriter
from tailrace_sdk.lock import locked
writer = AsyncLogWriter(sys.argv[1])
writer.log({"n": 0})
writer.flush()
with locked(os.path.join(sys.argv[1], ".realtime.lock"), 1):
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        time.sleep(60)
    os.kill(os.getpid(), 9)
"""
    process = begin(sys.executable, "-c", program, tmp_path)
    child = int(process.stdout.readline())
    try:
        process.wait()
        with AsyncLogWriter(str(tmp_path), retry_interval=0.01) as writer:
            writer.log({"n": 1})
            assert writer.flush()
            assert writer.get_stats()["retries"] == 0
    finally:
        os.kill(child, signal.SIGKILL)
    assert ns(logged(tmp_path)) == [0, 1]


def test_a_handled_signal_ends_a_program_that_wrote_everything(begin, tmp_path, logged):
    program = (
        LOGGING
        + """
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for n in range(5000): writer.log({"n": n})
print("ready", flush=True)
time.sleep(60)
"""
    )
    process = begin(sys.executable, "-c", program, tmp_path)
    process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert ns(logged(tmp_path)) == list(range(5000))


def test_an_event_loop_logs_without_being_held_up(run, tmp_path, logged):
    run(
        LOGGING
        + """
import asyncio
async def task(who):
    for n in range(200):
        writer.log({"who": who, "n": n})
        await asyncio.sleep(0)
async def main():
    await asyncio.gather(*map(task, range(20)))
    await asyncio.get_running_loop().run_in_executor(None, writer.flush)
asyncio.run(main(), debug=True)
""",
        tmp_path,
    )
    records = logged(tmp_path)
    assert all(ns(records, who) == list(range(200)) for who in range(20))


PROCESS = """
import sys, threading
from tailrace_sdk import AsyncLogWriter, FileSink
place, process, threads, records = sys.argv[1], *map(int, sys.argv[2:])
writer = AsyncLogWriter(sinks=[FileSink(place, file_bytes_max=200_000, compress_after_s=0)], block_s=60)
def work(thread):
    for n in range(records):
        writer.log({"process": process, "thread": thread, "n": n})
all_threads = [threading.Thread(target=work, args=(thread,)) for thread in range(threads)]
for thread in all_threads: thread.start()
for thread in all_threads: thread.join()
assert writer.shutdown(60)
stats = writer.get_stats()
assert (stats["written"], stats["errors"], stats["queue_full_events"]) == (threads * records, 0, 0), stats
"""


def test_many_threads_of_many_processes_with_rotation_write_each_record_once(begin, tmp_path, logged):
    processes, threads, count = 4, 8, 5_000  # bench/sdk.py does it with 100,000
    begun = [begin(sys.executable, "-c", PROCESS, tmp_path, number, threads, count) for number in range(processes)]
    for process in begun:
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
    found = {}
    for record in logged(tmp_path):
        found.setdefault((record["process"], record["thread"]), []).append(record["n"])
    assert len(found) == processes * threads
    assert all(numbers == list(range(count)) for numbers in found.values())
    assert len(list(tmp_path.glob("*.jsonl*"))) > 5
