"""Agents that ship to Kafka, as processes, while they and the brokers die."""

import os
import random
import signal
from collections import Counter

from tailrace.bus.brokers import Brokers
from tailrace.bus.kafka import KafkaLog
from tailrace.pipeline.foreign import understand
from tests.apps.agent.agents import logs, wait_for_lines, write
from tests.apps.programs import until
from tests.apps.secured import secured
from tests.bus.topics import all_of, lines_on

SEED = int(os.environ.get("SEED", random.randrange(1 << 32)))
KILLS = 5


def settings(topic, **more):
    return {"TAILRACE_AGENT__TOPIC": topic, "TAILRACE_KAFKA__PARTITIONS": "2", **more}


def numbers_on(kafka, topic):
    """Return the numbers of the lines that are on a topic, in their order."""
    return [int(line.partition(" app line ")[2]) for line in lines_on(kafka, topic)]


def newest(bootstrap, topic):
    log = KafkaLog(Brokers(tuple(bootstrap.split(","))), [topic], understand)
    try:
        return sum(map(len, all_of(log)))
    finally:
        log.close()


def test_every_line_is_there_once_and_in_order_after_the_agent_was_killed(kafka, tmp_path, agent, writer):
    chance = random.Random(SEED)
    topic = kafka.topic()  # of one partition, so that all lines keep their order
    for _ in range(KILLS):
        shipping = agent(logs(tmp_path), "--kafka", kafka.bootstrap, **settings(topic))
        wait_for_lines(writer, chance.randint(50, 400))
        shipping.stop(signal.SIGKILL)
    writer.stop()
    shipping = agent(logs(tmp_path), "--kafka", kafka.bootstrap, **settings(topic))
    until(lambda: len(lines_on(kafka, topic)) >= writer.written, 60)
    assert shipping.stop() == 0
    found = numbers_on(kafka, topic)
    lost = sorted(set(range(writer.written)) - set(found))
    doubled = [n for n, times in Counter(found).items() if times > 1]
    assert (lost[:9], doubled[:9], found == sorted(found)) == ([], [], True), f"SEED={SEED}\n{shipping.said()}"


def test_what_was_read_while_the_broker_was_away_is_there_when_it_is_back(start_kafka, tmp_path, agent, log):
    own = start_kafka()
    topic = own.topic()
    write(log, 0, 500)
    shipping = agent(log, "--kafka", own.bootstrap, **settings(topic))
    until(lambda: newest(own.bootstrap, topic) == 500, 60)
    own.brokers[0].kill()
    write(log, 500, 2000)
    until(lambda: "PROBLEM: kafka://" in shipping.said(), 60)
    own.brokers[0].start()
    until(lambda: "well again: kafka://" in shipping.said(), 90)
    until(lambda: newest(own.bootstrap, topic) == 2500, 60)
    assert numbers_on(own, topic) == list(range(2500))
    assert shipping.stop() == 0


def test_brokers_are_reached_with_tls_and_verified(start_kafka, tmp_path, agent, log):
    own, authority = secured(start_kafka, tmp_path, "SSL")
    write(log, 0, 20)
    wrong = agent(log, "--kafka", own.bootstrap, name="wrong", **settings("tls", TAILRACE_KAFKA__TLS="true"))
    until(lambda: "kafka.ca_file" in wrong.said(), 60)
    wrong.stop()
    given = settings("tls", TAILRACE_KAFKA__TLS="true", TAILRACE_KAFKA__CA_FILE=str(authority))
    right = agent(log, "--kafka", own.bootstrap, **given)
    until(lambda: newest(own.direct, "tls") == 20, 60)
    assert right.stop() == 0


def test_a_password_lets_in_and_is_shown_nowhere(start_kafka, tmp_path, agent, log):
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="open sesame";'
    own, authority = secured(
        start_kafka,
        tmp_path,
        "SASL_SSL",
        **{
            "listener.name.proxied.sasl.enabled.mechanisms": "PLAIN",
            "listener.name.proxied.plain.sasl.jaas.config": login,
        },
    )
    write(log, 0, 20)
    password = tmp_path / "password"
    given = {
        "TAILRACE_KAFKA__TLS": "true",
        "TAILRACE_KAFKA__CA_FILE": str(authority),
        "TAILRACE_KAFKA__MECHANISM": "PLAIN",
        "TAILRACE_KAFKA__USER": "alice",
        "TAILRACE_KAFKA__PASSWORD_FILE": str(password),
    }
    password.write_text("open barley")
    shipping = agent(log, "--kafka", own.bootstrap, **settings("sasl", **given))
    until(lambda: "kafka.user" in shipping.said(), 60)
    password.write_text("open sesame\n")
    until(lambda: newest(own.direct, "sasl") == 20, 90)
    assert shipping.stop() == 0
    assert "sesame" not in shipping.said()
