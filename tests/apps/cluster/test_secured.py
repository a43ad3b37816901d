"""An indexer and a server over brokers that ask for a certificate to be verified, and for a password."""

import pytest

from tests.apps.cluster.indexers import Indexer
from tests.apps.programs import until
from tests.apps.secured import PASSWORD, scrambled
from tests.apps.tail.reading import tailing
from tests.servers.kafka import Kafka

WHY = "check kafka.user, kafka.mechanism and the password"


@pytest.mark.parametrize("search_server", ["opensearch"], indirect=True)
def test_with_tls_and_scram_an_indexer_indexes_and_a_server_searches_tails_and_takes_in(
    start_kafka, tmp_path, start, search_server, prefix
):
    own, given = scrambled(start_kafka, tmp_path)
    direct = Kafka(own.direct)
    topic = direct.topic(2)
    direct.put(topic, b"indexed")
    indexer = Indexer(tmp_path / "index.log", own, topic, search_server.url, prefix, **given)
    try:
        until(lambda: indexer.status()["written"] == 1)
        assert PASSWORD not in indexer.said()
        assert indexer.stop() == 0
    finally:
        if indexer.process.poll() is None:
            indexer.kill()
    elastic = {"TAILRACE_ELASTIC__URLS": search_server.url, "TAILRACE_ELASTIC__INDEX": prefix}
    server = start(TAILRACE_KAFKA__TOPICS=topic, **elastic, **given)
    with tailing(server) as tail:
        status, answer = server.push(b'{"message":"pushed"}\n', parameters={"service": "shop"})
        assert (status, answer["accepted"]) == (200, 1)
        assert tail.until_count(1).messages == ["pushed"]
    assert sorted(server.messages()) == ["indexed", "pushed"], "one from the cluster, one from Kafka"
    assert server.get("/api/v1/status")["problems"] == []


@pytest.mark.parametrize("search_server", ["opensearch"], indirect=True)
def test_a_wrong_password_is_said_once_with_its_cure_by_an_indexer_and_by_a_server(
    start_kafka, tmp_path, start, search_server, prefix
):
    own, given = scrambled(start_kafka, tmp_path)
    topic = Kafka(own.direct).topic()
    (tmp_path / "password").write_text("open barley")
    indexer = Indexer(tmp_path / "index.log", own, topic, search_server.url, prefix, **given)
    try:
        server = start(TAILRACE_KAFKA__TOPICS=topic, **given)
        assert WHY in server.get("/api/v1/status")["problems"][0]
        until(lambda: WHY in indexer.said())
        # Before it starts without brokers a server looks for ten seconds; the indexer has tried dozens of times by now.
        assert indexer.said().count("PROBLEM") == 1
        assert "well again" not in indexer.said()
        assert "barley" not in indexer.said() + server.log.read_text()
    finally:
        indexer.kill()
