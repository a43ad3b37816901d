"""The servers as fixtures: shared ones, and for tests that break them, ones of their own.

    kafka  etcd  redis  opensearch  elasticsearch       shared: use topics, keys and indices that nobody else has
    search_server                                       the test runs with OpenSearch, and with Elasticsearch
    start_kafka  start_etcd  start_redis  start_opensearch  start one of the test's own, which may be killed
    proxy                                               proxies before servers (proxy.py)

A shared server is started when the first test asks for it, once for all workers of a run (run.py). Where it cannot be
had the test is skipped with the reason; it fails with CI=true or TAILRACE_SERVERS=required. One that runs elsewhere is
used where TAILRACE_TESTS_OPENSEARCH=http://HOST:PORT, or that of another name, says so: of another version, or in a
hurry. What was there is told at the end of the run.
"""

import importlib
import os

import pytest

from tests.servers.proxy import Proxy
from tests.servers.run import START_SECONDS, Absent, Run
from tests.servers.search import SearchServer

RUN = pytest.StashKey[Run]()
TEST_SECONDS = 180  # as any other test has
SHARED = ("kafka", "opensearch", "elasticsearch", "etcd", "redis")


def pytest_sessionstart(session):
    run = session.config.stash[RUN] = Run(session.config)
    if not hasattr(session.config, "workerinput"):
        run.begin()


def pytest_unconfigure(config):
    if RUN in config.stash and not hasattr(config, "workerinput"):
        config.stash[RUN].end()


def pytest_collection_modifyitems(items):
    """Let what waits for a server wait, and note which servers a test uses, for the table."""
    for item in items:
        asked = {name.removeprefix("start_") for name in item.fixturenames}
        if "search_server" in asked and hasattr(item, "callspec"):
            asked.add(item.callspec.params["search_server"])
        used = [("server", name) for name in SHARED if name in asked]
        item.user_properties += used
        if used and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(START_SECONDS + TEST_SECONDS))


def pytest_terminal_summary(terminalreporter, config):
    """Tell which servers there were, and how many tests have talked to them."""
    tests = dict.fromkeys(SHARED, 0)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                if name == "server":
                    tests[value] += 1
    known = config.stash[RUN].known()
    if not known and not any(tests.values()):
        return
    terminalreporter.section("servers")
    for name in SHARED:
        said = known.get(name, {})
        state = said.get("version") or said.get("absent") or ("did not start" if "failed" in said else "-")
        terminalreporter.write_line(f"{name:14} {state:40} {tests[name]} tests")


@pytest.fixture(scope="session")
def kafka(request):
    """A cluster of three brokers."""
    return _module("kafka").Kafka(_shared(request, "kafka")["bootstrap"])


@pytest.fixture(scope="session")
def opensearch(request):
    return SearchServer("opensearch", **_shared(request, "opensearch"))


@pytest.fixture(scope="session")
def elasticsearch(request):
    return SearchServer("elasticsearch", **_shared(request, "elasticsearch"))


@pytest.fixture(scope="session", params=["opensearch", "elasticsearch"])
def search_server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def prefix(search_server):
    """A name of indices that nobody else has."""
    made = search_server.prefix()
    yield made
    search_server.call("DELETE", f"/_index_template/{made}")
    for name in search_server.call("GET", f"/{made}-*/_settings")[1]:
        search_server.call("DELETE", f"/{name}")


@pytest.fixture(scope="session")
def etcd(request):
    return _module("etcd").KeyValues(_shared(request, "etcd")["url"])


@pytest.fixture(scope="session")
def redis(request):
    """The address of a Redis."""
    return _shared(request, "redis")["url"]


@pytest.fixture
def start_kafka(request, tmp_path):
    """Start clusters of the test's own: see Cluster for what can be asked for."""
    yield from _of_its_own(request, tmp_path, "kafka", "Cluster")


@pytest.fixture
def start_etcd(request, tmp_path):
    yield from _of_its_own(request, tmp_path, "etcd", "Etcd")


@pytest.fixture
def start_opensearch(request, tmp_path):
    yield from _of_its_own(request, tmp_path, "opensearch", "OpenSearch")


@pytest.fixture
def start_redis(request, tmp_path):
    yield from _of_its_own(request, tmp_path, "redis", "Redis")


@pytest.fixture
def proxy():
    """Put proxies before servers."""
    made = []

    def one(port, *address):
        made.append(Proxy(port, *address))
        return made[-1]

    yield one
    for each in made:
        each.close()


def _module(name):
    """Import what is about a server when a test needs it: most runs need none of the clients."""
    return importlib.import_module(f"tests.servers.{name}")


def _shared(request, name):
    run = request.config.stash[RUN]
    if there := os.environ.get(f"TAILRACE_TESTS_{name.upper()}"):
        return run.server(name, lambda _: {"bootstrap" if name == "kafka" else "url": there, "version": f"at {there}"})
    return run.server(name, lambda directory: _module(name).start(run, directory))


def _of_its_own(request, tmp_path, name, kind):
    run = request.config.stash[RUN]
    kind = getattr(_module(name), kind)
    started = []

    def one(*arguments, **more):
        try:
            started.append(kind(run, tmp_path / f"{name}-{len(started)}", *arguments, **more))
        except Absent as why:
            run.absent(str(why))
        return started[-1]

    yield one
    for each in started:
        each.close()
