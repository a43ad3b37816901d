"""Separators between groups of lines, against what grep does with the same lines."""

import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace.cli.groups import Groups


def record(number, match, service="shop"):
    return {"service": service, "cursor": f"7f-{number}", "message": f"{number}"} | ({} if match else {"context": True})


def grouped(records, around):
    groups, out = Groups(around), []
    for one in records:
        out += ["--"] * groups.begins(one) + [one["message"]]
    return out


@settings(max_examples=25)
@given(st.lists(st.booleans(), min_size=1, max_size=40), st.integers(1, 3))
def test_on_one_stream_the_groups_are_those_of_grep(matches, around):
    text = "".join(f"{'x' if match else '.'}{number}\n" for number, match in enumerate(matches))
    grep = subprocess.run(["grep", f"-C{around}", "x"], input=text, capture_output=True, text=True, check=False).stdout
    near = [number for number in range(len(matches)) if any(matches[max(0, number - around) : number + around + 1])]
    shown = grouped([record(number, matches[number]) for number in near], around)
    assert shown == [line.lstrip("x.") for line in grep.splitlines()]


def test_a_change_of_the_stream_begins_a_group():
    assert grouped([record(1, True), record(2, False, "other"), record(3, True, "other")], 1) == ["1", "--", "2", "3"]


def test_lines_between_which_others_were_written_elsewhere_belong_together():
    assert grouped([record(1, False), record(5, True), record(9, False), record(20, False), record(22, True)], 1) == [
        "1", "5", "9", "--", "20", "22",
    ]  # fmt: skip
