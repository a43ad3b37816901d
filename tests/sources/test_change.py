"""Other entries for a source that is following already: see ``change`` at the head of sources/file.py."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.lines import Steps
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource


@pytest.fixture
def follow(tmp_path):
    made = []

    def one(*entries):
        made.append(FileSource(entries))
        return made[-1]

    yield one
    for source in made:
        source.close()


def read(source, acknowledge=True):
    """Poll until nothing comes any more; return (text, labels, steps) of each line."""
    found = []
    while got := list(source.poll()):
        for file, lines in got:
            found += [(text.decode(), lines.stream.labels, lines.steps) for text in lines.lines.to_pylist()]
            if acknowledge:
                file.acked = file.offset
    return found


def texts(source, **more):
    return [text for text, _, _ in read(source, **more)]


def append(path, text):
    with path.open("a") as file:
        file.write(text)


def test_a_file_that_is_wanted_no_more_is_closed_and_goes_on_at_its_mark_when_it_is_again(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    assert texts(source) == ["one"]
    source.set([])
    append(log, "two\n")
    assert (texts(source), source.files) == ([], [])
    source.set([Entry(str(log), start="end")])
    assert texts(source) == ["two"]


def test_it_is_closed_only_when_what_was_read_of_it_is_acknowledged(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    assert texts(source, acknowledge=False) == ["one"]
    source.set([])
    append(log, "two\n")
    assert texts(source, acknowledge=False) == []
    (file,) = source.files
    file.acked = file.offset
    source._turns.put(file, 0.0)
    assert (texts(source), source.files) == ([], [])


def test_one_that_comes_back_before_that_was_never_closed(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    texts(source, acknowledge=False)
    (file,) = source.files
    source.set([])
    texts(source, acknowledge=False)
    append(log, "two\n")
    source.set([Entry(f"{tmp_path}/*.log")])
    assert texts(source) == ["two"]
    assert source.files == [file]


def test_labels_and_steps_are_those_of_the_entry_from_the_next_line_on(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log), labels={"team": "red"}))
    ((_, labels, steps),) = read(source)
    assert (labels["team"], steps) == ("red", Steps())
    source.set([Entry(str(log), labels={"team": "blue"}, steps=Steps(encoding="gbk"))])
    append(log, "two\n")
    ((text, labels, steps),) = read(source)
    assert (text, labels["team"], steps) == ("two", "blue", Steps(encoding="gbk"))


def test_the_first_entry_that_finds_a_file_has_it(tmp_path, follow):
    append(tmp_path / "a.log", "one\n")
    source = follow(Entry(f"{tmp_path}/*.log", labels={"n": "1"}), Entry(str(tmp_path / "a.log"), labels={"n": "2"}))
    ((_, labels, _),) = read(source)
    assert labels["n"] == "1"


def test_what_was_renamed_out_of_a_glob_is_read_to_its_end_under_new_entries_too(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    texts(source)
    append(log, "two\n")
    log.rename(tmp_path / "a.log.1")
    source.set([Entry(f"{tmp_path}/*.log", labels={"team": "blue"})])
    ((text, labels, _),) = read(source)
    assert (text, labels["team"]) == ("two", "blue")


def test_what_was_renamed_while_it_was_not_wanted_is_found_again(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    texts(source)
    source.set([])
    texts(source)
    append(log, "two\n")
    log.rename(tmp_path / "a.log.1")
    append(log, "three\n")
    source.set([Entry(str(log))])
    assert texts(source) == ["two", "three"]


def test_a_file_that_is_excluded_now_is_closed(tmp_path, follow):
    append(tmp_path / "a.log", "one\n")
    source = follow(Entry(f"{tmp_path}/*.log"))
    texts(source)
    source.set([Entry(f"{tmp_path}/*.log", exclude=("a.*",))])
    append(tmp_path / "a.log", "two\n")
    assert (texts(source), source.files) == ([], [])


def test_a_file_that_was_removed_from_the_entries_while_nobody_looked_stays_unread(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    (_, lines) = next(source.poll())
    append(log, "two\n")
    other = FileSource([Entry(f"{tmp_path}/other.log")], [lines.origin])
    assert (texts(other), other.files) == ([], [])
    other.close()


def test_start_applies_to_the_files_that_a_new_entry_finds_at_first(tmp_path, follow):
    source = follow()
    texts(source)
    append(tmp_path / "a.log", "old\n")
    source.set([Entry(f"{tmp_path}/*.log", start="end")])
    assert texts(source) == []
    append(tmp_path / "a.log", "new\n")
    append(tmp_path / "b.log", "first\n")
    source.set([Entry(f"{tmp_path}/*.log", start="end", labels={"x": "y"})])
    assert sorted(texts(source)) == ["first", "new"]


def test_a_problem_of_an_entry_goes_with_it(tmp_path, follow):
    (tmp_path / "loop.log").symlink_to("loop.log")
    source = follow(Entry(str(tmp_path / "loop.log")))
    texts(source)
    assert list(source.problems) == [str(tmp_path / "loop.log")]
    source.set([])
    texts(source)
    assert source.problems == {}


WISHES = [[], ["a.log"], ["*.log"], ["b.*"], ["b.log", "*.log*"], ["*.log*"]]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.sampled_from(["a.log", "b.log"])),
        st.tuples(st.just("rename"), st.sampled_from(["a.log", "b.log"])),
        st.tuples(st.just("read"), st.booleans()),
        st.tuples(st.just("set"), st.sampled_from(WISHES)),
    ),
    max_size=25,
)


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_whatever_is_wished_meanwhile_each_line_comes_once(steps):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        source, written, found = FileSource([]), [], []
        for number, (what, how) in enumerate([*steps, ("set", ["*.log*"]), ("read", True)]):
            if what == "append":
                append(folder / how, f"{how} {number}\n")
                written.append(f"{how} {number}")
            elif what == "rename" and (folder / how).exists():
                (folder / how).rename(folder / f"{how}.{number}")
            elif what == "set":
                source.set([Entry(str(folder / pattern)) for pattern in how])
            elif what == "read":
                found += texts(source, acknowledge=how)
                for file in source.files if how else ():
                    file.acked = file.offset
        source.close()
    assert sorted(found) == sorted(written)


def test_a_generation_outside_of_the_globs_is_read_to_its_end_as_its_log_is_wanted_now(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    assert texts(source) == ["one"]
    log.rename(tmp_path / "a.log.1")
    append(log, "three\n")
    source.look()
    append(tmp_path / "a.log.1", "two\n")
    source.set([Entry(str(log), labels={"app": "a"})])
    assert {(text, labels.get("app")) for text, labels, _ in read(source)} == {("two", "a"), ("three", "a")}


def test_of_a_log_that_is_wanted_no_more_no_generation_is_looked_for(tmp_path, follow):
    log = tmp_path / "a.log"
    append(log, "one\n")
    source = follow(Entry(str(log)))
    assert texts(source) == ["one"]
    source.set([Entry(str(tmp_path / "b.log"))])
    assert texts(source) == []
    log.rename(tmp_path / "a.log.1")
    append(tmp_path / "a.log.1", "two\n")
    append(log, "three\n")
    append(tmp_path / "b.log", "other\n")
    source.set([Entry(str(tmp_path / "b.log"))])
    assert texts(source) == ["other"]
