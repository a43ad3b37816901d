"""Servers live as long as the run that started them, and are missed loudly where they must be."""

import os
import subprocess
import sys
from urllib.parse import urlsplit

from tests.apps import programs
from tests.apps.programs import until
from tests.servers.program import ROOT, listens


def begin(tmp_path, source, *arguments, **environment):
    """Begin a run of tests of its own."""
    (tmp_path / "test_inner.py").write_text(source)
    words = [sys.executable, "-m", "pytest", "-p", "tests.servers.fixtures", "-p", "no:cacheprovider", "-c", os.devnull]
    words += ["--rootdir", tmp_path, "--basetemp", tmp_path / "base", *arguments, tmp_path / "test_inner.py"]
    kept = {name: value for name, value in programs.environment().items() if name != "CI" and "PYTEST" not in name}
    kept["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # quicker
    return subprocess.Popen(words, cwd=ROOT, env={**kept, **environment}, stdout=subprocess.PIPE, text=True)


def said(run):
    out, _ = run.communicate(timeout=120)
    return out


def test_a_server_that_this_machine_does_not_have_is_told_with_its_cure(tmp_path):
    out = said(begin(tmp_path, "def test_it(redis): pass", PATH="/nowhere"))
    assert "1 skipped" in out
    assert "redis-server is not installed: make programs" in out


def test_a_server_that_must_be_there_fails_the_tests_that_need_it(tmp_path):
    out = said(begin(tmp_path, "def test_it(redis): pass", PATH="/nowhere", TAILRACE_SERVERS="required"))
    assert "1 error" in out
    assert "redis-server is not installed" in out


def test_a_server_that_runs_elsewhere_is_used_when_its_address_is_given(tmp_path, redis):
    source = f"def test_it(redis): assert redis == {redis!r}"
    out = said(begin(tmp_path, source, PATH="/nowhere", TAILRACE_TESTS_REDIS=redis))
    assert "1 passed" in out
    assert f"at {redis}" in out


KILLED = """
import time
def test_it(redis, request):
    (request.config.rootpath / "url").write_text(redis + "\\n")
    time.sleep(600)
"""


def test_servers_end_with_a_run_that_is_killed(tmp_path):
    run = begin(tmp_path, KILLED)
    url = tmp_path / "url"
    until(lambda: url.exists() and url.read_text().endswith("\n"), 60)
    port = urlsplit(url.read_text().strip()).port
    assert listens(port)
    run.kill()
    said(run)
    until(lambda: not listens(port), 60)


DYING = """
import os, redis as client
def test_dies(redis):
    client.Redis.from_url(redis).set("left", "behind")
    os._exit(1)
def test_goes_on(redis, request):
    assert client.Redis.from_url(redis).get("left") == b"behind"
    (request.config.rootpath / "url").write_text(redis)
"""


def test_a_server_outlives_the_worker_that_has_started_it_but_not_the_run(tmp_path):
    out = said(begin(tmp_path, DYING, "-p", "xdist.plugin", "-n", "1"))
    assert "1 failed, 1 passed" in out
    assert not listens(urlsplit((tmp_path / "url").read_text()).port)
