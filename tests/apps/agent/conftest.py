"""Agents and writers that end with their test."""

import signal
import socket

import pytest

from tests.apps.agent.agents import Agent, Writer


@pytest.fixture
def port():
    """A port that nobody listens on yet, which a server can have again after a restart."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.fixture
def agent(tmp_path):
    """Start agents."""
    started = []

    def one(*arguments, name="agent", **more):
        started.append(Agent(tmp_path / name, *arguments, **more))
        return started[-1]

    yield one
    for each in started:
        if each.process.poll() is None:
            each.stop(signal.SIGKILL)


@pytest.fixture
def writer(tmp_path, request):
    """Write numbered lines into a log that is rotated by renaming; a parameter says how (see Writer)."""
    (tmp_path / "logs").mkdir()
    made = Writer(tmp_path / "logs" / "app.log", **getattr(request, "param", {}))
    yield made
    made.stop()


@pytest.fixture
def log(tmp_path):
    """Name a log of the test's own."""
    return tmp_path / "app.log"
