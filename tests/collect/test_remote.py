"""What another machine may have us collect, and what it may not."""

import json

import pytest

from tailrace.collect.entries import Rule, Wish
from tailrace.collect.remote import check, masked, wishes_of
from tailrace.errors import ConfigError
from tailrace.limits import REMOTE_BYTES_MAX, REMOTE_ENTRIES_MAX


def checked(paths, allow, *, here=True):
    check([Wish(str(path)) for path in paths], {}, [], [str(root) for root in allow], here=here)


def refused(value):
    with pytest.raises(ConfigError) as refusal:
        wishes_of(value if isinstance(value, bytes) else json.dumps(value).encode())
    return str(refusal.value)


def test_entries_have_the_keys_of_the_file():
    value = {"entries": [{"path": "/var/log/*.log", "labels": {"team": "red"}, "multiline": "off"}]}
    (wish,) = wishes_of(json.dumps(value).encode())
    assert (wish.path, wish.labels, wish.multiline) == ("/var/log/*.log", {"team": "red"}, "off")


def test_a_list_of_paths_and_topics_is_taken():
    wishes = wishes_of(b'[{"path": "/var/log/a.log", "topic": "a"}, {"path": "/var/log/b.log", "topic": "b"}]')
    assert [(wish.path, wish.topic) for wish in wishes] == [("/var/log/a.log", "a"), ("/var/log/b.log", "b")]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b"nope", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        (b"[" * 100_000, "it is not JSON"),
        (b"", "it is not JSON"),
        ({"entry": []}, "there is no key 'entry'"),
        ({}, "no list of entries"),
        (3, "no list of entries"),
        ([3], "entries[0]"),
        ([{"pth": "/a"}], "there is no key entries[0].pth\n  Did you mean 'path'?"),
        ([{"path": "/a"}, {"path": 3}], "entries[1].path: Expected `str`"),
        ([{}], "missing required field `path`"),
        ([{"path": "/a"}] * (REMOTE_ENTRIES_MAX + 1), f"it has {REMOTE_ENTRIES_MAX + 1} entries"),
        (b" " * (REMOTE_BYTES_MAX + 1), "bytes"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_with_its_place(value, said):
    assert said in refused(value)


def test_a_query_that_is_none_is_refused_as_in_the_file(tmp_path):
    with pytest.raises(ConfigError, match=r"entries\[0\].drop"):
        check([Wish(f"{tmp_path}/a", drop="level:(")], {}, [], [str(tmp_path)], here=True)


def test_without_roots_nothing_may_be_read(tmp_path):
    with pytest.raises(ConfigError, match="names no roots"):
        checked([tmp_path / "a.log"], [])
    checked([], [])


@pytest.mark.parametrize(
    "path", ["a.log", "*.log", "**/*.log", "app", "app/**", "link-inside/a.log", "[ab].log", "not-there/yet.log", ""]
)
def test_what_lies_below_a_root_may_be_read(tmp_path, path):
    (tmp_path / "app").mkdir()
    (tmp_path / "link-inside").symlink_to(tmp_path / "app")
    checked([f"{tmp_path}/{path}"], [tmp_path])


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{root}/../secret.log",
        "{root}/*/../../secret.log",
        "{root}2/a.log",
        "{root}*/a.log",
        "/**/*.log",
        "relative.log",
        "~/a.log",
        "{root}/link/passwd",
        "{root}/link/*",
        "{root}/file",
        "//etc/passwd",
    ],
)
def test_what_leaves_the_roots_is_refused(tmp_path, path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to("/etc")
    (root / "file").symlink_to("/etc/passwd")
    with pytest.raises(ConfigError, match=r"entries\[0\].path"):
        checked([path.format(root=root)], [root])


def test_a_root_that_is_a_link_is_where_it_leads(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "real")
    checked([tmp_path / "root" / "a.log", tmp_path / "real" / "a.log"], [tmp_path / "root"])


def test_of_another_machine_only_the_written_path_is_compared(tmp_path):
    (tmp_path / "link").symlink_to("/etc")
    checked([tmp_path / "link" / "passwd"], [tmp_path], here=False)
    with pytest.raises(ConfigError, match="not below"):
        checked(["/etc/passwd"], [tmp_path], here=False)


def test_an_entry_adds_to_what_is_masked_and_takes_nothing_from_it():
    assert masked(Wish("/a", redact=[]), ["secrets"]).redact == ["secrets"]
    assert masked(Wish("/a", redact=["personal", "secrets"]), ["secrets"]).redact == ["secrets", "personal"]
    assert masked(Wish("/a"), ["secrets"]).redact is None


def test_an_entry_uses_the_rules_of_the_file_only(tmp_path):
    wish = Wish(f"{tmp_path}/a", redact=["badge"])
    with pytest.raises(ConfigError, match=r"entries\[0\].redact"):
        check([wish], {}, [], [str(tmp_path)], here=True)
    check([wish], {"badge": Rule(r"B\d+", template="x")}, [], [str(tmp_path)], here=True)
