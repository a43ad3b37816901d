"""The servers as fixtures: shared ones, and for tests that break them, ones of their own.

    kafka  etcd  redis  opensearch  elasticsearch       shared: use topics, keys and indices that nobody else has
    search_server                                       the test runs with OpenSearch, and with Elasticsearch
    start_kafka  start_etcd  start_redis                start one of the test's own, which may be killed
    proxy                                               proxies before servers (proxy.py)

A shared server is started when the first test asks for it, once for all workers of a run (run.py). Where it cannot be
had the test is skipped with the reason; it fails with CI=true or TAILRACE_SERVERS=required. What was there is told at
the end of the run.
"""

import pytest

from tests.servers import elasticsearch as elasticsearch_server
from tests.servers import etcd as etcd_server
from tests.servers import kafka as kafka_server
from tests.servers import opensearch as opensearch_server
from tests.servers import redis as redis_server
from tests.servers.proxy import Proxy
from tests.servers.run import Absent, Run
from tests.servers.search import SearchServer

RUN = pytest.StashKey[Run]()
SHARED = ("kafka", "opensearch", "elasticsearch", "etcd", "redis")


def pytest_sessionstart(session):
    run = session.config.stash[RUN] = Run(session.config)
    if not hasattr(session.config, "workerinput"):
        run.begin()


def pytest_unconfigure(config):
    if RUN in config.stash and not hasattr(config, "workerinput"):
        config.stash[RUN].end()


def pytest_runtest_setup(item):
    """Note which servers the test uses, for the table."""
    asked = {name.removeprefix("start_") for name in item.fixturenames}
    if "search_server" in asked:
        asked.add(item.callspec.params["search_server"])
    item.user_properties += [("server", name) for name in SHARED if name in asked]


def pytest_terminal_summary(terminalreporter, config):
    """Tell which servers there were, and how many tests have talked to them."""
    tests = dict.fromkeys(SHARED, 0)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            for name, value in report.user_properties:
                tests[value] += name == "server"
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
    return kafka_server.Kafka(_shared(request, "kafka", kafka_server)["bootstrap"])


@pytest.fixture(scope="session")
def opensearch(request):
    return SearchServer("opensearch", **_shared(request, "opensearch", opensearch_server))


@pytest.fixture(scope="session")
def elasticsearch(request):
    return SearchServer("elasticsearch", **_shared(request, "elasticsearch", elasticsearch_server))


@pytest.fixture(scope="session", params=["opensearch", "elasticsearch"])
def search_server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def etcd(request):
    return etcd_server.KeyValues(_shared(request, "etcd", etcd_server)["url"])


@pytest.fixture(scope="session")
def redis(request):
    """The address of a Redis."""
    return _shared(request, "redis", redis_server)["url"]


@pytest.fixture
def start_kafka(request, tmp_path):
    """Start clusters of the test's own: see Cluster for what can be asked for."""
    yield from _of_its_own(request, tmp_path, "kafka", kafka_server.Cluster)


@pytest.fixture
def start_etcd(request, tmp_path):
    yield from _of_its_own(request, tmp_path, "etcd", etcd_server.Etcd)


@pytest.fixture
def start_redis(request, tmp_path):
    yield from _of_its_own(request, tmp_path, "redis", redis_server.Redis)


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


def _shared(request, name, module):
    run = request.config.stash[RUN]
    return run.server(name, lambda directory: module.start(run, directory))


def _of_its_own(request, tmp_path, name, kind):
    run = request.config.stash[RUN]
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
