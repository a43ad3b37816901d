"""A follower with a ledger, on real files."""

import time
from pathlib import Path

from tailrace.record import Origin
from tailrace.sources.entry import Entry
from tailrace.sources.file import FileSource

DEADLINE_S = 4


class Reader:
    """A follower with a ledger that survives it, as the bus keeps one."""

    def __init__(self, *entries: Entry, **options):
        self.entries, self.options = entries, options
        self.ledger: dict[str, Origin] = {}
        self.lines: list[bytes] = []
        self.positions: list[int] = []
        self.paths: list[str] = []
        self.start()

    def start(self):
        self.source = FileSource(self.entries, self.ledger.values(), host="h", **self.options)

    def crash(self):
        self.source.close()

    def restart(self):
        self.crash()
        self.start()

    def step(self, timeout_s=0.02):
        for file, lines in self.source.poll():
            taken = self.ledger.get(lines.origin.source)
            assert taken is None or taken.next <= lines.origin.first
            self.ledger[lines.origin.source] = lines.origin
            file.acked = lines.origin.next
            self.lines += lines.lines.to_pylist()
            self.positions += lines.positions.tolist()
            self.paths += [lines.stream.labels["path"]] * len(lines.lines)
        self.source.wait(timeout_s)

    def until(self, count):
        end = time.monotonic() + DEADLINE_S
        while len(self.lines) < count and time.monotonic() < end:
            self.step()
        for _ in range(3):  # nothing more may come
            self.source.look()
            self.step(0)
        return self.lines


def write(path: Path, data: bytes, mode="ab"):
    with path.open(mode) as file:
        file.write(data)
