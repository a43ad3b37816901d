"""Exactly once: connections are cut, the server is killed, and each way out gives every line once, in order."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from tests.apps.programs import Server, until
from tests.apps.tail.cutting import Cutting
from tests.apps.tail.ways import WAYS, Way

LINES = int(os.environ.get("TAIL_LINES", "100000"))
"""TAIL_LINES=1000000 is the promise as it is written; a tenth of it is what the suite has time for."""
KILLS = 5
CUTS = 50
"""Of the connections of each way."""
SEED = os.environ.get("SEED", "5")
BLOCK = 500
ROW_BYTES_MIN = 200
SECONDS_MAX = 60 + LINES // 2_000


class Writer(threading.Thread):
    """Appends numbered lines to a file, as fast as it goes, up to ``may``."""

    def __init__(self, log: Path) -> None:
        super().__init__(daemon=True)
        self.log = log
        self.may = 0
        self._more = threading.Condition()

    def let(self, may: int) -> None:
        with self._more:
            self.may = may
            self._more.notify()

    def run(self) -> None:
        with self.log.open("ab", buffering=0) as file:
            for first in range(0, LINES, BLOCK):
                with self._more:
                    self._more.wait_for(lambda first=first: self.may > first)
                file.write(b"".join(b"2026-11-20 08:00:00,000 INFO line %d\n" % n for n in range(first, first + BLOCK)))


def verdict(numbers: list[int]) -> dict[str, object]:
    """Say what is wrong; nothing, when each line came once and in order."""
    if numbers == list(range(LINES)):
        return {}
    times = Counter(numbers)
    return {
        "missing": sorted(set(range(LINES)) - set(times))[:5],
        "twice": [number for number, count in times.items() if count > 1][:5],
        "order": [b for a, b in pairwise(numbers) if b != a + 1][:5],
        "came": len(numbers),
    }


@pytest.mark.promise(2)
@pytest.mark.slow
@pytest.mark.timeout(2 * SECONDS_MAX)
def test_over_cuts_and_kills_each_way_out_gives_every_line_once_and_in_order(tmp_path: Path) -> None:
    log, chance = tmp_path / "app.log", random.Random(SEED)
    log.touch()
    server = Server(tmp_path / "data", log, "--no-discover", command="up")
    after = server.get("/api/v1/tail/poll", wait="0")["next"]
    wires = {name: Cutting(CUTS, LINES * ROW_BYTES_MIN // (CUTS + 10), f"{SEED} {name}") for name in WAYS}
    ways: dict[str, Way] = {name: kind(wires[name].port, after, LINES - 1) for name, kind in WAYS.items()}
    writer = Writer(log)
    writer.start()
    try:
        for wire in wires.values():
            wire.to = server.port
        for way in ways.values():
            way.start()
        for point in sorted(chance.randrange(LINES // 20, LINES * 19 // 20) for _ in range(KILLS)):
            writer.let(point + LINES // 20)
            watched = chance.choice(list(ways.values()))
            until(lambda watched=watched, point=point: len(watched.numbers) > point, SECONDS_MAX)
            server.stop(signal.SIGKILL)
            server = Server(tmp_path / "data", log, "--no-discover", command="up")
            for wire in wires.values():
                wire.to = server.port
        writer.let(LINES)
        for way in ways.values():
            way.join(SECONDS_MAX)
        assert {name: verdict(way.numbers) for name, way in ways.items()} == {name: {} for name in ways}
        assert {name: way.gaps for name, way in ways.items()} == {name: [] for name in ways}
        assert "Traceback" not in (tmp_path / "data.stderr").read_text()
        assert {name: wire.cuts for name, wire in wires.items()} == dict.fromkeys(ways, CUTS)
    finally:
        for way in ways.values():
            way.stop()
        for wire in wires.values():
            wire.close()
        server.stop(signal.SIGKILL)
