"""assemble: the lines that were read become events: out of their envelope (unwrap), their parts together (join).

A row is a line as it was read; unwrap makes lines of rows, join makes events of lines. Here the two are put together:
which row is in which event, and from which row on everything waits, because an event that is still open must be read
again as a whole. An event that has begun before that row and goes on behind it waits as well.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from tailrace.lines import Lines
from tailrace.pipeline.decode import encoding_of, newline_of
from tailrace.pipeline.join import Events, join
from tailrace.pipeline.unwrap import Unwrapped


@dataclass(frozen=True, slots=True)
class Envelope:
    """What the envelope says of each event: index into unwrap.STREAMS, time in UTC nanoseconds, whether it has one."""

    stream: np.ndarray
    time: np.ndarray
    timed: np.ndarray


@dataclass(frozen=True, slots=True)
class Assembled:
    """Events: text, position of the first byte, what is to be said of some of them (by event, for their fields).

    ``next`` is where the source goes on: behind the last event, or at the first row that waits, behind ``rows`` others.
    """

    text: pa.StringArray
    positions: np.ndarray
    marks: dict[int, dict[str, Any]]
    next: int
    rows: int
    envelope: Envelope | None = None


def assemble(lines: Lines, text: pa.StringArray, raw: dict[int, bytes], inside: Unwrapped | None) -> Assembled:
    """Return the events of these lines; ``text`` is what they say, ``raw`` the bytes of rows that did not decode.

    ``inside`` are the lines inside of an envelope, if there is one.
    """
    if inside is not None:
        text = inside.text
    codes = None if inside is None else inside.stream
    joined = join(text, lines.steps, ended=lines.ended, more=lines.more, codes=codes)
    if joined is None and inside is None:
        marks = {row: _base64(data) for row, data in raw.items()}
        return Assembled(text, lines.positions, marks, lines.origin.next, len(text))
    event_of, firsts, held = _places(len(lines.lines), inside, joined, len(text))
    events = len(firsts)
    while held < len(event_of):
        reaching = event_of[held:]
        reaching = reaching[(reaching >= 0) & (reaching < events)]
        if not len(reaching):
            break
        events = int(reaching.min())
        held = int(firsts[events])
    firsts = firsts[:events]
    whole = text if joined is None else joined.texts(text)
    marks = _marks(inside, joined, events)
    for event, data in _raw_of(lines, raw, event_of, events).items():
        marks.setdefault(event, {}).update(_base64(data))
    following = lines.origin.next if held == len(event_of) else int(lines.positions[held])
    envelope = None
    if inside is not None:
        at = slice(0, events) if joined is None else joined.firsts[:events]
        envelope = Envelope(inside.stream[at], inside.time[at], inside.timed[at])
    return Assembled(whole.slice(0, events), lines.positions[firsts], marks, following, held, envelope)


def _places(
    rows: int, inside: Unwrapped | None, joined: Events | None, lines: int
) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the event of each row (-1: it waits), the first row of each event, and the row from which on rows wait."""
    event_of = np.arange(lines) if joined is None else joined.event_of(lines)
    firsts = np.arange(lines) if joined is None else joined.firsts
    held = rows if joined is None or joined.rows == lines else joined.rows
    if inside is None:
        return event_of, firsts, held
    if held < rows:
        held = int(inside.first[held])
    within = np.where(inside.row >= 0, np.append(event_of, -1)[inside.row], -1)
    return within, inside.first[firsts], min(held, inside.held)


def _marks(inside: Unwrapped | None, joined: Events | None, events: int) -> dict[int, dict[str, Any]]:
    marks: dict[int, dict[str, Any]] = {}
    if joined is not None:
        for event in joined.cut.tolist():
            marks.setdefault(event, {})["cut"] = True
    if inside is not None:
        event_of = None if joined is None else joined.event_of(len(inside.text))
        for name, flagged in (("partial", inside.partial), ("corrupt", ~inside.timed)):
            for line in np.flatnonzero(flagged).tolist():
                marks.setdefault(line if event_of is None else int(event_of[line]), {})[name] = True
    return {event: mark for event, mark in marks.items() if 0 <= event < events}


def _raw_of(lines: Lines, raw: dict[int, bytes], event_of: np.ndarray, events: int) -> dict[int, bytes]:
    """Return the bytes of the events that hold a row of ``raw``: all of their rows."""
    broken = {int(event_of[row]) for row in raw if 0 <= event_of[row] < events}
    newline = newline_of(encoding_of(lines.steps.encoding)) if broken else b""
    return {
        event: newline.join(lines.lines[row].as_py() for row in np.flatnonzero(event_of == event).tolist())
        for event in broken
    }


def _base64(data: bytes) -> dict[str, Any]:
    return {"raw_base64": base64.b64encode(data).decode()}
