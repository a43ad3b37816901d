"""G. What is followed, and how much of it at once."""

import pytest

from tests.apps.collection.oracle import KEPT, Log


@pytest.mark.scenario(
    "G09",
    "many more files than may be open, and they are rotated",
    others="The OpenTelemetry collector loses lines beyond `max_concurrent_files`",
)
def test_files_beyond_the_limit_are_read_and_rotation_loses_none(follow, logs):
    written = [Log(logs / f"{number}.log", name=f"{number}") for number in range(150)]
    for log in written:
        log.write(2)
    agent = follow(logs / "*.log*", under=("prlimit", "--nofile=100"))
    agent.comes_to(logs, 300)
    for log in written[::3]:
        log.write(2)
        log.shift()
        log.write(2)
    assert agent.verdict(logs, *written) == KEPT
