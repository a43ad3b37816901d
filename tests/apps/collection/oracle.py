"""What was written, and whether it came: logs that keep a ledger, and the judgement over what was found.

A line is ``<time> INFO run=<run> f=<file> g=<generation> n=<number> crc=<crc of the payload> <payload>``. It enters the
ledger when the write of its newline has returned: from then on it was promised. A *generation* is what was written
between two rotations; numbers begin again in each.
"""

import os
import random
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

LINE = re.compile(r"\S+ INFO run=\S+ f=(\S+) g=(\d+) n=(\d+) crc=([0-9a-f]{8}) (.*)", re.DOTALL)
WORDS = ["cart", "checkout", "refund", "invoice", "timeout", "retry", "gateway", "shipped", "订单", "café"]
SHOWN = 5


class Log:
    """A log file as its application writes it: appended to, rotated, and every whole line remembered."""

    def __init__(self, path: Path, *, name: str = "", open_now: bool = True) -> None:
        self.path = path
        self.name = name or f"{path.parent.parent.name}/{path.name}"
        self.generation = 0
        self.number = 0
        self.complete: list[str] = []
        self._fd = -1
        if open_now:
            self.open()

    def open(self) -> None:
        """Open the path for append, making the file when there is none; what was open is closed."""
        self.close()
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Close the file, as an application that ends."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def line(self, payload: str | None = None) -> str:
        """Make the next line, without writing it."""
        if payload is None:
            chance = random.Random(f"{self.name} {self.generation} {self.number}")
            payload = " ".join(chance.choices(WORDS, k=chance.randint(1, 12)))
        head = f"run={os.getpid()} f={self.name} g={self.generation} n={self.number}"
        self.number += 1
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        return f"{now} INFO {head} crc={zlib.crc32(payload.encode()):08x} {payload}"

    def write(self, count: int = 1, payload: str | None = None) -> None:
        """Append lines with one write, as an application that flushes."""
        lines = [self.line(payload) for _ in range(count)]
        self.raw("".join(f"{line}\n" for line in lines).encode())
        self.complete += lines

    def raw(self, data: bytes) -> None:
        """Append bytes that are not in the ledger."""
        assert os.write(self._fd, data) == len(data)

    def next_generation(self) -> None:
        """Number what follows anew."""
        self.generation += 1
        self.number = 0

    def rename(self, to: Path | str, *, reopen: bool = True) -> Path:
        """Rotate by renaming; the application goes on in a new file, or, unless it reopens, in the old one."""
        to = self.path.with_name(to) if isinstance(to, str) else to
        self.path.rename(to)
        if reopen:
            self.open()
            self.next_generation()
        return to

    def shift(self) -> None:
        """Rotate as logrotate does: ``.1`` becomes ``.2`` and so on; then the log becomes ``.1``."""
        older = [int(path.name.rpartition(".")[2]) for path in self.path.parent.glob(f"{self.path.name}.[0-9]*")]
        for number in sorted(older, reverse=True):
            self.path.with_name(f"{self.path.name}.{number}").rename(f"{self.path}.{number + 1}")
        self.rename(f"{self.path.name}.1")

    def copy_truncate(self, to: str) -> None:
        """Rotate by copying and emptying."""
        self.path.with_name(to).write_bytes(self.path.read_bytes())
        os.truncate(self.path, 0)
        self.next_generation()


@dataclass
class Verdict:
    """What is wrong with what was found; nothing, when the promise was kept."""

    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    torn: list[str] = field(default_factory=list)
    disordered: list[str] = field(default_factory=list)

    def __repr__(self) -> str:
        parts = [f"{len(some)} {name}: {some[:SHOWN]}" for name, some in vars(self).items() if some]
        return f"Verdict({'; '.join(parts)})"


def is_whole(text: str) -> bool:
    """Tell whether a record is one line of a ledger, unharmed."""
    found = LINE.fullmatch(text)
    return bool(found) and "\n" not in text and int(found[4], 16) == zlib.crc32(found[5].encode())


def judge(found: list[str], *logs: Log) -> Verdict:
    """Compare records, in the order of arrival, with what the logs promised: all of it once, whole, and in order."""
    promised = [line for log in logs for line in log.complete]
    known = set(found)
    verdict = Verdict(
        lost=[line for line in promised if line not in known],
        doubled=[text for text, times in Counter(found).items() if times > 1],
        torn=[text for text in found if not is_whole(text)],
    )
    last: dict[tuple[str, str], int] = {}
    for text in dict.fromkeys(found):
        match = LINE.fullmatch(text)
        if match:
            place, number = (match[1], match[2]), int(match[3])
            if number < last.get(place, -1):
                verdict.disordered.append(text)
            last[place] = number
    return verdict


KEPT = Verdict()
"""The promise was kept: everything once, whole, in order."""
