"""Rotation, seen and unseen: each line once, whatever became of the file that held it."""

import gzip
import os
import shutil
from contextlib import contextmanager

import pytest

from tailrace.sources import file as file_module
from tailrace.sources import followed, generations
from tailrace.sources.content import Plain
from tailrace.sources.entry import Entry
from tests.sources.reader import Reader, write


@pytest.fixture
def log(tmp_path):
    return tmp_path / "app.log"


@pytest.fixture(params=["app.log", "app.log*"], ids=["glob of the log", "glob of all generations"])
def reader(tmp_path, request):
    made = Reader(Entry(str(tmp_path / request.param)))
    yield made
    made.crash()


def lines(first, last, pad=b""):
    return b"".join(b"line %04d%s\n" % (number, pad) for number in range(first, last))


def wanted(count, pad=b""):
    return lines(0, count, pad).splitlines()


def beside(log, end):
    return log.with_name(log.name + end)


def pack(path, to=None):
    """Compress a file as gzip(1) does: a new file with the old times, then the old one is removed."""
    to = to or path.with_name(path.name + ".gz")
    to.write_bytes(gzip.compress(path.read_bytes()))
    shutil.copystat(path, to)
    path.unlink()
    return to


def shift(log, packed_from=2):
    """Rotate as logrotate does with delaycompress."""
    for number in range(8, 0, -1):
        for end in (f".{number}", f".{number}.gz"):
            if beside(log, end).exists():
                moved = beside(log, end).rename(beside(log, end.replace(f".{number}", f".{number + 1}")))
                if number + 1 >= packed_from and not end.endswith("gz"):
                    pack(moved)
    log.rename(beside(log, ".1"))


def test_a_generation_that_is_compressed_after_it_was_read_is_not_read_again(log, reader):
    write(log, lines(0, 100))
    reader.until(100)
    log.rename(beside(log, ".1"))
    write(log, lines(100, 110))
    reader.until(110)
    pack(beside(log, ".1"))
    assert reader.until(110) == wanted(110)
    reader.restart()
    write(log, lines(110, 120))
    assert reader.until(120) == wanted(120)


def test_a_generation_that_is_compressed_while_it_is_read_is_read_once(log, reader, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 200)
    write(log, lines(0, 300))
    reader.until(10)
    log.rename(beside(log, ".1"))
    write(log, lines(300, 310))
    reader.step()
    pack(beside(log, ".1"))
    assert reader.until(310) == wanted(310)


def test_what_was_not_read_of_a_generation_that_was_compressed_while_down_is_read_from_it(log, reader):
    write(log, lines(0, 100))
    reader.until(100)
    reader.crash()
    write(log, lines(100, 150))
    log.rename(beside(log, ".1"))
    pack(beside(log, ".1"))
    write(log, lines(150, 160))
    reader.start()
    assert reader.until(160) == wanted(160)
    reader.restart()
    write(log, lines(160, 170))
    assert reader.until(170) == wanted(170)
    assert set(reader.paths) == {str(log)}


def test_generations_that_came_and_went_while_down_are_read_in_their_order(log, reader):
    write(log, lines(0, 50))
    reader.until(50)
    reader.crash()
    write(log, lines(50, 100))
    for number in range(1, 5):
        shift(log)
        write(log, lines(number * 100, number * 100 + 100))
    reader.start()
    assert reader.until(500) == wanted(500)
    reader.restart()
    assert reader.until(500) == wanted(500)


def test_dated_generations_that_came_and_went_while_down_are_read(log, reader):
    write(log, lines(0, 50))
    reader.until(50)
    reader.crash()
    for day in range(1, 4):
        log.rename(beside(log, f"-2026112{day}"))
        write(log, lines(day * 50, day * 50 + 50))
    pack(beside(log, "-20261122"))
    reader.start()
    assert reader.until(200) == wanted(200)


def test_generations_that_were_there_before_the_newest_known_one_are_left_alone(tmp_path, log):
    write(beside(log, ".2"), b"older than we are\n")
    os.utime(beside(log, ".2"), ns=(0, 10**18))
    write(log, lines(0, 50))
    reader = Reader(Entry(str(log)))
    reader.until(50)
    reader.crash()
    shift(log, packed_from=9)
    write(log, lines(50, 60))
    reader.start()
    assert reader.until(60) == wanted(60)
    reader.crash()


def test_three_rotations_between_two_looks_lose_nothing(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    for number in range(1, 4):
        shift(log, packed_from=9)
        write(log, lines(number * 10, number * 10 + 10))
    assert reader.until(40) == wanted(40)


def test_the_newest_known_generation_may_be_gone(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    reader.crash()
    log.rename(beside(log, ".1"))
    write(log, lines(10, 20))
    beside(log, ".1").unlink()
    log.rename(beside(log, ".1"))
    write(log, lines(20, 30))
    reader.start()
    assert reader.until(30) == wanted(30)


def test_a_log_that_starts_at_its_end_begins_at_byte_0_after_it_was_rotated_while_down(tmp_path, log):
    write(log, b"before\n")
    reader = Reader(Entry(str(tmp_path / "app.log*"), start="end"))
    reader.step(0)
    write(log, lines(0, 10))
    reader.until(10)
    reader.crash()
    write(log, lines(10, 20))
    shift(log)
    write(log, lines(20, 30))
    shift(log)
    write(log, lines(30, 40))
    reader.start()
    assert reader.until(40) == wanted(40)
    reader.crash()


def test_compressed_generations_are_read_before_newer_ones_and_not_again_after_a_restart(tmp_path, log, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 512)
    for number in range(4):
        shift(log) if log.exists() else None
        write(log, lines(number * 100, number * 100 + 100))
    assert beside(log, ".3.gz").exists()
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    assert reader.until(400) == wanted(400)
    for _ in range(2):
        reader.restart()
        assert reader.until(400) == wanted(400)
    reader.crash()


def test_a_compressed_file_that_was_read_to_its_end_is_not_unpacked_again(tmp_path, log):
    write(log, lines(0, 100_000))
    pack(log)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    reader.until(100_000)
    reader.restart()
    reader.until(100_000)
    assert reader.source.files == []
    reader.crash()


def test_compressed_generations_are_the_past_where_reading_starts_at_the_end(tmp_path, log):
    write(log, b"past\n")
    pack(log)
    reader = Reader(Entry(str(tmp_path / "app.log*"), start="10MB"))
    reader.step(0)
    write(log, b"now\n")
    assert reader.until(1) == [b"now"]
    reader.crash()


def test_reading_a_compressed_file_goes_on_in_the_middle_after_a_restart(tmp_path, log, monkeypatch):
    monkeypatch.setattr(followed, "READ_BYTES", 512)
    write(log, lines(0, 300))
    pack(log)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    while len(reader.lines) < 300:
        reader.step()
        reader.restart()
    assert reader.until(300) == wanted(300)
    reader.crash()


def test_a_compressed_file_that_is_being_written_is_read_to_its_end(tmp_path, log):
    packed = gzip.compress(lines(0, 5000)) + gzip.compress(lines(5000, 10_000))
    path = beside(log, ".1.gz")
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    for place in range(0, len(packed), len(packed) // 5):
        write(path, packed[place : place + len(packed) // 5])
        reader.step()
        if place:
            reader.restart()
    assert reader.until(10_000) == wanted(10_000)
    reader.crash()


def test_a_damaged_compressed_file_gives_the_lines_before_the_damage_and_one_error(tmp_path, log):
    packed = bytearray(gzip.compress(lines(0, 1000)))
    packed[-5] ^= 1
    write(beside(log, ".1.gz"), packed)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    assert reader.until(1000) == wanted(1000)
    reader.wait_for(lambda: reader.source.problems)
    assert [path for path, why in reader.source.problems.items() if "damaged" in why] == [str(beside(log, ".1.gz"))]
    reader.crash()


def test_a_compressed_file_that_is_cut_gives_its_lines_and_says_so_when_it_is_quiet(tmp_path, log, monkeypatch):
    monkeypatch.setattr(file_module, "GONE_QUIET_S", 0.05)
    write(beside(log, ".1.gz"), gzip.compress(lines(0, 10_000))[:-500])
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    count = len(reader.until(9_000))
    assert reader.lines == wanted(count)
    for _ in range(20):
        reader.step()
    assert ["in the middle" in file.error for file in reader.source.files] == [True]
    reader.crash()


def test_kubernetes_rotation_by_rename_and_gzip_loses_nothing(tmp_path):
    pods, containers = tmp_path / "pods", tmp_path / "containers"
    pods.mkdir(), containers.mkdir()
    live = pods / "0.log"
    write(live, lines(0, 10))
    (containers / "web.log").symlink_to(live)
    reader = Reader(Entry(str(containers / "*.log")))
    reader.until(10)
    for number in range(1, 4):
        old = live.rename(pods / f"0.log.20260101-12000{number}")
        write(live, lines(number * 10, number * 10 + 10))
        reader.until(number * 10 + 10)
        pack(old)
    reader.restart()
    write(live, lines(40, 50))
    assert reader.until(50) == wanted(50)
    reader.crash()


@pytest.mark.parametrize("how", ["rename", "copytruncate", "gzip"])
def test_generations_that_begin_alike_are_complete(log, reader, how):
    banner = b"#Fields: time level message %s\n" % (b"x" * 2000)
    count = 0
    for generation in range(3):
        write(log, banner)
        if generation == 1:
            reader.until(count + 1)
        write(log, b"generation %d\n" % generation * 3)
        count += 4
        reader.until(count)
        if how == "copytruncate":
            beside(log, f".{generation + 1}").write_bytes(log.read_bytes())
            reader.step()
            os.truncate(log, 0)
            reader.step()
        else:
            log.rename(beside(log, f".{generation + 1}"))
            if how == "gzip":
                reader.step()
                pack(beside(log, f".{generation + 1}"))
    reader.until(count)
    assert [line[-12:] for line in reader.lines] == [
        text[-12:] for generation in range(3) for text in [banner.rstrip(), *[b"generation %d" % generation] * 3]
    ]


def test_copytruncate_while_lines_are_unread_reads_them_from_the_copy(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    write(log, lines(10, 20))
    beside(log, ".1").write_bytes(log.read_bytes())
    write(log, lines(20, 22), "wb")
    assert sorted(reader.until(22)) == wanted(22)


@pytest.mark.parametrize("at_first", [0, 1, 40])
def test_a_copy_that_was_seen_before_it_was_whole_is_left_alone(log, reader, at_first):
    write(log, lines(0, 10))
    reader.until(10)
    copied = log.read_bytes()
    write(beside(log, ".1"), copied[:at_first])
    reader.settle()
    write(beside(log, ".1"), copied[at_first:])
    reader.settle()
    write(log, lines(10, 20), "wb")
    assert sorted(reader.until(20)) == wanted(20)


class Overtaken(Plain):
    """A content whose writers go on as soon as its first bytes were looked at."""

    __slots__ = ("_writers",)

    def __init__(self, fd, writers):
        super().__init__(fd)
        self._writers = writers

    def pread(self, length, offset):
        data = super().pread(length, offset)
        while self._writers:
            self._writers.pop()()
        return data


def test_a_copy_that_is_finished_and_its_original_emptied_while_they_are_compared_is_left_alone(
    tmp_path, log, monkeypatch
):
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    write(log, lines(0, 10))
    reader.until(10)
    copied = log.read_bytes()

    def finish():
        write(beside(log, ".1"), copied[40:])
        write(log, b"", "wb")

    writers = [finish]

    def content_of(fd, path):
        return Overtaken(fd, writers) if path == str(beside(log, ".1")) else Plain(fd)

    monkeypatch.setattr(file_module, "content_of", content_of)
    write(beside(log, ".1"), copied[:40])
    reader.wait_for(lambda: not writers)
    write(log, lines(10, 20))
    assert reader.until(20) == wanted(20)
    reader.crash()


def test_a_file_that_was_found_empty_and_is_renamed_before_its_first_read_is_read(tmp_path, log):
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    log.touch()
    reader.wait_for(lambda: reader.source.files)
    write(log, lines(0, 10))
    log.rename(beside(log, ".1"))
    write(log, lines(10, 20))
    assert reader.until(20) == wanted(20)
    reader.crash()


def test_a_copy_whose_first_bytes_come_just_after_it_was_compared_is_known_as_one(log, tmp_path, monkeypatch):
    real = file_module.twin_of

    def slow(path, *arguments):
        twin = real(path, *arguments)
        if path.endswith(".gz") and not packed.stat().st_size:
            packed.write_bytes(gzip.compress(beside(log, ".1").read_bytes()))
        return twin

    monkeypatch.setattr(file_module, "twin_of", slow)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    write(log, lines(0, 10))
    reader.until(10)
    packed = beside(log.rename(beside(log, ".1")), ".gz")
    packed.touch()
    reader.wait_for(lambda: packed.stat().st_size)
    beside(log, ".1").unlink()
    write(log, lines(10, 20))
    assert reader.until(20) == wanted(20)
    reader.crash()


def test_the_gzip_of_a_file_that_is_about_to_be_removed_is_its_copy_whichever_is_listed_first(
    tmp_path, log, monkeypatch
):
    write(beside(log, ".1"), lines(0, 10))
    beside(log, ".1.gz").write_bytes(gzip.compress(lines(0, 10)))
    shutil.copystat(beside(log, ".1"), beside(log, ".1.gz"))
    real = os.scandir

    @contextmanager
    def packed_first(directory):
        with real(directory) as names:
            yield sorted(names, key=lambda one: not one.name.endswith(".gz"))

    monkeypatch.setattr(os, "scandir", packed_first)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    assert reader.until(10) == wanted(10)
    reader.crash()


def test_a_file_that_is_renamed_and_packed_after_it_was_listed_comes_before_its_gzip(tmp_path, log, monkeypatch):
    """Its gzip is found beside the log, in a look that still knows it by its first name."""
    real = file_module.unread_beside
    late = []

    def rotated(*arguments):
        if not late and log.exists():
            late.append(log.rename(beside(log, ".1")))
            beside(log, ".1.gz").write_bytes(gzip.compress(late[0].read_bytes()))
            shutil.copystat(late[0], beside(log, ".1.gz"))
            write(log, lines(10, 20))
        return real(*arguments)

    reader = Reader(Entry(str(tmp_path / "app.log*")))
    write(beside(log, ".2"), lines(100, 110))
    reader.until(10)
    monkeypatch.setattr(file_module, "unread_beside", rotated)
    write(log, lines(0, 10))
    reader.wait_for(lambda: late)
    late[0].unlink()
    assert sorted(reader.until(30)) == sorted(wanted(20) + lines(100, 110).splitlines())
    reader.crash()


def rotating(log, monkeypatch, call):
    """Have a log rotated, each time with ten lines more, behind the first calls to a function of ``os``."""
    real = getattr(os, call)
    rotations = []

    def turned(path, *arguments, **more):
        found = real(path, *arguments, **more)
        here = os.fspath(path)
        if len(rotations) < 12 and here.startswith(str(log)):
            rotations.append(here)
            for number in range(12, 0, -1):
                if os.path.lexists(beside(log, f".{number}")):
                    beside(log, f".{number}").rename(beside(log, f".{number + 1}"))
            log.rename(beside(log, ".1"))
            write(log, lines(10 * len(rotations) + 10, 10 * len(rotations) + 20))
        return found

    monkeypatch.setattr(os, call, turned)
    return rotations


@pytest.mark.parametrize("call", ["stat", "open"])
def test_generations_come_in_order_however_often_the_log_is_rotated_while_one_looks(log, reader, monkeypatch, call):
    write(log, lines(0, 10))
    reader.until(10)
    log.rename(beside(log, ".1"))
    rotations = rotating(log, monkeypatch, call)
    write(log, lines(10, 20))
    assert reader.until(140) == wanted(140)
    assert len(rotations) == 12


@pytest.mark.parametrize("at_first", [40, 100])
def test_a_copy_that_is_found_together_with_its_original_is_left_alone(tmp_path, log, at_first):
    write(log, lines(0, 10))
    copied = log.read_bytes()
    write(beside(log, ".1"), copied[:at_first])
    os.utime(log, ns=(0, 10**18))
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    reader.until(10)
    write(beside(log, ".1"), copied[at_first:])
    write(log, lines(10, 20), "wb")
    assert reader.until(20) == wanted(20)
    reader.crash()


def test_a_copy_of_what_was_written_since_its_original_was_emptied_is_left_alone(tmp_path, log):
    """The copy is found first: nobody has seen that the log was emptied and written anew, and goes on being written."""
    pad = b"x" * 100
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    write(log, lines(0, 10, pad))
    reader.until(10)
    log.write_bytes(lines(10, 40, pad))
    shutil.copy2(log, beside(log, ".1"))
    write(log, lines(40, 45, pad))
    later = beside(log, ".1").stat().st_mtime_ns + 10**9
    os.utime(log, ns=(later, later))
    reader.source._scan_at = 0.0
    reader.source.look()
    assert reader.until(45) == wanted(45, pad)
    log.write_bytes(lines(45, 50, pad))
    assert reader.until(50) == wanted(50, pad)
    reader.crash()


def test_a_copy_whose_original_is_emptied_before_it_was_read_is_read(tmp_path, log):
    write(log, lines(0, 10))
    shutil.copyfile(log, beside(log, ".1"))
    os.utime(log, ns=(0, 10**18))
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    reader.source.look()
    write(log, lines(10, 20), "wb")
    assert sorted(reader.until(20)) == wanted(20)
    reader.crash()


@pytest.mark.parametrize("seen", [True, False])
def test_a_copy_that_ends_before_what_was_read_of_its_original_is_left_alone(log, reader, seen):
    write(log, lines(0, 200))
    reader.until(200)
    shutil.copyfile(log, beside(log, ".1") if seen else log.with_name("hidden"))
    write(log, lines(200, 210))  # between the copying and the emptying
    reader.until(210)
    write(log, lines(210, 220), "wb")
    if not seen:
        log.with_name("hidden").rename(beside(log, ".1"))
        reader.source._scan_at = 0.0  # it is found before the log is read again
    assert reader.until(220) == wanted(220)
    for number in range(2):
        reader.restart()
        assert reader.settle() == wanted(220), number
    pack(beside(log, ".1"))
    reader.settle()
    reader.restart()
    write(log, lines(220, 230))
    assert reader.until(230) == wanted(230)


def test_an_older_generation_that_its_log_begins_like_is_read(tmp_path, log):
    write(beside(log, ".1"), b"alive\n" * 5)
    os.utime(beside(log, ".1"), ns=(0, 10**18))
    write(log, b"alive\n" * 8)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    assert len(reader.until(13)) == 13
    reader.crash()


@pytest.mark.parametrize("files_max", [4, 100])
def test_of_many_copies_that_stand_beside_their_log_none_is_read_again_after_a_restart(
    tmp_path, log, monkeypatch, files_max
):
    monkeypatch.setattr(generations, "GENERATIONS_MAX", 3)
    monkeypatch.setattr(file_module, "files_max", lambda: files_max)
    reader = Reader(Entry(str(tmp_path / "app.log*")))
    for number in range(8):
        write(log, lines(number * 10, number * 10 + 10), "wb")
        reader.until(number * 10 + 10)
        shutil.copyfile(log, beside(log, f".{number}"))
        reader.settle()
    write(log, lines(80, 90), "wb")
    assert reader.until(90) == wanted(90)
    for _ in range(2):
        reader.restart()
        assert reader.settle() == wanted(90)
    write(log, lines(90, 100))
    assert reader.until(100) == wanted(100)
    reader.crash()


@pytest.mark.parametrize("compress", [False, True])
def test_copytruncate_while_down_reads_the_rest_from_the_copy(log, reader, compress):
    write(log, lines(0, 10))
    reader.until(10)
    reader.crash()
    write(log, lines(10, 20))
    shutil.copy2(log, beside(log, ".1"))
    if compress:
        pack(beside(log, ".1"))
    write(log, lines(20, 40), "wb")
    reader.start()
    assert sorted(reader.until(40)) == wanted(40)


def test_a_generation_in_a_reused_inode_is_read_from_byte_0(log, reader):
    for number in range(1, 6):
        write(log, lines(number * 10 - 10, number * 10))
        reader.until(number * 10)
        reader.crash()
        log.unlink()
        if number % 2:
            reader.start()
            reader.step()
            reader.crash()
        write(log, b"")
        reader.start()
    assert reader.until(50) == wanted(50)


def test_files_that_stay_identical_are_all_read(tmp_path):
    reader = Reader(Entry(str(tmp_path / "*.log")))
    for name in ("one.log", "two.log"):
        write(tmp_path / name, b"same\n")
    assert reader.until(2) == [b"same", b"same"]
    reader.restart()
    for name in ("one.log", "two.log"):
        write(tmp_path / name, b"same again\n")
    assert reader.until(4)[2:] == [b"same again"] * 2
    reader.crash()


def test_a_link_that_is_switched_leads_to_both_files(tmp_path):
    (tmp_path / "data").mkdir()
    first, second = tmp_path / "data" / "one", tmp_path / "data" / "two"
    link = tmp_path / "current.log"
    write(first, b"one 1\n")
    link.symlink_to(first)
    reader = Reader(Entry(str(link)))
    reader.until(1)
    write(second, b"two 1\n")
    (tmp_path / "next").symlink_to(second)
    (tmp_path / "next").rename(link)
    write(first, b"one 2\n")
    assert sorted(reader.until(3)) == [b"one 1", b"one 2", b"two 1"]
    write(first, b"one 3\n")
    write(second, b"two 2\n")
    assert sorted(reader.until(5)[3:]) == [b"one 3", b"two 2"]
    reader.crash()


def test_an_old_descriptor_is_read_as_long_as_its_writer_writes(log, reader, monkeypatch):
    monkeypatch.setattr(file_module, "GONE_QUIET_S", 1.0)
    with log.open("ab", buffering=0) as old:
        old.write(b"old 0\n")
        reader.until(1)
        log.rename(beside(log, ".elsewhere"))
        write(log, b"new\n")
        reader.until(2)
        for number in range(1, 12):  # for longer than a quiet one is kept
            old.write(b"old %d\n" % number)
            reader.until(number + 2)
    assert sorted(reader.lines) == sorted([b"new", *(b"old %d" % number for number in range(12))])


def test_a_deleted_file_with_unread_data_is_finished_and_given_back(log, reader, monkeypatch):
    monkeypatch.setattr(file_module, "GONE_QUIET_S", 0.05)
    monkeypatch.setattr(followed, "READ_BYTES", 100)
    write(log, lines(0, 200))
    reader.until(5)
    beside(log, ".1").unlink(missing_ok=True)
    log.rename(beside(log, ".1"))
    beside(log, ".1").unlink()
    assert reader.until(200) == wanted(200)
    for _ in range(30):
        reader.step()
    assert reader.source.files == []
    assert len(reader.source.forgotten) == 1


def test_touching_a_file_sends_nothing_again(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    os.utime(log)
    assert reader.until(10) == wanted(10)
    reader.restart()
    os.utime(log)
    assert reader.until(10) == wanted(10)


def test_a_file_that_is_truncated_to_a_part_of_itself_is_read_again_as_a_new_generation(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    os.truncate(log, 20)
    assert reader.until(12) == [*wanted(10), *wanted(2)]


@pytest.mark.parametrize("compress", [False, True])
def test_what_rotated_behind_a_link_while_down_is_found_where_the_link_led_to(tmp_path, compress):
    pod, link = tmp_path / "pods" / "0.log", tmp_path / "containers" / "shop.log"
    for path in (pod, link):
        path.parent.mkdir()
    link.symlink_to(pod)
    write(pod, lines(0, 10))
    reader = Reader(Entry(str(tmp_path / "containers" / "*.log")))
    reader.until(10)
    reader.crash()
    for number in (1, 2):
        write(pod, lines(number * 10, number * 10 + 10))
        old = pod.rename(beside(pod, f".20261120-08000{number}"))
        if compress:
            pack(old)
    write(pod, lines(30, 40))
    reader.start()
    assert reader.until(40) == wanted(40)
    reader.crash()


def test_a_copy_after_a_restart_is_known_though_its_original_was_truncated_before_it_was_read_again(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    reader.restart()
    reader.step()
    write(log, lines(10, 20))
    beside(log, ".1").write_bytes(log.read_bytes())
    write(log, b"", "wb")
    assert sorted(reader.until(20)) == wanted(20)


def test_an_inode_that_is_used_again_hides_no_generation_between(tmp_path, log):
    reader = Reader(Entry(str(log)))
    write(log, lines(0, 1))
    reader.until(1)
    log.unlink()
    write(log, lines(1, 5))
    reader.until(5)
    reader.crash()
    write(log, lines(5, 9))
    for number, more in ((1, 20), (2, 23)):
        pack(log.rename(beside(log, f".{number}")))
        write(log, lines(9 if number == 1 else 20, more))
    reader.start()
    assert reader.until(23) == wanted(23)
    reader.crash()


def test_the_gzip_of_a_file_that_was_opened_and_not_read_yet_is_left_alone(log, reader):
    write(log, lines(0, 10))
    reader.until(10)
    old = log.rename(beside(log, ".1"))
    write(log, lines(10, 400))
    while not any(file.path == str(log) and not file.offset for file in reader.source.files):
        reader.source._scan_at = 0.0
        reader.source.look()
    pack(log.rename(beside(log, ".2")), beside(log, ".3.gz"))
    write(log, lines(400, 410))
    reader.source._scan_at = 0.0
    reader.source.look()
    assert sorted(reader.until(410)) == wanted(410)
    assert old.exists()
