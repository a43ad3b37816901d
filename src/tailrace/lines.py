"""Raw lines on their way from a source to the pipeline, and what is to be done with them there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from tailrace.record import Origin, Stream


@dataclass(frozen=True, slots=True)
class Mask:
    """A rule of one's own for ``redact``: what ``pattern`` (RE2) finds is masked, in ``field`` or everywhere.

    One of two: ``keep`` (characters kept at the head and the tail of the first group, or of all of it without groups,
    ``*`` between) or ``template`` (stands instead of all of it; ``{name}`` is what the group of that name found).
    """

    name: str
    pattern: str
    keep: tuple[int, int] | None = None
    template: str = ""
    field: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of the records that ``where`` (a filter) means, one of ``one_in`` is kept."""

    where: str
    one_in: int


@dataclass(frozen=True, slots=True)
class Steps:
    """What a person wishes to be done with the lines of an entry; what is left alone is found out from the lines.

    ``encoding`` is that of the bytes; empty: UTF-8, or what a byte order mark says. ``multiline`` says how lines become
    events: ``auto`` (stack traces), ``off``, ``start`` (a line in which ``pattern`` is found begins one) or
    ``continue`` (such a line belongs to the one before); the pattern is RE2. ``format`` says how lines are written
    (pipeline/format.py), ``zone`` is the IANA name of the zone of times that name none; empty: the machine's.
    ``levels`` are pairs of a word in the line and the level that it means, ``level_field`` is the name of the field
    that holds it. ``labels_from`` is a pattern (RE2) on the path whose named groups become labels. ``drop`` is a filter
    of the query language: what it means is not kept. ``redact`` names groups and rules of what is masked, and has rules
    of one's own.
    """

    encoding: str = ""
    multiline: str = "auto"
    pattern: str = ""
    format: str = ""
    zone: str = ""
    levels: tuple[tuple[str, str], ...] = ()
    level_field: str = ""
    labels_from: str = ""
    drop: str = ""
    sample: Sample | None = None
    redact: tuple[str | Mask, ...] = ()


PLAIN = Steps()


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of one stream: bytes, not yet understood.

    ``lines`` is a binary array without line ends; ``positions`` (int64, as many) is where each began in its source;
    ``observed_ns`` is when they were read. ``origin`` covers all of them. ``ended`` says that nothing that belongs to
    the last of them is expected any more: the pipeline gives out all of them. Otherwise it may hold back the last ones,
    and the origin of its batch ends where the source has to read again. ``more`` says that the source has more bytes
    already, so that it costs nothing to hold a line back. ``head`` is the beginning of the source when that is a
    comment (``#``), where some formats keep the names of their columns. ``before`` is the origin of the first of the
    lines when they are the end of the file before, whose last event may go on in this one.
    """

    lines: pa.BinaryArray
    positions: np.ndarray
    stream: Stream
    observed_ns: int
    origin: Origin
    steps: Steps = PLAIN
    ended: bool = True
    more: bool = False
    head: bytes = b""
    before: Origin | None = None

    def goes_on_in(self, newer: Lines) -> bool:
        """Tell whether the last event of these lines can go on in the next file."""
        return (self.stream, self.steps) == (newer.stream, newer.steps)

    def behind(self, older: Lines) -> Lines:
        """Return these lines behind those of the file before, of the same stream and for the same steps."""
        lines = pa.concat_arrays([older.lines, self.lines])
        return replace(self, lines=lines, positions=np.append(older.positions, self.positions), before=older.origin)

    def origins(self, end: int, rows: int) -> list[Origin]:
        """Return the origins of a batch of ``rows`` that was made of what stands before ``end``; the last has them."""
        own = replace(self.origin, next=end, rows=rows)
        return [own] if self.before is None else [replace(self.before, rows=0), own]
