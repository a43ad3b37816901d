"""Fixtures of several folders."""

import os
import signal

import pytest
from hypothesis import settings

from tests.apps.programs import Server, served

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
    with served(tmp_path_factory) as one:
        yield one
