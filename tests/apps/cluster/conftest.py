"""Servers over a topic of the test's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.apps.cluster.writing import Writer
from tests.apps.programs import Server

PARTITIONS = 3


@pytest.fixture
def writer(kafka) -> Writer:
    return Writer(kafka, kafka.topic(PARTITIONS), PARTITIONS)


@pytest.fixture
def serve(kafka, writer: Writer, start, tmp_path: Path) -> Callable[..., Server]:
    """Start a server over the topic; all of a test share one data directory, which has nothing but tokens."""

    def one(*arguments: str, **more: str) -> Server:
        environment = {
            "TAILRACE_KAFKA__BROKERS": kafka.bootstrap,
            "TAILRACE_KAFKA__TOPICS": writer.topic,
            **more,
        }
        return start(*arguments, name="shared", **environment)

    return one
