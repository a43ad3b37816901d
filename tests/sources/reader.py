"""A follower with a ledger, on real files."""

import time
from collections.abc import Callable
from pathlib import Path

from tailrace.lines import Lines
from tailrace.record import Origin
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource
from tailrace.sources.followed import FollowedFile

DEADLINE_S = 30


class Reader:
    """A follower with a ledger that survives it, as the bus keeps one.

    ``acknowledging`` says whether what was read is taken at once; what is not taken is lost with a crash. ``hold`` is
    asked how many of so many lines are given back, as the pipeline does with an event that may go on.
    """

    def __init__(self, *entries: Entry, **options):
        self.entries, self.options = entries, options
        self.ledger: dict[str, Origin] = {}
        self.lines: list[bytes] = []
        self.positions: list[int] = []
        self.paths: list[str] = []
        self.acknowledging = True
        self.hold: Callable[[int], int] = lambda _: 0
        self.flying: list[tuple[FollowedFile, Origin, Lines, int]] = []
        self.start()

    def start(self):
        self.source = FileSource(self.entries, self.ledger.values(), host="h", **self.options)

    def crash(self):
        self.flying.clear()
        self.source.close()

    def restart(self):
        self.crash()
        self.start()

    def step(self, timeout_s=0.02):
        for file, lines in self.source.poll():
            origin = lines.origin
            held = 0 if lines.ended else self.hold(origin.rows)
            if held:
                place = int(lines.positions[-held])
                note = file.give_back(place, held, time.monotonic())
                origin = Origin(origin.source, origin.first, place, origin.rows - held, note)
            self.flying.append((file, origin, lines, len(lines.lines) - held))
        if self.acknowledging:
            self.acknowledge()
        self.source.wait(timeout_s)

    def acknowledge(self):
        for file, origin, lines, rows in self.flying:
            if lines.before is not None and file.carries is not None:
                self.take(lines.before)
                file.carries.acked, file.carries = lines.before.next, None
            self.take(origin)
            if file.name == origin.source:
                file.acked = origin.next
            self.lines += lines.lines[:rows].to_pylist()
            self.positions += lines.positions[:rows].tolist()
            self.paths += [lines.stream.labels["path"]] * rows
        self.flying.clear()

    def take(self, origin: Origin):
        taken = self.ledger.get(origin.source)
        assert taken is None or taken.next <= origin.first
        self.ledger[origin.source] = origin

    def until(self, count):
        end = time.monotonic() + DEADLINE_S
        while len(self.lines) < count and time.monotonic() < end:
            self.step()
        return self.settle()

    def wait_for(self, condition):
        """Read until something is true."""
        end = time.monotonic() + DEADLINE_S
        while not condition() and time.monotonic() < end:
            self.step()

    def settle(self):
        """Read what is there now: nothing more may come."""
        for _ in range(3):
            self.source.look()
            self.step(0)
        return self.lines


def write(path: Path, data: bytes, mode="ab"):
    with path.open(mode) as file:
        file.write(data)
