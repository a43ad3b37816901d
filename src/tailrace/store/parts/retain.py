"""Retention: which parts have to go. Whole parts, never rows of one, so that forgetting costs an unlink.

Age is measured by when Tailrace saw a record, not by the time in its text: a line from last year that was read a minute
ago stays as long as any other.
"""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.limits import SECOND_NS
from tailrace.store.parts.part import Part


def expired(parts: Sequence[Part], now_ns: int, retain_s: float | None, retain_bytes: int | None) -> list[Part]:
    """Return the parts to drop of ``parts`` (in the order of the log): too old, then the oldest until the rest fits."""
    gone = [part for part in parts if retain_s is not None and part.observed_ns < now_ns - int(retain_s * SECOND_NS)]
    if retain_bytes is not None:
        left = [part for part in parts if part not in gone]
        size = sum(part.disk_bytes for part in left)
        for part in left:
            if size <= retain_bytes:
                break
            gone.append(part)
            size -= part.disk_bytes
    return gone
