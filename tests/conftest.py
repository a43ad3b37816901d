"""Fixtures of several folders."""

import os
import signal

import pytest
from hypothesis import settings

from tests.apps.cluster.etcds import EtcdServer
from tests.apps.programs import Server

pytest_plugins = ["tests.servers.fixtures"]

settings.register_profile("tests", deadline=None)  # no test fails because the machine is slow
settings.load_profile("tests")
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # or each of the hundreds of processes compiles all modules again


@pytest.fixture
def start(tmp_path):
    """Start servers that end with the test."""
    started = []

    def one(*arguments, name="data", **more):
        server = Server(tmp_path / name, *arguments, **more)
        started.append(server)
        return server

    yield one
    for server in started:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """One server for all tests of a module that only add to it."""
    one = Server(tmp_path_factory.mktemp("server") / "data")
    yield one
    one.stop()


@pytest.fixture(scope="session")
def etcd(tmp_path_factory):
    """One etcd for all tests that only use keys of their own. ``compact`` is harmless to the others."""
    one = EtcdServer(tmp_path_factory.mktemp("etcd") / "data")
    yield one
    one.kill()


@pytest.fixture
def own_etcd(tmp_path):
    """Start etcd servers of the test's own, which it may kill."""
    started = []

    def one(*arguments, **more):
        started.append(EtcdServer(tmp_path / f"etcd{len(started)}", *arguments, **more))
        return started[-1]

    yield one
    for each in started:
        each.kill()
