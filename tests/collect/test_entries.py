import gzip
import os

import pytest

from tailrace import lines
from tailrace.collect.entries import Multiline, Rule, Sample, Wish, check, difference, entry_of, look
from tailrace.errors import ConfigError
from tailrace.lines import Steps
from tailrace.sources.entry import Entry
from tailrace.sources.globs import Fence


@pytest.mark.parametrize(
    ("wish", "key"),
    [
        (Wish(""), "path"),
        (Wish("/a", start="middle"), "start"),
        (Wish("/a", exclude=["[z-a]"]), "exclude"),
        (Wish("/a", labels={"path": "/b"}), "labels.path"),
        (Wish("/a", labels={"": "x"}), "labels."),
        (Wish("/a", labels={str(number): "x" for number in range(99)}), "labels"),
        (Wish("/a", encoding="klingon"), "encoding"),
        (Wish("/a", zone="Mars/Olympus"), "zone"),
        (Wish("/a", multiline="maybe"), "multiline"),
        (Wish("/a", multiline=Multiline()), "multiline"),
        (Wish("/a", multiline=Multiline(start="a", continue_="b")), "multiline"),
        (Wish("/a", multiline=Multiline(continue_="(")), "multiline"),
        (Wish("/a", redact=["sercets"]), "redact"),
        (Wish("/a", drop="level:("), "drop"),
        (Wish("/a", drop="a | count"), "drop"),
        (Wish("/a", sample=Sample(2, "level:(")), "sample"),
        (Wish("/a", sample=Sample(1)), "sample"),
        (Wish("/a", levels={"x": "loud"}), "levels"),
        (Wish("/a", labels_from="no group"), "labels_from"),
        (Wish("/a", format="%{NOSUCH:x}"), "format"),
    ],
)
def test_what_has_no_meaning_is_told_by_its_place_and_with_a_cure(wish, key):
    with pytest.raises(ConfigError) as caught:
        check([Wish("/fine"), wish], {})
    assert caught.value.message.startswith(f"collect.entries[1].{key}: ")
    assert caught.value.cure


@pytest.mark.parametrize(
    "rule", [Rule("("), Rule("(?=a)"), Rule("a", [1]), Rule("a", [1, 2], "x"), Rule("a", template="{no}")]
)
def test_a_rule_that_has_no_meaning_is_told_by_its_name(rule):
    with pytest.raises(ConfigError, match=r"collect\.rules\.mine: "):
        check([], {"mine": rule})


def test_everything_that_can_be_wished_can_be_wished_at_once():
    wish = Wish(
        "/a", ["*.1"], "10MB", {"team": "red"}, "gb18030", "json", "Asia/Shanghai", Multiline(start=r"^\d"),
        {"NOTICE": "warn"}, "severity", "/(?P<team>[^/]+)/", "web", ["secrets", "jwt", "mine"], "level:debug",
        Sample(10, "level:info"),
    )  # fmt: skip
    check([wish], {"mine": Rule("x(?P<n>[0-9]+)", template="{n}")})


def test_an_entry_has_what_was_wished_and_what_holds_for_all():
    wish = Wish("~/a.log", ["*.1"], labels={"team": "red"}, encoding="gbk")
    made = entry_of(wish, {}, host="web", exclude=["/b"], start="end")
    assert made == Entry(
        os.path.expanduser("~/a.log"), "end", {"host": "web", "team": "red"}, Steps(encoding="gbk"), ("*.1", "/b")
    )


def test_the_topic_of_an_entry_is_a_label_of_its_lines():
    assert entry_of(Wish("/a", topic="orders"), {}, host="web").labels == {"host": "web", "topic": "orders"}


def test_the_verbs_of_an_entry_become_steps():
    wish = Wish("/a", redact=["secrets", "mine"], drop="level:debug", sample=Sample(10, "level:info"))
    steps = entry_of(wish, {"mine": Rule("x+", keep=[1, 2])}).steps
    assert (steps.drop, steps.sample) == ("level:debug", lines.Sample("level:info", 10))
    assert steps.redact == ("secrets", lines.Mask("mine", "x+", (1, 2)))


@pytest.mark.parametrize(("own", "found"), [(None, ("personal",)), ([], ()), (["secrets"], ("secrets",))])
def test_what_an_entry_says_of_masking_goes_before_what_holds_for_all(own, found):
    assert entry_of(Wish("/a", redact=own), {}, redact=["personal"]).steps.redact == found


def test_the_difference_names_what_was_added_removed_and_changed():
    old = [Entry("/same"), Entry("/gone"), Entry("/other")]
    new = [Entry("/new"), Entry("/other", labels={"a": "b"}), Entry("/same")]
    assert difference(old, new) == (["/new"], ["/gone"], ["/other"])


def test_a_look_tells_what_is_found_what_is_left_out_and_why(tmp_path):
    for name in ("a.log", "b.log", "c.log.xz", "skip.log"):
        (tmp_path / name).write_text("line\n")
    (tmp_path / "d.log.gz").write_bytes(gzip.compress(b"line\n", mtime=0))
    (tmp_path / "bin.log").write_bytes(b"\0\0")
    os.mkfifo(tmp_path / "fifo.log")
    (tmp_path / "nowhere.log").symlink_to("missing")
    (tmp_path / "kernel.log").symlink_to("/proc/self/status")
    whole, globbed = look(
        [Entry(str(tmp_path), exclude=("skip*",)), Entry(f"{tmp_path}/*.log", exclude=("fifo*", "now*", "ker*"))],
        Fence(),
    )
    assert whole.files == [(f"{tmp_path}/a.log", 5), (f"{tmp_path}/b.log", 5), (f"{tmp_path}/d.log.gz", 25)]
    assert {os.path.basename(path): why for path, why in whole.left_out} == {
        "c.log.xz": "compressed in a way that is not read; gzip is",
        "skip.log": "excluded",
        "bin.log": "binary",
        "fifo.log": "not a regular file",
        "nowhere.log": "no such file or directory",
        "kernel.log": "a file of the kernel",
    }
    assert [os.path.basename(path) for path, _ in globbed.files] == ["bin.log", "skip.log"]
    assert globbed.overlaps == {0: 2}
