"""Servers that refuse: what is written waits until that is mended, or is put aside alone; nothing is lost silently."""

import json

import pytest

from tests.apps.agent.agents import all_there, logs, numbers, wait_for_lines, write
from tests.apps.agent.sieve import Sieve
from tests.apps.agent.tls import Tls, certificate
from tests.apps.programs import tailrace, until
from tests.apps.test_bad_disk import fill, small_disk  # noqa: F401 - a fixture


@pytest.fixture
def sieve():
    """Put sieves before servers."""
    made = []

    def one(port, text):
        made.append(Sieve(port, text))
        return made[-1]

    yield one
    for each in made:
        each.close()


@pytest.mark.scenario(
    "E09",
    "the token is wrong, then good, then revoked while lines are shipped, then there is a new one",
    others="vlagent drops what is answered with 400 or 404",
)
def test_a_token_that_is_refused_holds_the_lines_until_the_file_has_a_good_one(tmp_path, start, agent, writer):
    def token(*words):
        return tailrace("token", *words, "--data", tmp_path / "data").stdout.decode().strip()

    mine, first = token("add", "me"), token("add", "web-1")
    server = start()
    file = tmp_path / "token"
    file.write_text("tr_wrong\n")
    shipping = agent(logs(tmp_path), servers=[server.url], TAILRACE_AGENT__TOKEN_FILE=str(file))

    def found():
        head = {"Authorization": f"Bearer {mine}"}
        status, _, body = server.call("GET", "/api/v1/search", {"limit": 100_000, "order": "arrival"}, **head)
        assert status == 200
        return [int(one["message"].rpartition(" ")[2]) for one in json.loads(body)["records"]]

    def refused(times):
        until(lambda: shipping.said().count("it answered 401") == times)

    refused(1)
    assert "`tailrace token add NAME` on the server" in shipping.said()
    assert str(file) in shipping.said()
    assert found() == []
    file.write_text(first)
    until(found)
    until(lambda: "well again" in shipping.said())
    token("remove", "web-1")
    refused(2)
    wait_for_lines(writer, 100)
    file.write_text(token("add", "web-1"))
    writer.stop()
    until(lambda: len(found()) >= writer.written)
    assert found() == list(range(writer.written))


@pytest.mark.scenario("E10", "a server refuses some records for good, in the middle of others")
def test_only_the_poison_lines_are_put_aside_and_the_rest_arrives(start, agent, log, sieve):
    server = start()
    write(log, 0, 2000)
    poison = [7, 8, 999, 1999]
    lines = log.read_text().splitlines()
    log.write_text("".join(f"{line}{' poison' if n in poison else ''}\n" for n, line in enumerate(lines)))
    shipping = agent(log, servers=[sieve(server.port, "poison").url])
    until(lambda: len(numbers(server)) >= 1996)
    assert numbers(server) == [n for n in range(2000) if n not in poison]
    (dead,) = (shipping.directory / "dead").iterdir()
    until(lambda: dead.read_text().count("\n") == 4)
    kept = [json.loads(line) for line in dead.read_text().splitlines()]
    assert [one["why"] for one in kept] == ["it answered 400: poison is not taken here"] * 4
    until(lambda: str(dead) in shipping.said())
    body = b"".join(json.dumps(one["record"]).encode() + b"\n" for one in kept)
    assert server.push(body)[1]["accepted"] == 4  # once the fault is mended
    assert len(server.messages(q="poison")) == 4


@pytest.mark.scenario("E11", "what is refused cannot be put aside either; another server takes everything")
def test_a_poison_line_that_cannot_be_put_aside_waits_and_holds_up_no_other_server(start, agent, log, sieve, tmp_path):
    server, other = start(), start(name="other")
    write(log, 0, 100)
    shipping = agent(log, servers=[sieve(server.port, "poison").url, other.url])
    until(lambda: len(numbers(server)) >= 100)
    (tmp_path / "agent" / "dead").write_text("in the way")
    with log.open("a") as file:
        file.write("poison\n")
    write(log, 101, 100)
    until(lambda: "cannot write" in shipping.said())
    until(lambda: len(other.messages()) >= 201)
    assert numbers(server) == list(range(100))
    (tmp_path / "agent" / "dead").unlink()
    until(lambda: len(numbers(server)) >= 200)
    assert numbers(server) == [*range(100), *range(101, 201)]
    assert len(list((tmp_path / "agent" / "dead").iterdir())) == 1


@pytest.mark.scenario("F01", "the server's disk is full while an agent ships to it")
def test_a_server_whose_disk_is_full_is_waited_for(
    tmp_path,
    start,
    agent,
    writer,
    small_disk,  # noqa: F811
):
    server = start(name="disk/data")
    shipping = agent(logs(tmp_path), servers=[server.url])
    until(lambda: numbers(server))
    ballast = fill(small_disk)
    until(lambda: "it answered 507" in shipping.said())
    wait_for_lines(writer, 100)
    ballast.unlink()
    writer.stop()
    all_there(server, writer)


@pytest.mark.scenario("E16", "the certificate is of an unknown authority, or expired; there is no TLS; no authorities")
def test_a_server_that_cannot_be_verified_gets_nothing_until_it_can(tmp_path, start, agent, log, port):
    write(log, 0, 100)
    server = start()
    good, bad, past = (certificate(tmp_path, name, past=name == "past") for name in ("good", "bad", "past"))
    ca_file = tmp_path / "ca.pem"
    faults = [(bad, good, "cannot be verified"), (past, past, "expired"), (None, good, ""), (bad, None, "authorities")]
    for number, (pair, trusted, said) in enumerate(faults):
        ca_file.unlink(missing_ok=True)
        if trusted:
            ca_file.write_bytes(trusted[1].read_bytes())
        front = Tls(server.port, port, pair)
        try:
            more = {"name": f"agent-{number}", "TAILRACE_AGENT__CA_FILE": str(ca_file)}
            shipping = agent(log, servers=[f"https://127.0.0.1:{port}"], **more)
            until(lambda: "PROBLEM: https" in shipping.said())  # noqa: B023 - it is called in this turn
            assert said in shipping.said()
            assert front.passed == 0
        finally:
            front.close()
        if number < len(faults) - 1:
            shipping.stop()
    assert server.messages() == []
    ca_file.write_bytes(good[1].read_bytes())
    front = Tls(server.port, port, good)
    try:
        until(lambda: numbers(server) == list(range(100)), 40)
    finally:
        front.close()
