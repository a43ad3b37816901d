"""Indexers die, come and go while lines are written: each line is in the index once.

``SEED=7`` repeats a run, ``KILLS=10`` makes it longer.
"""

import os
import random
from types import SimpleNamespace

import pytest

from tests.apps.cluster.indexers import Indexer
from tests.apps.programs import tailrace, until
from tests.indexing.lines import Sender, Sending, committed, messages, numbered, wait_for

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
KILLS = int(os.environ.get("KILLS", "2"))
PARTITIONS = 4


@pytest.fixture
def topic(kafka):
    return kafka.topic(PARTITIONS)


@pytest.fixture
def indexer(tmp_path, kafka, search_server, topic, prefix):
    """Start indexers that end with the test."""
    started = []

    def one(**more):
        log = tmp_path / f"index-{len(started)}.log"
        started.append(Indexer(log, kafka, topic, search_server.url, prefix, **more))
        return started[-1]

    yield one
    for each in started:
        if each.process.poll() is None:
            each.kill()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("search_server", ["opensearch"], indirect=True)
def test_every_line_is_in_the_index_once_when_the_indexer_is_killed_again_and_again(
    kafka, search_server, topic, prefix, indexer
):
    chance = random.Random(SEED)
    with Sending(Sender(kafka, topic), PARTITIONS, lines=10, pause_s=0.05) as sending:
        for number in range(KILLS):
            running = indexer()
            before = sending.sender.sent
            until(lambda: running.status()["written"] > 0, 60)  # noqa: B023
            target = sending.sender.sent + chance.randrange(100)
            until(lambda: sending.sender.sent > target)  # noqa: B023
            running.kill()
            assert sending.sender.sent > before, number
    running = indexer()
    wait_for(search_server, prefix, sending.sender.sent)
    assert messages(search_server, prefix) == numbered(range(sending.sender.sent)), f"SEED={SEED}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("search_server", ["opensearch"], indirect=True)
def test_processes_that_come_and_go_share_the_partitions_and_write_each_line_once(
    kafka, search_server, topic, prefix, indexer
):
    with Sending(Sender(kafka, topic), PARTITIONS, lines=10, pause_s=0.05) as sending:
        running = [indexer()]
        until(lambda: len(running[0].partitions()) == PARTITIONS, 60)
        assert f"{topic}/0" in tailrace("status", "--server", running[0].url).stdout.decode()
        running += [indexer(), indexer()]
        until(lambda: sorted(len(one.partitions()) for one in running) == [1, 1, 2], 60)
        assert running[0].stop() == 0
        until(lambda: sorted(len(one.partitions()) for one in running[1:]) == [2, 2], 60)
    wait_for(search_server, prefix, sending.sender.sent)
    assert messages(search_server, prefix) == numbered(range(sending.sender.sent))
    assert [one.stop() for one in running[1:]] == [0, 0]
    assert sum(committed(kafka, f"{prefix}-index", topic).values()) == sending.sender.sent


def test_an_indexer_without_a_kafka_or_a_cluster_says_what_to_name():
    lost = tailrace("index")
    assert (lost.returncode, lost.stdout) == (2, b"")
    assert b"--kafka" in lost.stderr
    assert b"--elastic" in tailrace("index", "--kafka", "127.0.0.1:9").stderr


def test_an_indexer_that_has_reached_nobody_ends_in_order(tmp_path):
    nowhere = SimpleNamespace(bootstrap="127.0.0.1:9")
    lost = Indexer(tmp_path / "index.log", nowhere, "logs", "http://127.0.0.1:9", "logs")
    until(lambda: any("does not answer" in problem for problem in lost.status()["problems"]))
    assert lost.stop() == 0
    assert "Traceback" not in lost.said()
