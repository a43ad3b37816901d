"""The ledger: which places of which sources the bus has already taken.

Every frame carries the origins of its records, so the ledger is nothing but the newest origin of each source, and can
be rebuilt from the log. So that retention may remove frames and a start need not read them all, it is saved now and
then together with the position it is true for; frames behind that position are replayed.

Bytes: one line of JSON ``{"version": 1, "position": {...}, "origins": [[source, first, next, rows, note] ...]}`` and a
second line with its CRC-32 in hex. It is replaced by rename; the generation before stays beside it as ``.old``.
A ledger that cannot be read is as good as none: the log is replayed from its beginning.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path

import orjson

from tailrace.bus.segment import sync_directory
from tailrace.errors import OriginTaken
from tailrace.limits import ORIGINS_MAX
from tailrace.record import Origin


class Ledger:
    """The newest origin of each source; in memory a dictionary, oldest news first. Not thread-safe by itself."""

    def __init__(self) -> None:
        """Start empty."""
        self.origins: dict[str, Origin] = {}

    def is_taken(self, origins: Iterable[Origin], staged: Mapping[str, Origin]) -> bool:
        """Tell whether all of these places were taken before, here or in ``staged``; False when none was.

        Raises OriginTaken when they were taken in part.
        """
        answers = set()
        for origin in origins:
            known = staged.get(origin.source) or self.origins.get(origin.source)
            if known is not None and origin.first < known.next < origin.next:
                raise OriginTaken(origin.source, known.next)
            answers.add(known is not None and known.next >= origin.next)
            if len(answers) > 1:
                raise OriginTaken(origin.source, known.next if known else origin.first)
        return answers == {True}

    def take(self, origins: Iterable[Origin]) -> None:
        """Note that these places are taken; of too many, the oldest push keys go, then agents."""
        for origin in origins:
            self.origins.pop(origin.source, None)
            self.origins[origin.source] = origin
        if len(self.origins) > ORIGINS_MAX:
            spare = len(self.origins) - ORIGINS_MAX
            keys = [source for source in self.origins if source.startswith("push:")]
            keys += [source for source in self.origins if source.startswith("agent:")]
            for source in keys[:spare]:
                del self.origins[source]

    def save(self, path: Path, position: Mapping[str, int]) -> None:
        """Replace the file, durably. ``position`` is given back by ``load``. Raises OSError."""
        kept = list(self.origins.values())  # in one step: others may forget sources meanwhile
        origins = [[o.source, o.first, o.next, o.rows, o.note] for o in kept]
        body = orjson.dumps({"version": 1, "position": position, "origins": origins})
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)  # what a crash has left; were it a link, what it leads to is not ours
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(fd, "wb", closefd=False) as file:
                file.write(body + b"\n%08x\n" % zlib.crc32(body))
            os.fsync(fd)
        finally:
            os.close(fd)
        if path.exists():
            os.replace(path, path.with_suffix(".old"))
        os.replace(fresh, path)
        sync_directory(path.parent)

    def load(self, path: Path) -> dict[str, int] | None:
        """Read the newest good generation and return its position; None when there is none."""
        for candidate in (path, path.with_suffix(".old")):
            try:
                body, crc = candidate.read_bytes().split(b"\n")[:2]
                saved = orjson.loads(body)
                if int(crc, 16) != zlib.crc32(body) or saved["version"] != 1:
                    continue
                self.origins = {row[0]: Origin(*row) for row in saved["origins"]}
                return saved["position"]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return None
