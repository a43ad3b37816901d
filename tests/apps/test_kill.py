"""The process is killed at random while files are written and rotated: every line is in the store once, in order."""

import os
import random
import threading
from pathlib import Path

import pytest

from tests.apps.programs import Server, until

KILLS = 30
ROTATE_LINES = 400
GENERATIONS = 1000  # none goes: what rotation removes while the process is down is gone for everybody


class Writer:
    """Writes numbered lines to a file and renames it away now and then; remembers how many lines were whole."""

    def __init__(self, path: Path, name: str, seed: int) -> None:
        self.path = path
        self.name = name
        self.written = 0
        self._chance = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        rotated_at = 0
        file = self.path.open("ab", buffering=0)
        while not self._stopping.wait(self._chance.uniform(0, 0.01)):
            for _ in range(self._chance.randint(1, 5)):
                line = f"2026-11-20 08:00:00,{self.written % 1000:03d} INFO {self.name} line {self.written}\n".encode()
                half = self._chance.randint(0, len(line))
                file.write(line[:half])
                file.write(line[half:])
                self.written += 1
            if self.written - rotated_at >= ROTATE_LINES:
                rotated_at = self.written
                file.close()
                self._rotate()
                file = self.path.open("ab", buffering=0)
        file.close()

    def _rotate(self) -> None:
        for number in range(GENERATIONS - 1, 0, -1):
            older = self.path.with_name(f"{self.path.name}.{number}")
            if older.exists():
                older.rename(self.path.with_name(f"{self.path.name}.{number + 1}"))
        self.path.rename(self.path.with_name(f"{self.path.name}.1"))

    def stop(self) -> None:
        self._stopping.set()
        self._thread.join()


@pytest.mark.timeout(400)
def test_every_line_is_there_once_and_in_order_after_thirty_kills(tmp_path):
    logs = tmp_path / "logs"
    logs.mkdir()
    chance = random.Random(30)
    writers = [Writer(logs / f"{name}.log", name, seed) for seed, name in enumerate(("left", "right"))]
    try:
        for _ in range(KILLS):
            server = Server(tmp_path / "data", logs / "*.log*", command="up")
            known = writers[0].written + chance.randint(1, 120)
            until(lambda limit=known: writers[0].written > limit)
            os.kill(server.process.pid, 9)
            server.process.wait()
            server.process.stdout.close()
    finally:
        for writer in writers:
            writer.stop()
    server = Server(tmp_path / "data", logs / "*.log*", command="up")
    try:
        for writer in writers:
            wanted = [f"line {number}" for number in range(writer.written)]
            until(lambda w=writer: len(server.messages(q=f'"{w.name} line"')) >= w.written)
            found = [message.rpartition(f"{writer.name} ")[2] for message in server.messages(q=f'"{writer.name} line"')]
            assert found == wanted
    finally:
        server.stop()
