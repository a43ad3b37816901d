"""Files, collector and bus: an event comes once and whole, whatever happens while it is open."""

import signal

import pytest

from tailrace.agent import Collector
from tailrace.bus.disk import DiskBus
from tailrace.lines import Steps
from tailrace.sources.entry import Entry
from tests.apps.programs import Server, until
from tests.apps.test_follow import messages, wait_for
from tests.pipeline.test_traces import AFTER, BEFORE, JAVA, PYTHON


@pytest.fixture
def bus(tmp_path):
    made = DiskBus(tmp_path / "bus")
    yield made
    made.close()


@pytest.fixture
def follow(tmp_path, bus):
    """Start a collector of the log files; what is still running at the end is stopped."""
    running = []

    def start(steps=None):
        collector = Collector(bus, [Entry(str(tmp_path / "*.log*"), steps=steps or Steps())])
        collector.start()
        running.append(collector)
        return collector

    yield start
    for collector in running:
        collector.stop()


def append(path, text, encoding="utf-8"):
    with path.open("ab") as file:
        file.write(text.encode(encoding))


HALF = JAVA.index("\n\tat com.example.Shop.main") + 1


def test_an_open_event_is_whole_after_a_restart(tmp_path, bus, follow):
    log = tmp_path / "app.log"
    append(log, f"{BEFORE}\n{JAVA[:HALF]}")
    first = follow()
    wait_for(lambda: messages(bus) == [BEFORE])
    first.stop()
    append(log, f"{JAVA[HALF:]}\n{AFTER}\n")
    second = follow()
    wait_for(lambda: messages(bus) == [BEFORE, JAVA, AFTER])
    second.stop()
    follow()
    append(log, "end\n")
    wait_for(lambda: messages(bus) == [BEFORE, JAVA, AFTER, "end"])


def test_an_open_event_is_whole_after_a_rotation(tmp_path, bus, follow):
    log = tmp_path / "app.log"
    append(log, f"{BEFORE}\n{JAVA[:HALF]}")
    follow()
    wait_for(lambda: messages(bus) == [BEFORE])
    log.rename(tmp_path / "app.log.1")
    append(tmp_path / "app.log.1", JAVA[HALF:] + "\n")
    append(log, AFTER + "\n")
    wait_for(lambda: len(messages(bus)) == 3)
    assert sorted(messages(bus)) == sorted([BEFORE, JAVA, AFTER])


def test_a_trace_at_the_end_of_a_file_comes_when_the_file_is_quiet(tmp_path, bus, follow):
    append(tmp_path / "app.log", PYTHON + "\n")
    follow()
    wait_for(lambda: messages(bus) == [PYTHON])


def test_events_of_two_files_are_never_mixed(tmp_path, bus, follow):
    follow()
    java, python = (text.split("\n") for text in (JAVA, PYTHON))
    for row in range(max(len(java), len(python))):
        for name, lines in (("a.log", java), ("b.log", python)):
            if row < len(lines):
                append(tmp_path / name, lines[row] + "\n")
    for name in ("a.log", "b.log"):
        append(tmp_path / name, AFTER + "\n")
    wait_for(lambda: len(messages(bus)) == 4)
    assert sorted(messages(bus)) == sorted([JAVA, PYTHON, AFTER, AFTER])


def test_the_record_of_a_trace_has_time_level_and_place_of_its_first_line(tmp_path, bus, follow):
    append(tmp_path / "app.log", f"{BEFORE}\n{JAVA}\n{AFTER}\n")
    follow()
    wait_for(lambda: bus.next.offset == 3)
    _, trace, _ = bus.read(bus.first, 1 << 20)[0].records()
    assert (trace.message, trace.level.name, trace.time_ns % 10**9) == (JAVA, "ERROR", 123_000_000)
    batch = bus.read(bus.first, 1 << 20)[0]
    assert batch.array("position").to_pylist() == [0, len(BEFORE) + 1, len(BEFORE) + len(JAVA) + 2]


@pytest.mark.parametrize(("encoding", "mark"), [("utf-16-le", "\ufeff"), ("utf-16-be", "\ufeff"), ("gbk", "")])
def test_other_encodings_are_text_and_traces_too(tmp_path, bus, follow, encoding, mark):
    append(tmp_path / "app.log", mark + f"支付成功\r\n{JAVA}\r\n{AFTER}\r\n", encoding)
    follow(Steps(encoding="" if mark else encoding))
    wait_for(lambda: messages(bus) == ["支付成功", JAVA, AFTER])


def test_chinese_that_was_not_declared_is_kept_and_the_status_says_what_to_do(tmp_path, bus, follow):
    append(tmp_path / "app.log", "订单支付成功\n用户登录失败\n", "gbk")
    collector = follow()
    wait_for(lambda: bus.next.offset == 2)
    assert 'encoding = "gb18030"' in collector.report.files()[0].error


def test_a_backlog_of_traces_is_the_same_events_wherever_its_blocks_end(tmp_path, bus, follow):
    wanted = [BEFORE, JAVA, AFTER, PYTHON] * 1000
    append(tmp_path / "app.log", "\n".join(wanted) + "\n" + "end\n")
    follow()
    wait_for(lambda: bus.next.offset >= len(wanted) + 1)
    assert messages(bus) == [*wanted, "end"]


def test_an_open_event_is_whole_after_a_kill(tmp_path):
    log = tmp_path / "app.log"
    append(log, f"{BEFORE}\n{JAVA[:HALF]}")
    server = Server(tmp_path / "data", log, command="up")
    until(lambda: server.messages() == [BEFORE])
    server.stop(signal.SIGKILL)
    append(log, f"{JAVA[HALF:]}\n{AFTER}\n")
    server = Server(tmp_path / "data", log, command="up")
    until(lambda: server.messages() == [BEFORE, JAVA, AFTER])
    server.stop()
