"""Proof that nothing is missing: count and digest of the records that were really received.

The server keeps the same of what it sent (in every ``ping``), and ``/api/v1/verify`` of what a search over the same
cursors finds. The digest is a sum over records, so it does not depend on how they were cut into frames, and the digests
of disjoint stretches add up: those of a gap (``slow``, ``sampled``) stand for the records that it left out.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

_MASK = 0xFFFF_FFFF_FFFF_FFFF
_OFFSET_FACTOR = 0x9E37_79B9_7F4A_7C15
_MESSAGE_FACTOR = 0xC2B2_AE3D_27D4_EB4F


class Digest:
    """Count and digest of a set of records."""

    __slots__ = ("_sum", "count")

    def __init__(self) -> None:
        self.count = 0
        self._sum = 0

    def __str__(self) -> str:
        return f"{self._sum & _MASK:016x}"

    def add(self, records: Iterable[Mapping[str, Any]]) -> None:
        """Add records, each with its cursor; those that are only the context of others do not count."""
        total = count = 0
        for record in records:
            if "context" in record:
                continue
            message = record.get("message")
            check = zlib.crc32(message.encode()) if message is not None else 0
            mixed = (int(record["cursor"].rpartition("-")[2]) * _OFFSET_FACTOR + check * _MESSAGE_FACTOR) & _MASK
            total += mixed ^ mixed >> 32
            count += 1
        self.count += count
        self._sum += total

    def add_gap(self, gap: Mapping[str, Any]) -> None:
        """Add the records that a gap stands for."""
        if gap.get("digest"):
            self.count += gap["count"]
            self._sum += int(gap["digest"], 16)


class Tally:
    """What one tail received: since its connection began, and since it began at all.

    What sampling leaves out is declared before the rows of the same stretch: in between a tail has more than it was
    sent. ``settled`` is what it had received, and where it stood, when both had come; a connection that is cut in
    between declares it again, so a sampled tail is counted anew on the next one.
    """

    def __init__(self, start: str = "") -> None:
        """Begin at the cursor ``start``; without it, where the first ping says."""
        self.start = start
        self.all = Digest()
        self.settled = 0, str(self.all), start
        self._sent = Digest()

    def connected(self) -> None:
        """Note that the server counts anew."""
        self._sent = Digest()

    def rows(self, records: list[dict[str, Any]]) -> None:
        """Count records."""
        self.all.add(records)
        self._sent.add(records)

    def gap(self, gap: Mapping[str, Any]) -> None:
        """Count what a gap stands for; behind a ``reset`` nothing before it can be asked for any more."""
        self.all.add_gap(gap)
        if gap["why"] == "reset":
            self.start, self.all = gap["to"], Digest()
        self._settle(gap["to"])

    def ping(self, ping: Mapping[str, Any]) -> str:
        """Compare with what the server sent; return how it differs, or nothing."""
        self.start = self.start or ping["from"]
        self._settle(ping["checkpoint"])
        return differs("the server sent", (ping["sent"], ping["digest"]), (self._sent.count, str(self._sent)))

    def _settle(self, checkpoint: str) -> None:
        self.settled = self.all.count, str(self.all), checkpoint


class Sampled:
    """What sampling has left out since it was told last: it leaves out a little all the time, so it is added up."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._gap: dict[str, Any] = {}

    def add(self, gap: Mapping[str, Any]) -> None:
        """Add a gap."""
        if not self._gap:
            self._gap = {**gap, "levels": dict(gap.get("levels") or {})}
            return
        self._gap["to"] = gap["to"]
        self._gap["count"] += gap["count"]
        levels = self._gap["levels"]
        for name, count in (gap.get("levels") or {}).items():
            levels[name] = levels.get(name, 0) + count

    def take(self) -> dict[str, Any]:
        """Return all of it as one gap, or nothing, and begin anew."""
        gap, self._gap = self._gap, {}
        return gap


def differs(who: str, theirs: tuple[int, str], ours: tuple[int, str]) -> str:
    """Return how two counts and digests differ, or nothing."""
    if theirs == ours:
        return ""
    return f"{who} {theirs[0]:,} records with digest {theirs[1]}, here are {ours[0]:,} with {ours[1]}"
