"""Files, collector and the bus on disk together: no line is missing, none comes twice, whatever is restarted."""

import threading
import time
from concurrent.futures import Future

import pytest

from tailrace.agent import Collector
from tailrace.bus.disk import DiskBus
from tailrace.errors import Busy, DiskFull
from tailrace.lines import Steps
from tailrace.sources.entry import Entry

DEADLINE_S = 60


def messages(bus):
    found, place = [], bus.first
    while batches := bus.read(place, 1 << 20):
        for batch in batches:
            found += batch.array("message").to_pylist()
            place = batch.next
    return found


def wait_for(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def bus(tmp_path):
    made = DiskBus(tmp_path / "bus")
    yield made
    made.close()


def test_lines_go_from_the_file_to_the_bus_and_the_status_says_so(tmp_path, bus):
    log = tmp_path / "app.log"
    log.write_text("2026-01-02 03:04:05 INFO one\ntwo\n")
    collector = Collector(bus, [Entry(str(log))], host="web-1")
    collector.start()
    wait_for(lambda: bus.next.offset == 2)
    wait_for(lambda: collector.report.files()[0].state == "quiet")
    (status,) = collector.report.files()
    assert (status.path, status.offset, status.lag_bytes, status.lines, status.layout) == (str(log), 33, 0, 2, "iso")
    collector.stop()
    (record, _) = bus.read(bus.first, 1 << 20)[0].records()
    assert (record.stream.labels["host"], record.stream.labels["path"]) == ("web-1", str(log))


def test_a_restart_in_the_middle_of_writing_and_rotating_loses_and_doubles_nothing(tmp_path):
    folder = tmp_path / "logs"
    folder.mkdir()
    done = threading.Event()
    wanted = []

    def write():
        for generation in range(4):
            with (folder / "app.log").open("a") as file:
                for number in range(400):
                    wanted.append(f"{generation} {number} {'x' * (number % 300)}")
                    file.write(wanted[-1] + "\n")
                    if number % 10 == 0:
                        file.flush()
                        time.sleep(0.001)
            (folder / "app.log").rename(folder / f"app.log.{generation}")
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    while True:
        last = done.is_set()
        bus = DiskBus(tmp_path / "bus")
        collector = Collector(bus, [Entry(str(folder / "app.log*"))])
        collector.start()
        if last:
            wait_for(lambda: bus.next.offset >= len(wanted))  # noqa: B023 - it is called in this turn
        else:
            done.wait(0.15)
        collector.stop()
        found = messages(bus)
        bus.close()
        if last:
            break
    writer.join()
    assert sorted(found) == sorted(wanted)
    for generation in range(4):
        mine = [line for line in found if line.startswith(f"{generation} ")]
        assert mine == [line for line in wanted if line.startswith(f"{generation} ")]


class Hesitant:
    """A bus that is busy or has no room for a while."""

    def __init__(self, bus):
        self._bus = bus
        self.calls = 0

    def __getattr__(self, name):
        return getattr(self._bus, name)

    def append(self, batch):
        self.calls += 1
        if self.calls % 4 == 1:
            raise Busy("later", retry_s=0.01)
        future = self._bus.append(batch)
        if self.calls % 4 == 2 and len(batch):
            return Refusing(DiskFull("no room"))
        return future


class Refusing:
    def __init__(self, error):
        self.error = error

    def done(self):
        return True

    def result(self):
        raise self.error


def test_a_busy_or_full_bus_loses_and_doubles_nothing(tmp_path, bus):
    log = tmp_path / "app.log"
    collector = Collector(Hesitant(bus), [Entry(str(log))])
    collector.start()
    for number in range(5):
        with log.open("a") as file:
            file.write(f"line {number}\n")
        wait_for(lambda: bus.next.offset == number + 1)  # noqa: B023 - it is called in this turn
    collector.stop()
    assert messages(bus) == [f"line {number}" for number in range(5)]


def test_an_entry_that_is_added_later_is_followed(tmp_path, bus):
    log = tmp_path / "late.log"
    log.write_text("late\n")
    collector = Collector(bus, [])
    collector.start()
    collector.set([Entry(str(log))])
    wait_for(lambda: bus.next.offset == 1)
    collector.stop()


def test_a_file_that_may_not_be_read_is_told(tmp_path, bus, monkeypatch):
    collector = Collector(bus, [Entry(str(tmp_path / "app.log"))])
    collector._source._refused[str(tmp_path / "app.log")] = "Permission denied"
    assert [(status.state, status.error) for status in collector.report.files()] == [("failing", "Permission denied")]
    collector._source.close()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_that_ends_the_following_is_told_and_does_not_keep_it_from_stopping(tmp_path, bus, monkeypatch):
    (tmp_path / "app.log").write_text("line\n")
    collector = Collector(bus, [Entry(str(tmp_path / "app.log"))])
    monkeypatch.setattr(collector.pipeline, "process", lambda _: 1 // 0)
    collector.start()
    wait_for(lambda: collector.report.error)
    assert "ZeroDivisionError" in collector.report.error
    collector.stop()


def test_lines_of_which_nothing_is_kept_are_done_with_when_those_before_them_are(tmp_path, bus, monkeypatch):
    log = tmp_path / "app.log"
    log.write_text("wanted\n")
    flying = Future()
    monkeypatch.setattr(bus, "append", lambda _: flying)
    collector = Collector(bus, [Entry(str(log), steps=Steps(drop="noise"))])
    collector._step()
    (file,) = collector._source.files
    with log.open("a") as more:
        more.write("noise\n")
    while file.offset < len("wanted\nnoise\n"):
        collector._source.wait(0.1)
        collector._step()
    assert file.acked == 0
    flying.set_result(bus.first)
    collector._step()
    assert file.acked == file.offset
    collector._source.close()
