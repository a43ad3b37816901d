"""A Redis for the tests of what is shared."""

from __future__ import annotations

import itertools

import pytest

from tailrace.config import Redis
from tests.access.redis_server import REDIS, WHY, RedisServer

_NUMBERS = itertools.count()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory):
    """One Redis for all tests that do it no harm."""
    if REDIS is None:
        pytest.skip(WHY)
    one = RedisServer(tmp_path_factory.mktemp("redis"))
    yield one
    one.kill()


@pytest.fixture
def own_redis(tmp_path):
    """Start servers that end with the test."""
    if REDIS is None:
        pytest.skip(WHY)
    started = []

    def one(*settings: str) -> RedisServer:
        started.append(RedisServer(tmp_path / f"redis{len(started)}", *settings))
        return started[-1]

    yield one
    for server in started:
        server.kill()


@pytest.fixture
def given(redis_server) -> Redis:
    """The section [redis] of servers that share books nobody else has."""
    return Redis(url=redis_server.url, prefix=f"test {next(_NUMBERS)}:")
