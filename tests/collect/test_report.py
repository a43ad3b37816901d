"""What is told about files, over a real source of real files; the collector is played by the test."""

import time

import pytest
from tests.apps.programs import until

from tailrace.collect.report import Report
from tailrace.collect.words import CollectParameters, ConfigurationStatus
from tailrace.pipeline import Pipeline
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource


@pytest.fixture
def source(tmp_path):
    made = FileSource([Entry(f"{tmp_path}/*.log")])
    yield made
    made.close()


@pytest.fixture
def report(source):
    return Report(source, Pipeline())


def ask(report, **given):
    return report.answer(CollectParameters(**given), [], ConfigurationStatus(), [])


def test_a_file_that_was_read_and_not_taken_lags_by_its_bytes_and_since_it_was_seen(tmp_path, source, report):
    (tmp_path / "a.log").write_text("one\ntwo\n")
    before = time.monotonic()
    list(source.poll())
    until(lambda: ask(report).files[0].lag_s > 0)
    (one,) = ask(report).files
    assert (one.state, one.offset, one.size, one.lag_bytes, one.lines) == ("reading", 0, 8, 8, 2)
    assert one.lag_s <= time.monotonic() - before
    assert one.read is not None
    source.files[0].acked = 8
    (one,) = ask(report).files
    assert (one.state, one.lag_bytes, one.lag_s) == ("quiet", 0, 0.0)


def test_a_line_without_an_end_waits(tmp_path, source, report):
    (tmp_path / "a.log").write_text("no end")
    list(source.poll())
    assert ask(report).states == {"waiting": 1}


def test_everything_waits_while_the_bus_takes_nothing(tmp_path, source, report):
    (tmp_path / "a.log").write_text("one\n")
    list(source.poll())
    report.error = "no room"
    (one,) = ask(report).files
    assert (one.state, one.error) == ("waiting", "no room")


def test_the_worst_come_first_and_the_totals_count_all(tmp_path, source, report):
    for number in range(5):
        (tmp_path / f"{number}.log").write_text("x\n" * number)
    (tmp_path / "bad.log").symlink_to("bad.log")
    (tmp_path / "dir.log").mkdir()
    list(source.poll())
    answer = ask(report, limit=3)
    assert [one.path.rpartition("/")[2] for one in answer.files] == ["bad.log", "4.log", "3.log"]
    assert (answer.total, answer.lag_bytes, answer.states) == (
        7,
        20,
        {"failing": 1, "quiet": 1, "reading": 4, "skipped": 1},
    )


def test_files_can_be_chosen_by_state_and_by_path(tmp_path, source, report):
    for name in ("app.log", "web.log"):
        (tmp_path / name).write_text("x\n" if name == "web.log" else "")
    list(source.poll())
    assert [one.state for one in ask(report, path="app").files] == ["quiet"]
    assert ask(report, path="*/web.*").total == 1
    assert ask(report, state="reading").files[0].path == str(tmp_path / "web.log")
    assert ask(report, path="*/app").total == 0


def test_an_entry_that_finds_nothing_says_so(tmp_path, source, report):
    (tmp_path / "a.log").touch()
    list(source.poll())
    answer = report.answer(CollectParameters(), [f"{tmp_path}/*.log", "/nowhere"], ConfigurationStatus(), [])
    assert [(one.files, bool(one.problem)) for one in answer.entries] == [(1, False), (0, True)]


def test_what_was_written_while_the_collector_was_held_up_is_seen(tmp_path, source, report):
    log = tmp_path / "a.log"
    log.write_text("one\n")
    list(source.poll())
    source.files[0].acked = 4
    with log.open("a") as file:
        file.write("two\n")
    source.polled -= 60  # as if it had been held up for so long
    (one,) = ask(report).files
    assert (one.lag_bytes, one.lag_s >= 60) == (4, True)
