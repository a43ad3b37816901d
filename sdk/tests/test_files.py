"""Files of whole lines, one a day, shared by everybody."""

import os
import time
from pathlib import Path

import pytest

from tailrace_sdk import AsyncLogWriter, FileSink, LogReader
from tailrace_sdk.files import files_of

DAY_S = 86_400


def names(place):
    return [os.path.basename(path) for path in files_of(str(place), "realtime")]


def everything(place):
    return b"".join(Path(path).read_bytes() for path in files_of(str(place), "realtime"))


def line(number):
    return b'{"n":%d}\n' % number


def test_the_directory_is_made_with_the_first_write(tmp_path):
    sink = FileSink(str(tmp_path / "a" / "b"))
    assert not (tmp_path / "a").exists()
    sink.write(line(1), 1)
    assert names(tmp_path / "a" / "b") == [f"realtime-{time.strftime('%Y-%m-%d')}.jsonl"]


def test_every_day_has_its_file(tmp_path, monkeypatch):
    sink = FileSink(str(tmp_path))
    for day in ("2026-11-20", "2026-11-21"):
        monkeypatch.setattr("tailrace_sdk.files.time.strftime", lambda _, day=day: day)
        sink.write(line(1), 1)
    assert names(tmp_path) == ["realtime-2026-11-20.jsonl", "realtime-2026-11-21.jsonl"]


def test_a_full_file_is_set_aside_under_the_next_number(tmp_path):
    sink = FileSink(str(tmp_path), file_bytes_max=20)
    for number in range(6):
        sink.write(line(number), 1)
    day = time.strftime("%Y-%m-%d")
    assert names(tmp_path) == [f"realtime-{day}.1.jsonl", f"realtime-{day}.2.jsonl", f"realtime-{day}.jsonl"]
    assert everything(tmp_path) == b"".join(map(line, range(6)))


def test_two_writers_of_one_file_follow_each_other_when_it_is_set_aside(tmp_path):
    one, other = FileSink(str(tmp_path), file_bytes_max=100), FileSink(str(tmp_path), file_bytes_max=100)
    for number in range(0, 50, 2):
        one.write(line(number), 1)
        other.write(line(number + 1), 1)
    found = everything(tmp_path)
    assert found == b"".join(map(line, range(50)))


@pytest.mark.parametrize("how", ["remove", "rename"])
def test_a_file_that_somebody_took_away_is_made_again(tmp_path, how):
    sink = FileSink(str(tmp_path))
    sink.write(line(1), 1)
    (path,) = files_of(str(tmp_path), "realtime")
    os.unlink(path) if how == "remove" else os.rename(path, tmp_path / "moved")
    sink.write(line(2), 1)
    assert Path(path).read_bytes() == line(2)


def test_a_directory_that_was_removed_is_made_again(tmp_path):
    sink = FileSink(str(tmp_path / "logs"))
    sink.write(line(1), 1)
    for path in (tmp_path / "logs").iterdir():
        path.unlink()
    (tmp_path / "logs").rmdir()
    sink.write(line(2), 1)
    assert len(names(tmp_path / "logs")) == 1


@pytest.mark.parametrize("torn", [b'{"n":', b"x" * 200_000])
def test_the_torn_line_of_a_killed_process_is_cut_off(tmp_path, torn):
    sink = FileSink(str(tmp_path))
    sink.write(line(1), 1)
    (path,) = files_of(str(tmp_path), "realtime")
    with open(path, "ab") as file:
        file.write(torn)
    sink.write(line(2), 1)
    assert Path(path).read_bytes() == line(1) + line(2)


def test_tailrace_follows_them_while_they_are_set_aside(tmp_path, begin_tailrace, until):
    place = tmp_path / "logs"
    place.mkdir()
    server = begin_tailrace("up", place / "*.jsonl")
    sink = FileSink(str(place), file_bytes_max=50_000, compress_after_s=None)
    with AsyncLogWriter(sinks=[sink], fields={"service": "shop"}, batch_size=100) as writer:
        for number in range(3000):
            writer.log({"level": "warning", "message": f"line {number}", "trace_id": "abc", "order": number})
        assert writer.flush()
    assert len(files_of(str(place), "realtime")) > 3
    reader = LogReader(server=server.url)
    until(lambda: len(list(reader.records())) >= 3000)
    found = list(reader.records())
    assert sorted(record["order"] for record in found) == list(range(3000))
    assert {(one["level"], one["service"], one["trace_id"]) for one in found} == {("warn", "shop", "abc")}
    assert {one["message"] for one in found} == {f"line {number}" for number in range(3000)}


def age(path, days):
    then = time.time() - days * DAY_S
    os.utime(path, (then, then))


def make(place, name, size=1000, days=0.0):
    path = place / name
    path.write_bytes(b"x" * (size - 1) + b"\n")
    age(path, days)
    return path


def test_what_is_done_is_compressed_after_a_while(tmp_path):
    import gzip

    make(tmp_path, "realtime-2026-01-01.jsonl", days=2)
    make(tmp_path, "realtime-2026-01-02.jsonl")
    FileSink(str(tmp_path)).tidy()
    assert names(tmp_path) == ["realtime-2026-01-01.jsonl.gz", "realtime-2026-01-02.jsonl"]
    assert len(gzip.decompress((tmp_path / "realtime-2026-01-01.jsonl.gz").read_bytes())) == 1000


def test_what_is_too_old_is_removed(tmp_path):
    make(tmp_path, "realtime-2026-01-01.jsonl.gz", days=40)
    make(tmp_path, "realtime-2026-02-01.jsonl.gz", days=20)
    make(tmp_path, "another-2026-01-01.jsonl", days=40)
    FileSink(str(tmp_path)).tidy()
    assert names(tmp_path) == ["realtime-2026-02-01.jsonl.gz"]
    assert (tmp_path / "another-2026-01-01.jsonl").exists()


def test_the_oldest_are_removed_when_all_are_too_large(tmp_path):
    for day in range(1, 6):
        make(tmp_path, f"realtime-2026-01-0{day}.jsonl.gz", days=10 - day)
    FileSink(str(tmp_path), keep_bytes=2500).tidy()
    assert names(tmp_path) == ["realtime-2026-01-04.jsonl.gz", "realtime-2026-01-05.jsonl.gz"]


def test_a_disk_without_room_for_the_compressed_file_keeps_the_original(small_disk):
    path = make(small_disk, "realtime-2026-01-01.jsonl", size=1, days=2)
    path.write_bytes(os.urandom(700_000))
    age(path, 2)
    FileSink(str(small_disk)).tidy()
    assert sorted(entry.name for entry in small_disk.iterdir()) == [".realtime.tidy", "realtime-2026-01-01.jsonl"]


def test_only_one_process_tidies_at_a_time(tmp_path):
    from tailrace_sdk.lock import locked

    make(tmp_path, "realtime-2026-01-01.jsonl.gz", days=40)
    with locked(str(tmp_path / ".realtime.tidy"), 0):
        FileSink(str(tmp_path)).tidy()
    assert len(names(tmp_path)) == 1


def test_the_writer_tidies_by_itself(tmp_path, until):
    make(tmp_path, "realtime-2026-01-01.jsonl.gz", days=40)
    with AsyncLogWriter(str(tmp_path)) as writer:
        writer.log({"n": 1})
        until(lambda: "realtime-2026-01-01.jsonl.gz" not in names(tmp_path))


@pytest.mark.parametrize("prefix", ["", "a/b"])
def test_a_prefix_that_is_no_name_is_said(prefix):
    with pytest.raises(ValueError, match="begin the name"):
        FileSink("x", prefix)
