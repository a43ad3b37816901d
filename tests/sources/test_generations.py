"""The names of one log, and what is remembered of its contents."""

import pytest

from tailrace.limits import GENERATIONS_MAX
from tailrace.record import Origin
from tailrace.sources.generations import Generations, family, may_be_copy, older_first
from tailrace.sources.known import Known, Note


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("app.log", "app.log"),
        ("app.log.1", "app.log"),
        ("app.log.12", "app.log"),
        ("syslog.1", "syslog"),
        ("app.log-20261120", "app.log"),
        ("app.log.2026-11-20_03", "app.log"),
        ("app-2026-11-20.log", "app.log"),
        ("worker-12.log", "worker-12.log"),
        ("node7", "node7"),
        ("app.log.2.gz", "app.log"),
        ("app.log-20261120.gz", "app.log"),
        ("0.log.20260101-120000.gz", "0.log"),
        ("app.log.old", "app.log"),
    ],
)
def test_the_names_of_one_log_are_one_family(name, kept):
    assert family(f"/var/log/{name}") == ("/var/log", kept)


def test_of_two_that_changed_in_one_tick_the_longer_or_higher_name_is_older():
    names = ["app.log", "app.log.10", "app.log.2.gz", "app.log.1"]
    ordered = sorted(names, key=lambda name: older_first(name, 1))
    assert ordered == ["app.log.10", "app.log.2.gz", "app.log.1", "app.log"]


def test_the_time_of_change_decides_before_the_name():
    assert older_first("app.log", 1) < older_first("app.log.1", 2)


def test_a_copy_has_a_longer_name_or_is_packed():
    assert may_be_copy("/l/app.log.1", "/l/app.log")
    assert may_be_copy("/l/app-2026-11-20.log", "/l/app.log")
    assert may_be_copy("/l/app.log.3.gz", "/l/app.log.2")
    assert not may_be_copy("/l/app.log", "/l/app.log.1")
    assert not may_be_copy("/l/node-2", "/l/node-1")


def known(born, inode=1, path="/l/app.log"):
    return Known(f"file:1-{inode:x}-{born:x}", 10, Note(path, 10, "p", "m"))


def test_content_that_was_truncated_is_remembered_up_to_a_bound_and_the_oldest_is_to_be_dropped():
    past = Generations([])
    for born in range(GENERATIONS_MAX + 3):
        past.end(known(born))
    past.forget()
    assert [one.born for one in past.of(("/l", "app.log"))] == list(range(3, GENERATIONS_MAX + 3))
    assert past.forgotten == ["file:1-1-0", "file:1-1-1", "file:1-1-2"]


def test_what_a_file_was_found_for_before_the_oldest_are_dropped_does_not_count():
    past = Generations([])
    for born in range(GENERATIONS_MAX + 3):
        past.end(known(born))
    for born in range(4):
        past.put(known(born), (1, 100 + born))
    past.forget()
    assert len(past.of(("/l", "app.log"))) == GENERATIONS_MAX + 3
    assert past.forgotten == []


def test_of_two_generations_of_one_inode_the_newer_is_there_and_the_older_is_known_by_content():
    past = Generations(
        [
            Origin(f"file:1-1-{born}", 0, 10, 1, '{"path":"/l/app.log","prefix_bytes":1,"prefix":"","mark":""}')
            for born in (2, 1)
        ]
    )
    found = past.get((1, 1))
    assert found
    assert found.born == 2
    assert [one.born for one in past.of(("/l", "app.log"))] == [1, 2]


def test_what_is_taken_is_gone():
    past = Generations([])
    past.put(known(1), (7, 7))
    past.take(known(1))
    assert (7, 7) not in past
    assert past.of(("/l", "app.log")) == []


def test_a_note_that_nobody_can_read_is_left_out():
    assert list(Generations([Origin("file:1-1-1", 0, 10, 1, "?")]).families()) == []
