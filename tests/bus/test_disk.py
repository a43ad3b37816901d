"""The bus on disk: what the contract leaves to it."""

import errno
import os
from concurrent.futures import Future
from pathlib import Path

import pytest

from tailrace.bus import segment as segment_module
from tailrace.bus.disk import DiskBus
from tailrace.bus.ledger import Ledger
from tailrace.cursor import Cursor
from tailrace.errors import Busy, DiskFull, Gone
from tailrace.limits import APPEND_BYTES_MAX
from tests.batches import batch_of, messages_of

TIMEOUT_S = 20


def open_by_hand(directory: Path, **options) -> DiskBus:
    return DiskBus(directory, threaded=False, **options)


def put(bus: DiskBus, *messages: str, source: str = "", first: int = 0) -> Future[Cursor]:
    done = bus.append(batch_of(messages, source=source, first=first))
    bus.commit()
    return done


def everything(bus: DiskBus) -> list[str]:
    found, at = [], bus.first
    while batches := bus.read(at, 1 << 20):
        found += messages_of(batches)
        at = batches[-1].next
    return found


def test_appends_that_wait_together_are_one_frame(tmp_path):
    bus = open_by_hand(tmp_path)
    bus.append(batch_of(["a"], source="file:1"))
    bus.append(batch_of(["b"], source="file:2"))
    bus.commit()
    (batch,) = bus.read(bus.first, 1 << 20)
    assert (messages_of([batch]), len(batch.origins)) == (["a", "b"], 2)


def test_the_same_place_twice_in_one_commit_is_taken_once(tmp_path):
    bus = open_by_hand(tmp_path)
    answers = [bus.append(batch_of(["a"], source="file:1")) for _ in range(2)]
    bus.commit()
    assert [answer.result(0) for answer in answers] == [bus.first + 1] * 2
    assert everything(bus) == ["a"]


def test_an_append_that_nobody_waits_for_any_more_is_left_out(tmp_path):
    bus = open_by_hand(tmp_path)
    bus.append(batch_of(["a"])).cancel()
    put(bus, "b")
    assert everything(bus) == ["b"]


def test_too_much_in_the_queue_is_refused_for_a_moment(tmp_path):
    bus = open_by_hand(tmp_path)
    bus.append(batch_of(["x" * APPEND_BYTES_MAX]))
    with pytest.raises(Busy):
        bus.append(batch_of(["y"]))
    bus.commit()
    assert put(bus, "y").result(0) == bus.next


def test_segments_follow_each_other_and_are_read_through(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=2000)
    for number in range(50):
        put(bus, f"line {number}")
    assert len(list(tmp_path.glob("*.seg"))) > 5
    again = open_by_hand(tmp_path)
    assert everything(again) == [f"line {number}" for number in range(50)]


def test_retention_removes_whole_segments_that_the_store_has(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=2000, bytes_max=6000)
    for number in range(50):
        put(bus, f"line {number}", source="file:1", first=number)
    assert bus.first.offset == 0
    bus.release(Cursor(bus.epoch, 40))
    assert 0 < bus.first.offset <= 40
    assert bus.bytes <= 9000
    bus.close()
    again = open_by_hand(tmp_path)
    with pytest.raises(Gone):
        again.read(Cursor(again.epoch, 0), 1 << 20)
    assert everything(again)[-1] == "line 49"
    taken = again.taken("file:1")
    assert taken is not None
    assert taken.next == 50


def test_a_crash_after_segments_went_forgets_no_place(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=2000, bytes_max=0)
    put(bus, "once", source="file:quiet")
    for number in range(50):
        put(bus, f"line {number}", source="file:1", first=number)
        bus.release(bus.next)
    assert len(list(tmp_path.glob("*.seg"))) == 1
    again = open_by_hand(tmp_path)  # the first was never closed
    assert {origin.source: origin.next for origin in again.sources("file:")} == {"file:quiet": 1, "file:1": 50}


def test_a_segment_stays_while_the_ledger_that_knows_it_cannot_be_saved(tmp_path, monkeypatch):
    bus = open_by_hand(tmp_path, segment_bytes=2000, bytes_max=0)
    for number in range(20):
        put(bus, f"line {number}", source="file:1", first=number)

    def full(*_):
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(Ledger, "save", full)
        bus.release(bus.next)
        assert bus.first.offset == 0
    bus.release(bus.next)
    assert bus.first.offset > 0


def test_a_full_disk_acknowledges_nothing_and_the_next_append_works(tmp_path, monkeypatch):
    bus = open_by_hand(tmp_path)
    put(bus, "a")

    def no_room(fd, data, position):
        os.pwrite(fd, bytes(data)[: len(data) // 2], position)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(segment_module, "write_all", no_room)
        refused = put(bus, "b", source="file:1")
    with pytest.raises(DiskFull, match="No space left"):
        refused.result(0)
    put(bus, "c", source="file:1")
    assert everything(bus) == ["a", "c"]
    assert everything(open_by_hand(tmp_path)) == ["a", "c"]


def test_a_segment_that_cannot_even_be_cut_is_left_behind(tmp_path, monkeypatch):
    bus = open_by_hand(tmp_path)
    put(bus, "a")

    def broken(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with monkeypatch.context() as patch:
        patch.setattr(segment_module.os, "fdatasync", broken)
        refused = put(bus, "b")
    assert isinstance(refused.exception(0), DiskFull)
    put(bus, "c")
    assert everything(bus) == ["a", "c"]
    assert everything(open_by_hand(tmp_path)) == ["a", "c"]


def test_a_lost_folder_goes_on_behind_the_store(tmp_path):
    bus = open_by_hand(tmp_path, resume=Cursor(0xABC, 500))
    assert put(bus, "a").result(0) == Cursor(0xABC, 501)


def test_a_log_shorter_than_the_store_goes_on_behind_it(tmp_path):
    bus = open_by_hand(tmp_path)
    put(bus, "a")
    bus.close()
    again = open_by_hand(tmp_path, resume=Cursor(bus.epoch, 10))
    assert put(again, "b").result(0).offset == 11
    assert open_by_hand(tmp_path).next.offset == 11


def test_a_segment_without_its_head_is_set_aside_and_the_rest_is_read(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=1)
    for message in "abc":
        put(bus, message)
    bus.close()
    second = sorted(tmp_path.glob("*.seg"))[1]
    second.write_bytes(b"\0" * 200)
    again = open_by_hand(tmp_path)
    assert everything(again) == ["a", "c"]
    assert second.with_suffix(".damaged").exists()


def test_damage_at_the_end_of_what_was_read_says_where_to_go_on(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=1)
    for message in "ab":
        put(bus, message)
    bus._ring.clear()
    last = sorted(tmp_path.glob("*.seg"))[1]
    with last.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\xff\xff\xff")
    with pytest.raises(Gone) as gone:
        bus.read(bus.first + 1, 1 << 20)
    assert gone.value.next == bus.next


def test_the_origins_since_the_ledger_was_saved_are_found_again(tmp_path):
    bus = open_by_hand(tmp_path, segment_bytes=2000)
    for number in range(30):
        put(bus, f"{number}", source=f"file:{number}")
    bus.close()
    (tmp_path / "ledger.json").unlink()
    again = open_by_hand(tmp_path)
    assert len(again.sources("file:")) == 30


def test_a_batch_larger_than_a_frame_may_be_is_a_programmers_fault(tmp_path):
    with pytest.raises(ValueError, match="rows"):
        open_by_hand(tmp_path).append(batch_of([]))
