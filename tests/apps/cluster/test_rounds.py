"""Everything at once: a deployment whose parts and networks fail at random while lines are written and watched.

``SEED=7`` is another draw, ``ROUNDS=20`` is the promise as it is written: the suite has time for a few. Long
runs have an OpenSearch of their own, which is killed as well. What was done when stands in ``story``, beside the logs.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.apps.cluster.deployment import Deployment, Tail, by_log
from tests.apps.cluster.faults import FAULTS, OWN_SEARCH, WEIGHTS
from tests.apps.programs import until
from tests.apps.tail.reading import searched
from tests.indexing.lines import count, messages

SEED = int(os.environ.get("SEED", "12"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
OWN_ROUNDS_MIN = 10
SECONDS_MAX = 240 + 60 * ROUNDS
SETTLED_SECONDS = 180
LINE = re.compile(r"line (\d+)$")


@pytest.fixture
def deployment(tmp_path: Path, start_kafka, start_etcd, start_redis, request):
    own = ROUNDS >= OWN_ROUNDS_MIN
    search = request.getfixturevalue("start_opensearch")() if own else request.getfixturevalue("opensearch")
    made = Deployment(tmp_path, start_kafka(3, proxied=True), search, start_etcd(), start_redis(), seed=SEED)
    yield made
    made.close()


def one_round(deployment: Deployment, chance: random.Random, say) -> None:
    """Draw a fault or two, have lines written meanwhile, and end them in any order."""
    known = {name: fault for name, fault in FAULTS.items() if name != OWN_SEARCH or ROUNDS >= OWN_ROUNDS_MIN}
    weights = [WEIGHTS.get(name, 1) for name in known]
    drawn = dict.fromkeys(chance.choices(list(known), weights, k=chance.choice([1, 2])))
    ends = []
    for name in drawn:
        said, end = known[name](deployment, chance)
        say(said)
        ends.append(end)
        more_lines(deployment, chance.randint(1, 150))
    more_lines(deployment, chance.choice([50, 300, 1200]))
    for end in chance.sample(ends, len(ends)):
        end()
        more_lines(deployment, chance.randint(1, 150))
    deployment.revive()


def more_lines(deployment: Deployment, count: int) -> None:
    wanted = sum(deployment.ledger.written) + count
    until(lambda: sum(deployment.ledger.written) >= wanted)


def verdict(numbers: list[int], lines: list[list[int]]) -> list[dict[str, object]]:
    """Say for each log what is wrong: nothing, when each of its lines came once, and in order."""
    wrong = []
    for found, wanted in zip(by_log(numbers), lines, strict=True):
        if found != wanted:
            times = Counter(found)
            disorder = [after for before, after in pairwise(found) if after != before + 1]
            doubled = [n for n, many in times.items() if many > 1]
            missing = [n for n in wanted if not times[n]]
            wrong.append({"missing": missing[:9], "twice": doubled[:9], "order": disorder[:9], "of": len(wanted)})
    return wrong


def numbers_of(texts: list[str]) -> list[int]:
    return [int(found[1]) for text in texts if (found := LINE.search(text))]


def settled(deployment: Deployment, wanted: int) -> None:
    """Wait until the index has everything, or does not come closer."""
    best, since = 0, time.monotonic()
    while best < wanted and time.monotonic() < since + SETTLED_SECONDS:
        now = count(deployment.search, deployment.index)
        if now > best:
            best, since = now, time.monotonic()


def seen(tail: Tail, wanted: int) -> None:
    """Wait until a tail has as many lines as there are, or gets no more."""
    best, since = 0, time.monotonic()
    while best < wanted and time.monotonic() < since + SETTLED_SECONDS / 3:
        now = len(set(tail.way.numbers))
        if now > best:
            best, since = now, time.monotonic()
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS_MAX)
def test_whatever_fails_each_line_is_in_the_index_once_and_each_tail_has_it_once_in_order(
    deployment: Deployment, tmp_path: Path
) -> None:
    chance = random.Random(SEED)
    story = [f"SEED={SEED} ROUNDS={ROUNDS}"]

    def say(what: str) -> None:
        story.append(f"{time.strftime('%X')} {sum(deployment.ledger.written)} {what}")
        (tmp_path / "story").write_text("\n".join(story))

    deployment.begin()
    for number in range(ROUNDS):
        say(f"-- round {number}")
        one_round(deployment, chance, say)
    deployment.ledger.stop()
    lines = deployment.ledger.lines
    wanted = sum(map(len, lines))
    say("-- all is written")
    settled(deployment, wanted)
    indexed = numbers_of(messages(deployment.search, deployment.index))
    assert verdict(sorted(indexed), lines) == [], story
    for server in deployment.servers:
        found = [text.decode() for text in searched(server.running, q="line")]
        assert len(found) == wanted, story
    for tail in deployment.tails:
        seen(tail, wanted)
    came = {tail.name: (verdict(tail.way.numbers, lines), tail.way.gaps) for tail in deployment.tails}
    assert came == {tail.name: ([], []) for tail in deployment.tails}, story
    assert "Traceback" not in deployment.said(), story
    say("-- all is there")
