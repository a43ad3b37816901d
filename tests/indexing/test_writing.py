"""A cluster that is small, and dies: what it does not take at once it gets alone, smaller or later."""

import pytest

from tests.apps.programs import until
from tests.indexing.lines import messages, numbered, wait_for
from tests.indexing.test_indexing import letters
from tests.servers import elasticsearch
from tests.servers.fixtures import RUN
from tests.servers.run import Absent

SMALL = {
    "thread_pool.write.queue_size": "1",  # and two threads: what comes for a fourth shard at once is turned away
    "http.max_content_length": "200kb",
}


@pytest.fixture(scope="module")
def process(request, tmp_path_factory):
    """The process of an Elasticsearch of this module's own, and how it is spoken to."""
    run = request.config.stash[RUN]
    try:
        started, server = elasticsearch.one(run, tmp_path_factory.mktemp("small"), **SMALL)
    except Absent as why:
        run.absent(str(why))
    yield started, server
    started.kill()


@pytest.fixture(scope="module", params=["elasticsearch"])
def search_server(process):
    return process[1]


def test_documents_that_are_turned_away_are_sent_again_alone(search_server, sender, prefix, index):
    sender.send(1000)
    running = index(shards=12)
    until(lambda: running.status().written == 1000, 90)
    assert running.status().rejected > 0
    assert running.status().there == 0  # what had been taken was not sent again
    assert messages(search_server, prefix) == numbered(range(1000))


def test_a_request_that_is_too_large_is_halved_and_a_document_that_is_goes_to_the_dead_letters(
    kafka, search_server, topic, sender, prefix, index
):
    long = "n={} " + 2_000 * "ab "
    sender.send(60, message=long)  # 720 KB as documents
    sender.send(1, message="n={} " + 90_000 * "ab ")
    sender.send(5)
    running = index()
    until(lambda: running.status().dead == 1 and running.status().written == 65, 90)
    assert messages(search_server, prefix) == sorted([*numbered(range(60), long), *numbered(range(61, 66))])
    ((one, said),) = letters(kafka, topic, 1)
    assert one.value().count(b"ab ") == 90_000
    assert said["tailrace-dead-why"].startswith("413")


def test_a_cluster_that_is_killed_and_comes_back_has_every_line_once(process, search_server, sender, prefix, index):
    sender.send(50)
    running = index()
    wait_for(search_server, prefix, 50)
    process[0].kill()
    sender.send(50)
    until(lambda: any("does not answer" in problem for problem in running.problems()), 60)
    process[0].start()
    until(lambda: running.status().written + running.status().there >= 100, 120)
    assert messages(search_server, prefix) == numbered(range(100))
    until(lambda: running.problems() == [], 60)
