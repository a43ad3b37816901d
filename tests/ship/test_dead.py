"""A record that no server wants is kept once, whole, and within bounds."""

import contextlib
import json

import pytest

from tailrace.errors import DiskFull
from tailrace.ship.dead import DeadLetters
from tests.batches import batch_of


def record(number):
    return batch_of([f"line {number}"]).placed(7, number)


def kept(path):
    return [json.loads(line)["record"]["message"] for line in path.read_text().splitlines()]


def test_a_record_is_kept_with_the_reason(tmp_path):
    path = tmp_path / "dead" / "a.ndjson"
    DeadLetters(path).add(record(1), "too odd")
    assert json.loads(path.read_text())["why"] == "too odd"
    assert kept(path) == ["line 1"]


def test_a_record_that_comes_again_after_a_restart_is_kept_once(tmp_path):
    path = tmp_path / "a.ndjson"
    for _ in range(2):
        DeadLetters(path).add(record(1), "")
    DeadLetters(path).add(record(2), "")
    assert kept(path) == ["line 1", "line 2"]
    assert DeadLetters(path).records == 2


def test_what_a_crash_left_of_a_line_is_written_over(tmp_path):
    path = tmp_path / "a.ndjson"
    DeadLetters(path).add(record(1), "")
    with path.open("a") as file:
        file.write('{"why":"","rec' + "x" * 5000)
    DeadLetters(path).add(record(2), "")
    assert kept(path) == ["line 1", "line 2"]


def test_a_full_file_takes_nothing_until_somebody_moves_it_away(tmp_path):
    path = tmp_path / "a.ndjson"
    dead = DeadLetters(path, bytes_max=500)
    with contextlib.suppress(DiskFull):
        for number in range(100):
            dead.add(record(number), "")
    with pytest.raises(DiskFull):
        dead.add(record(199), "")
    assert path.stat().st_size <= 500
    path.rename(tmp_path / "old")
    dead.add(record(200), "")
    assert kept(path) == ["line 200"]
