"""The call that asks how collecting goes, of a real server."""

import pytest
from tests.apps.programs import served, tailrace, until


@pytest.fixture(scope="module")
def following(tmp_path_factory):
    folder = tmp_path_factory.mktemp("logs")
    for number in range(3):
        (folder / f"{number}.log").write_text("2026-01-01 00:00:00 INFO line\n" * (number + 1))
    config = folder / "tailrace.toml"
    config.write_text(f'[[collect.entries]]\npath = "{folder}/*.log"\nencoding = "gbk"\n')
    with served(tmp_path_factory, "--config", config, command="up") as one:
        until(lambda: one.get("/api/v1/collect")["states"] == {"quiet": 3})
        yield one, folder


def test_each_file_says_how_it_is(following):
    server, folder = following
    answer = server.get("/api/v1/collect", path_="2.log")
    (one,) = answer["files"]
    read = one.pop("read")
    assert one == {
        "path": f"{folder}/2.log",
        "state": "quiet",
        "offset": 90,
        "size": 90,
        "lag_bytes": 0,
        "lines": 3,
        "layout": "iso",
        "error": "",
        "entry": f"{folder}/*.log",
        "lag_s": 0.0,
        "encoding": "gbk",
    }
    assert read.endswith("Z")
    assert (answer["total"], answer["lines"], answer["entries_total"]) == (1, 6, 1)
    assert answer["configuration"]["path"] == str(folder / "tailrace.toml")


def test_a_page_is_as_long_as_was_asked_and_the_rest_is_counted(following):
    answer = following[0].get("/api/v1/collect", limit=1)
    assert (len(answer["files"]), answer["total"]) == (1, 3)


@pytest.mark.parametrize("wrong", [{"state": "sleepy"}, {"limit": 100_000}, {"stat": "quiet"}])
def test_what_cannot_be_asked_is_said(following, wrong):
    assert following[0].call("GET", "/api/v1/collect", wrong)[0] == 400


def test_the_metrics_count_files_lines_and_lag(following):
    metrics = following[0].call("GET", "/metrics")[2].decode()
    assert 'tailrace_files_by_state{state="quiet"} 3.0' in metrics
    assert "tailrace_lines_read_total 6.0" in metrics
    assert "tailrace_lag_bytes 0.0" in metrics


def test_the_command_prints_a_table(following):
    server, folder = following
    done = tailrace("status", "--files", "--path", "2.log", server=server)
    assert (done.returncode, f"{folder}/2.log".encode() in done.stdout) == (0, True)
    assert b"3 quiet" in done.stdout


def test_a_server_that_follows_nothing_says_so(server):
    answer = server.get("/api/v1/collect")
    assert (answer["files"], answer["total"], answer["configuration"]["path"]) == ([], 0, None)
