"""Real agents that a real etcd tells what to collect, and a server that shows and edits it."""

import http.client
import json
import signal
from pathlib import Path

import pytest

from tailrace.collect.addresses import addresses
from tests.apps.agent.agents import Agent, Writer, all_there, numbers, wait_for_lines
from tests.apps.programs import Server, served, tailrace, until


@pytest.fixture(scope="module")
def server(etcd, tmp_path_factory):
    """One that knows the agents, for the tests that look at its answers by the names of their own agents only."""
    with served(tmp_path_factory, TAILRACE_ETCD__ENDPOINTS=etcd.url) as one:
        yield one


@pytest.fixture
def sink(tmp_path):
    """A server that nobody else ships to."""
    one = Server(tmp_path / "sink")
    yield one
    one.stop(signal.SIGKILL)


@pytest.fixture
def host(request):
    return f"host-{request.node.name.replace('_', '-')[:60]}"


@pytest.fixture
def logs(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path / "logs"


@pytest.fixture
def agent(tmp_path, host, logs):
    """Start agents that follow what etcd says, below ``logs``."""
    started = []

    def one(url, *arguments, allow=logs, servers=("http://127.0.0.1:9",), **more):
        settings = {
            "TAILRACE_ETCD__ENDPOINTS": url,
            "TAILRACE_COLLECT__HOST": host,
            "TAILRACE_COLLECT__ALLOW": str(allow or ""),
            "TAILRACE_ETCD__GONE_AFTER": "5s",
        }
        directory = tmp_path / "agent"
        started.append(Agent(directory, *arguments, servers=servers, **{**settings, **more}))
        return started[-1]

    yield one
    for each in started:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)


def entries(*named, **more):
    return {"entries": [{"path": str(path), **more} for path in named]}


def state(etcd, host):
    return etcd.json(f"tailrace/state/{host}")


def known(server, host):
    return next((one for one in server.get("/api/v1/agents")["agents"] if one["host"] == host), None)


def change(server, host, body, revision, method="PUT"):
    text = body if isinstance(body, str) else json.dumps(body)
    status, _, answer = server.call(method, f"/api/v1/agents/{host}", {"revision": revision}, body=text.encode())
    return status, json.loads(answer)


# -- what is followed ------------------------------------------------------------------------------------------


def test_entries_that_come_change_and_go_and_an_etcd_that_is_killed_cost_no_line_and_double_none(
    start_etcd, sink, agent, host, logs
):
    etcd = start_etcd()
    key = f"tailrace/agents/{host}"
    writer = Writer(logs / "app.log")
    try:
        following = agent(etcd.url, servers=[sink.url])
        etcd.put(key, entries(logs / "*.log*"))
        until(lambda: numbers(sink))
        for turn in range(3):
            etcd.put(key, entries(logs / "*.log*", labels={"turn": str(turn)}))
            until(lambda: sink.messages(q=f"turn:{turn}"))  # noqa: B023
            wait_for_lines(writer, 200)
            etcd.delete(key)
            until(lambda: state(etcd, host)["entries"] == 0)
            wait_for_lines(writer, 50)
            etcd.kill()
            wait_for_lines(writer, 50)
            etcd.start()
            etcd.put(key, entries(logs / "*.log*", f"{logs}/other/*.log"))
            etcd.compact()
            until(lambda: state(etcd, host)["entries"] == 2)
            wait_for_lines(writer, 50)
    finally:
        writer.stop()
    all_there(sink, writer, following.said())


def test_a_bad_value_changes_nothing_and_is_said_by_the_agent_in_etcd_and_by_the_server(
    etcd, server, agent, host, logs
):
    etcd.put(f"tailrace/agents/{host}", entries(logs / "a.log"))
    (logs / "a.log").write_text("1\n")
    following = agent(etcd.url, servers=[server.url])
    until(lambda: server.messages(q=f"host:{host}") == ["1"])
    etcd.put(f"tailrace/agents/{host}", {"entries": [{"path": f"{logs}/a.log", "drop": "level:("}]})
    said = until(lambda: [problem for problem in known(server, host)["state"]["problems"] if "drop" in problem])
    assert said[0].startswith(f"tailrace/agents/{host} in etcd: entries[0].drop: ")
    assert "stays in use" in said[0]
    until(lambda: "PROBLEM: " + said[0] in following.said())
    assert known(server, host)["state"]["sources"][0]["error"].startswith("entries[0].drop")
    assert server.get(f"/api/v1/agents/{host}")["problem"].startswith("entries[0].drop")
    with (logs / "a.log").open("a") as log:
        log.write("2\n")
    until(lambda: server.messages(q=f"host:{host}") == ["1", "2"])
    etcd.put(f"tailrace/agents/{host}", entries(logs / "*.log"))
    until(lambda: not known(server, host)["state"]["sources"][0]["error"])


@pytest.mark.scenario("G07", "a remote configuration, or a link below an allowed root, leads outside of the roots")
def test_nothing_outside_of_the_roots_is_read_whatever_etcd_says_and_wherever_links_lead(
    etcd, server, agent, host, logs, tmp_path
):
    (tmp_path / "secret.log").write_text("secret\n")
    (logs / "link.log").symlink_to(tmp_path / "secret.log")
    (logs / "links").mkdir()
    (logs / "links" / "up").symlink_to(tmp_path)
    (logs / "good.log").write_text("good\n")
    key = f"tailrace/agents/{host}"
    inside = entries(logs / "*.log", logs / "links/*/*.log")
    etcd.put(key, inside)
    agent(etcd.url, servers=[server.url])
    until(lambda: server.messages(q=f"host:{host}") == ["good"])
    for path in (tmp_path / "*.log", "/etc/passwd", f"{logs}/../secret.log", logs / "link.log", logs / "links/up/*"):
        revision = etcd.put(key, entries(logs / "*.log", path))
        until(lambda: "entries[1].path" in state(etcd, host)["sources"][0]["error"])
        etcd.put(key, inside)
        until(lambda: state(etcd, host)["sources"][0]["revision"] > revision)  # noqa: B023
    (logs / "good.log").write_text("good\nbetter\n")
    until(lambda: server.messages(q=f"host:{host}")[-1:] == ["better"])
    assert "secret" not in " ".join(server.messages(q=f"host:{host}"))


def test_without_roots_etcd_has_nothing_followed_and_what_the_file_names_is(etcd, server, agent, host, logs):
    (logs / "file.log").write_text("of the file\n")
    (logs / "etcd.log").write_text("of etcd\n")
    etcd.put(f"tailrace/agents/{host}", entries(logs / "etcd.log"))
    following = agent(etcd.url, logs / "file.log", servers=[server.url], allow=None)
    until(lambda: "names no roots" in following.said())
    until(lambda: server.messages(q=f"host:{host}") == ["of the file"])


def test_masking_of_the_file_cannot_be_taken_away(etcd, server, agent, host, logs):
    (logs / "a.log").write_text("password=hush-1\n")
    etcd.put(f"tailrace/agents/{host}", entries(logs / "a.log", redact=[]))
    agent(etcd.url, servers=[server.url], TAILRACE_COLLECT__REDACT="secrets")
    until(lambda: server.messages(q=f"host:{host}") == ["password=[redacted:password]"])


def test_a_rule_of_the_file_that_an_entry_of_etcd_uses_cannot_be_removed(etcd, server, agent, host, logs, tmp_path):
    config = tmp_path / "tailrace.toml"
    config.write_text('[collect.rules.badge]\npattern = "B[0-9]+"\ntemplate = "badge"\n')
    etcd.put(f"tailrace/agents/{host}", entries(logs / "a.log", redact=["badge"]))
    (logs / "a.log").write_text("B123 came\n")
    following = agent(etcd.url, "--config", config, servers=[server.url])
    until(lambda: server.messages(q=f"host:{host}") == ["badge came"])
    config.write_text("")
    until(lambda: "an entry of etcd needs what is not there any more" in following.said())
    with (logs / "a.log").open("a") as log:
        log.write("B124 went\n")
    until(lambda: server.messages(q=f"host:{host}") == ["badge came", "badge went"])


def test_the_widespread_form_under_an_address_is_followed(etcd, server, agent, host, logs):
    if not addresses():
        pytest.skip("this machine has no address but loopback")
    key = f"collect_log_{addresses()[0]}_conf"
    (logs / "old.log").write_text("old form\n")
    following = agent(etcd.url, servers=[server.url])
    try:
        etcd.put(key, [{"path": f"{logs}/old.log", "topic": "old"}])
        until(lambda: server.messages(q=f"host:{host}") == ["old form"])
        assert key in [source["key"] for source in state(etcd, host)["sources"]]
    finally:
        etcd.delete(key)
    until(lambda: "1 removed" in following.said())


def test_an_agent_that_starts_while_etcd_is_away_follows_what_it_said_last(start_etcd, sink, agent, host, logs):
    etcd = start_etcd()
    etcd.put(f"tailrace/agents/{host}", entries(logs / "*.log"))
    (logs / "a.log").write_text("1\n")
    first = agent(etcd.url, servers=[sink.url])
    until(lambda: sink.messages() == ["1"])
    etcd.kill()
    first.stop(signal.SIGKILL)
    (logs / "a.log").write_text("1\n2\n")
    again = agent(etcd.url, servers=[sink.url])
    until(lambda: sink.messages() == ["1", "2"])
    until(lambda: "what it said last stays in use" in again.said())
    etcd.start()
    until(lambda: state(etcd, host))
    assert again.stop() == 0


# -- what is shown ---------------------------------------------------------------------------------------------


def test_an_agent_is_here_then_gone_when_it_was_killed_and_forgotten_when_it_is_removed(
    etcd, server, agent, host, logs
):
    assert known(server, host) is None
    assert change(server, host, entries(logs / "*.log"), 0)[0] == 200
    assert until(lambda: known(server, host))["condition"] == "awaited"
    (logs / "a.log").write_text("1\n")
    following = agent(etcd.url, servers=[server.url])
    until(lambda: known(server, host)["condition"] == "here" and known(server, host)["state"]["files"] == 1)
    one = known(server, host)
    assert (one["state"]["allow"], one["state"]["ips"], one["state"]["entries"]) == ([str(logs)], addresses(), 1)
    following.stop(signal.SIGKILL)
    until(lambda: known(server, host)["condition"] == "gone")
    assert known(server, host)["seen"]
    status, _ = change(server, host, "", known(server, host)["revision"], method="DELETE")
    assert status == 200
    until(lambda: known(server, host) is None)


def test_an_agent_that_is_stopped_says_so(etcd, server, agent, host):
    following = agent(etcd.url)
    until(lambda: known(server, host))
    assert following.stop() == 0
    until(lambda: known(server, host)["condition"] == "stopped")


# -- what is edited --------------------------------------------------------------------------------------------


def test_of_two_people_who_edit_one_agent_the_second_is_told(server, host):
    first, second = entries("/var/log/a"), entries("/var/log/b")
    read = server.get(f"/api/v1/agents/{host}")
    assert (read["revision"], read["value"]) == (0, "")
    status, done = change(server, host, first, 0)
    assert (status, json.loads(done["value"])) == (200, first)
    status, problem = change(server, host, second, 0)
    assert (status, "somebody has changed them" in problem["detail"]) == (409, True)
    assert json.loads(server.get(f"/api/v1/agents/{host}")["value"]) == first
    assert change(server, host, second, done["revision"])[0] == 200
    assert change(server, host, "", done["revision"], method="DELETE")[0] == 409


def test_an_edit_that_is_made_twice_has_not_failed(server, host):
    body = entries("/var/log/a")
    first = change(server, host, body, 0)
    assert change(server, host, body, 0) == first


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("nope", "it is not JSON"),
        ({"entries": [{"path": "/a", "strat": "end"}]}, "there is no key entries[0].strat"),
        ({"entries": [{"path": "/a"}, {"path": "/b", "format": "none such"}]}, "entries[1].format"),
        ({"entries": [{"path": "a.log"}]}, "is not absolute"),
    ],
)
def test_entries_that_make_no_sense_are_refused_with_their_place(server, host, body, said):
    status, problem = change(server, host, body, 0)
    assert (status, said in problem["detail"]) == (400, True), problem
    assert server.get(f"/api/v1/agents/{host}")["revision"] == 0


def test_what_the_roots_of_an_agent_do_not_allow_is_refused_before_it_is_written(etcd, server, host):
    mine = {
        "allow": ["/srv/logs"],
        "rules": ["badge"],
        "host": host,
        "version": "1",
        "ips": [],
        "started": "",
        "at": "",
    }
    mine |= {"files": 0, "lag_bytes": 0, "waiting_records": 0, "entries": 0, "problems": [], "sources": []}
    etcd.put(f"tailrace/state/{host}", mine)
    status, problem = change(server, host, entries("/etc/passwd"), 0)
    assert (status, "not below collect.allow" in problem["detail"]) == (400, True)
    assert change(server, host, entries("/srv/logs/a.log", redact=["badge"]), 0)[0] == 200


def test_a_revision_must_be_named_and_a_name_must_be_one(server, host):
    assert server.call("PUT", f"/api/v1/agents/{host}", body=b"[]")[0] == 400
    assert change(server, "a%20b", [], 0)[0] == 400
    assert change(server, "a" * 300, [], 0)[0] == 400
    assert change(server, host, " " * 600_000, 0)[0] == 413


def test_another_page_cannot_edit(server, host):
    headers = {"Origin": "http://evil.example"}
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.request("PUT", f"/api/v1/agents/{host}?revision=0", b"[]", headers)
    assert connection.getresponse().status == 403
    connection.close()


def test_a_server_without_etcd_says_so(sink):
    assert sink.get("/api/v1/agents") == {"etcd": False, "agents": [], "more": False}
    assert sink.call("GET", "/api/v1/agents/box")[0] == 503
    assert b"this server has no etcd" in tailrace("agents", server=sink).stdout


def test_a_server_whose_etcd_is_away_says_so_and_goes_on(etcd, start, proxy, host):
    way = proxy(etcd.port)
    one = start(TAILRACE_ETCD__ENDPOINTS=way.url)
    assert one.call("GET", "/api/v1/agents")[0] == 200
    way.turn("refuse")
    status, _, body = one.call("GET", f"/api/v1/agents/{host}")
    assert (status, b"etcd does not answer" in body) == (503, True)
    assert one.call("GET", "/api/v1/status")[0] == 200


# -- the command -----------------------------------------------------------------------------------------------


def test_the_command_lists_shows_sets_and_removes(etcd, server, agent, host, logs, tmp_path):
    done = tailrace("agents", "set", host, "-", server=server, stdin=json.dumps(entries(logs / "*.log")).encode())
    assert (done.returncode, done.stderr) == (0, b"")
    agent(etcd.url)
    until(lambda: known(server, host)["condition"] == "here")
    listed = tailrace("agents", server=server).stdout.decode()
    assert next(line.split()[:3] for line in listed.splitlines() if host in line) == [host, "here", "now"]
    shown = tailrace("agents", "show", host, server=server).stdout
    assert json.loads(shown)["entries"] == entries(logs / "*.log")["entries"]
    mine = tmp_path / "mine.json"
    mine.write_bytes(shown)
    refused = tailrace("agents", "set", host, "-", server=server, stdin=b'[{"path": "/etc/passwd"}]')
    assert (refused.returncode, b"not below collect.allow" in refused.stderr) == (1, True)
    assert tailrace("agents", "set", host, "-", server=server, stdin=b"[]").returncode == 0
    late = tailrace("agents", "set", host, mine, server=server)
    assert (late.returncode, b"somebody has changed them" in late.stderr) == (1, True)
    assert tailrace("agents", "remove", host, server=server).returncode == 0
    assert server.get(f"/api/v1/agents/{host}")["revision"] == 0


def test_the_command_opens_an_editor_and_keeps_what_is_refused(server, host, tmp_path):
    tailrace("agents", "set", host, "-", server=server, stdin=b'[{"path": "/var/log/a"}]')
    script = tmp_path / "editor"
    script.write_text('#!/bin/sh\nsed -i "s!/var/log/a!$TO!" "$1"\n')
    script.chmod(0o755)
    done = tailrace("agents", "edit", host, server=server, EDITOR=str(script), TO="/var/log/b", TMPDIR=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, b"")
    assert json.loads(server.get(f"/api/v1/agents/{host}")["value"])["entries"] == [{"path": "/var/log/b"}]
    script.write_text('#!/bin/sh\necho nope >"$1"\n')
    bad = tailrace("agents", "edit", host, server=server, EDITOR=str(script), TMPDIR=str(tmp_path))
    assert bad.returncode == 1
    kept = bad.stderr.decode().rpartition("Your text is in ")[2].strip().rstrip(".")
    assert Path(kept).read_text() == "nope\n"


@pytest.mark.parametrize(("words", "said"), [(["show"], b"which agent?"), (["set", "x"], b"which entries?")])
def test_the_command_asks_for_what_is_missing(words, said):
    done = tailrace("agents", *words)
    assert (done.returncode, said in done.stderr) == (2, True)
