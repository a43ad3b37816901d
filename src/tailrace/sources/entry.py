"""What is to be followed: a wish for files, which need not be there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tailrace.errors import ConfigError
from tailrace.limits import MIB
from tailrace.lines import PLAIN, Steps
from tailrace.pipeline.decode import encoding_of
from tailrace.pipeline.join import check

UNREADABLE = (".bz2", ".xz", ".zst", ".lz4", ".zip", ".Z")
"""Names of compressed files that are left out; gzip is read."""
_UNITS = {"KB": 1024, "MB": MIB, "GB": 1024 * MIB}


@dataclass(frozen=True, slots=True)
class Entry:
    """A wish: follow ``path`` (a file, a glob with ``**``, or a directory with all text files below it).

    ``start`` says where files begin that are there at first and not known yet: ``beginning``, ``end`` or a size such as
    ``10MB`` from the end (at the next line). ``labels`` are those of its streams, besides ``host`` and ``path``;
    ``steps`` is what is done with its lines. ``exclude`` are patterns of paths that are left out (globs.py).
    """

    path: str
    start: str = "beginning"
    labels: Mapping[str, str] = field(default_factory=dict)
    steps: Steps = PLAIN
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        start_offset(self.start, 0)
        encoding_of(self.steps.encoding)
        check(self.steps)


def start_offset(start: str, size: int) -> int:
    """Return the byte that ``start`` means in a file of ``size`` bytes. Raises ConfigError."""
    if start in ("beginning", "end"):
        return size if start == "end" else 0
    number, unit = start[:-2], start[-2:].upper()
    if not number.isdigit() or unit not in _UNITS:
        raise ConfigError(f"{start!r} is no place to start", cure="Use beginning, end, or a size such as 10MB.")
    return max(0, size - int(number) * _UNITS[unit])
