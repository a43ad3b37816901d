"""Pushes that wait on disk."""

import os
from pathlib import Path

import pytest

from tailrace_sdk.limits import BLOCK_BYTES
from tailrace_sdk.spool import Spool


@pytest.fixture
def spool(tmp_path):
    one = Spool(str(tmp_path / "spool"), 5 * BLOCK_BYTES)
    yield one
    one.close()


def kept(spool):
    return [(Path(one.path).read_bytes(), one.lines, one.key) for one in spool.waiting]


def test_pushes_wait_in_their_order(spool):
    for number in range(3):
        assert spool.add(b"body%d" % number, number, f"key{number}")
    assert kept(spool) == [(b"body0", 0, "key0"), (b"body1", 1, "key1"), (b"body2", 2, "key2")]


def test_a_full_spool_refuses_what_is_new(spool):
    assert spool.add(b"x" * (4 * BLOCK_BYTES), 1, "a")
    assert not spool.add(b"x" * (BLOCK_BYTES + 1), 1, "b")
    spool.remove(spool.waiting[0])
    assert spool.add(b"x" * (BLOCK_BYTES + 1), 1, "b")
    assert spool.bytes == 2 * BLOCK_BYTES


def test_the_spool_of_a_process_that_is_gone_is_taken_over(spool, tmp_path):
    before = Spool(str(tmp_path / "spool"), 5 * BLOCK_BYTES)
    before.add(b"left", 7, "key")
    spool.add(b"own", 1, "own")
    assert spool.adopt() == 0  # it lives
    before.close()
    assert spool.adopt() == 7
    assert kept(spool) == [(b"left", 7, "key"), (b"own", 1, "own")]
    assert len(os.listdir(tmp_path / "spool")) == 1


def test_an_empty_spool_leaves_nothing_behind(tmp_path):
    spool = Spool(str(tmp_path / "spool"), 5 * BLOCK_BYTES)
    spool.add(b"x", 1, "a")
    spool.remove(spool.waiting[0])
    spool.close()
    assert os.listdir(tmp_path / "spool") == []


def test_a_push_that_was_being_written_in_a_crash_is_not_taken_for_a_whole_one(spool, tmp_path):
    before = Spool(str(tmp_path / "spool"), 5 * BLOCK_BYTES)
    before.add(b"whole", 1, "a")
    torn = before.waiting[0].path + ".part"
    with open(torn, "wb") as file:
        file.write(b"tor")
    before.close()
    assert spool.adopt() == 1
    assert [body for body, _, _ in kept(spool)] == [b"whole"]
