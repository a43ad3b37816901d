"""An agent that was given an address says how its files and its servers are."""

import json
from urllib.request import urlopen

from tests.apps.agent.agents import numbers, write
from tests.apps.programs import tailrace, until


def get(url):
    with urlopen(url, timeout=10) as answer:
        return answer.read().decode()


def files(url):
    return json.loads(get(f"{url}/api/v1/collect"))["files"]


def asked(shipping):
    """Return where an agent answers."""
    return until(lambda: shipping.said().partition("answering at ")[2].split("\n")[0])


def test_an_agent_tells_how_each_file_and_each_server_is(start, agent, log, port):
    server = start()
    write(log, 0, 100)
    gone = f"http://127.0.0.1:{port}"
    shipping = agent(log, "--listen", "127.0.0.1:0", servers=[server.url, gone])
    until(lambda: numbers(server) == list(range(100)))
    url = asked(shipping)
    until(lambda: "failing" in (said := tailrace("status", "--server", url).stdout.decode()) and "100 shipped" in said)
    status = json.loads(get(f"{url}/api/v1/status"))
    outputs = {one["server"]: (one["shipped"], one["waiting"]) for one in status["outputs"]}
    assert outputs == {server.url: (100, 0), gone: (0, 100)}
    assert any(gone in problem for problem in status["problems"])
    wanted = [(str(log), 100, 0)]
    until(lambda: [(one["path"], one["lines"], one["lag_bytes"]) for one in files(url)] == wanted)
    assert str(log).encode() in tailrace("status", "--files", "--server", url).stdout


def test_an_agent_has_metrics_of_its_files_and_its_servers(start, agent, log):
    server = start()
    write(log, 0, 100)
    shipping = agent(log, "--listen", "127.0.0.1:0", servers=[server.url])
    until(lambda: numbers(server) == list(range(100)))
    url = asked(shipping)
    shipped = f'tailrace_shipped_records_total{{server="{server.url}"}} 100.0'
    until(lambda: shipped in get(f"{url}/metrics"))
    assert "tailrace_lines_read_total 100.0" in get(f"{url}/metrics")


def test_an_agent_masks_before_its_spool_and_counts_it(start, agent, log, port):
    server = start()
    log.write_text("password=hush-1\n")
    servers = [server.url, f"http://127.0.0.1:{port}"]  # one is away: the spool keeps everything
    shipping = agent(log, "--listen", "127.0.0.1:0", servers=servers, TAILRACE_COLLECT__REDACT="secrets")
    until(lambda: server.messages() == ["password=[redacted:password]"])
    kept = [path.read_bytes() for path in (shipping.directory / "spool").iterdir()]
    assert any(b"[redacted" in content for content in kept)
    assert not any(b"hush-1" in content for content in kept)
    assert 'tailrace_values_redacted_total{rule="password"} 1.0' in get(f"{asked(shipping)}/metrics")


def test_an_agent_answers_nobody_else_without_a_token(tmp_path, log):
    more = ("--data", tmp_path / "agent", "--listen", "0.0.0.0:0")
    done = tailrace("agent", log, "--server", "http://127.0.0.1:1", *more)
    assert (done.returncode, b"there is no token" in done.stderr) == (2, True)


def test_an_address_that_is_taken_is_said(start, tmp_path, log):
    taken = start().url.removeprefix("http://")
    done = tailrace("agent", log, "--server", "http://127.0.0.1:1", "--data", tmp_path / "agent", "--listen", taken)
    assert (done.returncode, b"cannot listen on" in done.stderr) == (1, True)


def test_an_agent_without_an_address_listens_nowhere(agent, log, port):
    write(log, 0, 1)
    shipping = agent(log, servers=[f"http://127.0.0.1:{port}"])
    until(lambda: "PROBLEM" in shipping.said())
    assert "answering" not in shipping.said()
