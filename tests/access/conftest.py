"""What servers that share their quotas are given."""

from __future__ import annotations

import itertools
import os

import pytest

from tailrace.sections import Redis

_NUMBERS = itertools.count()


@pytest.fixture
def given(redis) -> Redis:
    """The section [redis] of servers that share books nobody else has."""
    return Redis(url=redis, prefix=f"access {os.getpid()} {next(_NUMBERS)}:")
