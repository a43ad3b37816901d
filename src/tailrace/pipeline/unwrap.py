r"""unwrap: what a container runtime writes around each line is taken off, and the parts of long lines are joined.

Two envelopes are known, per stream by its lines, or because ``format`` says so:

    cri      2026-11-20T08:00:00.123456789Z stdout F the line          (containerd, CRI-O; P instead of F: a part)
    docker   {"log":"the line\n","stream":"stderr","time":"2026-…Z"}    (json-file; without \n: a part)

What is inside is then understood like any other line. Rules:

- ``stdout`` or ``stderr`` becomes the field ``stream`` (a name of the line's own wins);
- the time is the line's own when it, or the entry, names its zone, else the envelope's: containers seldom have the zone
  of the machine;
- the parts of a line are joined, those of stdout and stderr apart, and the whole stands where its first part began;
- parts without an end at the end of a read are held back with everything behind the first of them; at the end of a
  rotated file they are joined with the first lines of the next one; when there is none they are given out as they are,
  with the field ``partial``;
- a line without an envelope among lines that have one is kept whole, with the field ``corrupt``.

Everything is done in columns: the parts of an envelope are cuts in the bytes. Only a log text of Docker with escapes
other than the usual ones, or an unusual order of keys, is decoded line by line.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.pipeline.dissect import Template, dissect, slices
from tailrace.pipeline.timestamp import ISO, Text, read_utc

ENVELOPES = ("cri", "docker")
STREAMS = ("", "stdout", "stderr")

_DOCKER = (
    Template('{"log":"{log*}","stream":"{stream}","time":"{time}"}'),
    Template('{"log":"{log*}","stream":"{stream}",{*}"time":"{time}"}'),
)
_CRI = re.compile(r"\d{4}-\d\d-\d\dT\S+ std(?:out|err) [FP]")
_SIMPLE = ((r"\"", '"'), (r"\t", "\t"), (r"\r", "\r"), (r"\u003c", "<"), (r"\u003e", ">"), (r"\u0026", "&"))
_BACKSLASH = "\\"


@dataclass(slots=True)
class Parts:
    """What stands in each line: text, 0 1 2 for neither, stdout or stderr, whether the line ends there, its time.

    ``fits`` is False for lines without an envelope: their text is the whole line.
    """

    fits: np.ndarray
    text: pa.StringArray
    stream: np.ndarray
    whole: np.ndarray
    time: np.ndarray


@dataclass(slots=True)
class Unwrapped:
    """The lines inside: text, ``stream`` (index into STREAMS), time in UTC nanoseconds, and which lacks its end.

    ``first`` is the row of the first part of each in what was read, increasing; ``row`` is, for each row that was read,
    the line that it belongs to; rows from ``held`` on are held back and belong to none.
    """

    text: pa.StringArray
    stream: np.ndarray
    time: np.ndarray
    timed: np.ndarray
    partial: np.ndarray
    first: np.ndarray
    row: np.ndarray
    held: int


def looks(line: str, among: Sequence[str]) -> str:
    """Return the envelope that a line seems to have, or nothing; a cheap look at its beginning."""
    found = "docker" if line.startswith('{"log":"') else "cri" if _CRI.match(line) else ""
    return found if found in among else ""


def detect(text: pa.StringArray, among: Sequence[str]) -> str:
    """Return the envelope that most of these lines have, or nothing."""
    for name in among:
        if np.count_nonzero(parts(name, text).fits) * 2 > len(text):
            return name
    return ""


def any_fits(envelope: str, text: pa.StringArray) -> bool:
    """Tell whether one of these lines has the envelope."""
    return bool(parts(envelope, text).fits.any())


def parts(envelope: str, text: pa.StringArray) -> Parts:
    """Take the envelope off each line."""
    return _cri(text) if envelope == "cri" else _docker(text)


def _cri(lines: pa.StringArray) -> Parts:
    text = Text.of(lines)
    times = ISO.read(text, text.begins, 0)
    first = text.next_of(b" ", text.begins)
    second = text.next_of(b" ", np.minimum(first + 1, text.ends))
    third = text.next_of(b" ", np.minimum(second + 1, text.ends))
    head = text.window(np.minimum(first + 1, text.ends), 10)
    names = [np.frombuffer(name.encode(), np.uint8) for name in STREAMS[1:]]
    stdout, stderr = ((head[:, : len(name)] == name).all(axis=1) for name in names)
    tag, behind = head[:, 7], head[:, 8]
    fits = times.ok & times.zoned & (times.ends == first) & (stdout | stderr) & (second == first + 7)
    fits &= ((tag == ord("F")) | (tag == ord("P"))) & ((behind == ord(" ")) | (behind == ord(":")) | (behind == 0))
    begins = np.where(fits, np.minimum(third + 1, text.ends), text.begins)
    inner = slices(text, np.stack([begins, text.ends], axis=1), 1)[0]
    stream = np.where(fits, stdout + 2 * stderr, 0).astype(np.int8)
    return Parts(fits, inner, stream, ~fits | (tag == ord("F")), times.ns)


def _docker(lines: pa.StringArray) -> Parts:
    rows = len(lines)
    text = Text.of(lines)
    read = Parts(np.zeros(rows, bool), lines, np.zeros(rows, np.int8), np.ones(rows, bool), np.zeros(rows, np.int64))
    for fitting, (log, stream, time) in dissect(_DOCKER, text, text.begins, np.ones(rows, bool)):
        ok, ns = read_utc(time.values)
        codes = pc.fill_null(pc.index_in(stream.values, pa.array(STREAMS)), 0).to_numpy(zero_copy_only=False)
        plain, whole, sound = _unescaped(log.values)
        _set(read, fitting, Parts(ok & sound & (codes > 0), plain, codes, whole, ns))
    for row in np.flatnonzero(~read.fits).tolist():  # an order of keys that Docker does not write, or no JSON
        known = _decoded(lines[row].as_py())
        if known is not None:
            ok, ns = read_utc(pa.array([known[2]], pa.string()))
            log = known[0].removesuffix("\n")
            whole = np.array([log != known[0]])
            _set(read, np.array([row]), Parts(ok, pa.array([log], pa.string()), np.array([known[1]]), whole, ns))
    return read


def _set(read: Parts, rows: np.ndarray, found: Parts) -> None:
    """Put what was found of these rows in its place."""
    rows = rows[found.fits]
    text = found.text if len(rows) == len(found.fits) else found.text.filter(pa.array(found.fits))
    read.fits[rows] = True
    read.stream[rows], read.whole[rows] = found.stream[found.fits], found.whole[found.fits]
    read.time[rows] = found.time[found.fits]
    read.text = _replaced(read.text, rows, text)


def _replaced(texts: pa.StringArray, rows: np.ndarray, by: pa.StringArray) -> pa.StringArray:
    if len(rows) == len(texts):
        return by
    places = np.arange(len(texts))
    places[rows] = len(texts) + np.arange(len(rows))
    return pa.concat_arrays([texts, by]).take(pa.array(places))


def _unescaped(values: pa.StringArray) -> tuple[pa.StringArray, np.ndarray, np.ndarray]:
    """Return texts as they were before JSON, without the newline at their end; which had one; which could be read."""
    whole = pc.ends_with(values, r"\n").to_numpy(zero_copy_only=False).copy()
    sound = np.ones(len(values), bool)
    plain = pc.binary_replace_slice(values, -2, 2**31 - 1, "")
    plain = plain if whole.all() else pc.if_else(pa.array(whole), plain, values)
    # A backslash at the new end: the n behind it was a letter, or a newline stood behind a backslash.
    escaped = pc.match_substring(plain, _BACKSLASH).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(escaped)
    if not len(rows):
        return plain, whole, sound
    some = plain.take(pa.array(rows))
    odd = pc.match_substring(some, _BACKSLASH * 2)
    for escape, meant in _SIMPLE:
        some = pc.replace_substring(some, escape, meant)
    odd = np.flatnonzero(pc.or_(odd, pc.match_substring(some, _BACKSLASH)).to_numpy(zero_copy_only=False))
    texts = some.to_pylist() if len(odd) else []
    for place in odd.tolist():
        row = rows[place]
        try:
            text = orjson.loads(f'"{values[row].as_py()}"')
        except orjson.JSONDecodeError:
            sound[row] = False
            continue
        texts[place] = text.removesuffix("\n")
        whole[row] = text.endswith("\n")
    return _replaced(plain, rows, pa.array(texts, pa.string()) if len(odd) else some), whole, sound


def _decoded(line: str) -> tuple[str, int, str] | None:
    try:
        record: Any = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(record, dict):
        return None
    log, stream, time = (record.get(key) for key in ("log", "stream", "time"))
    known = isinstance(log, str) and isinstance(time, str) and stream in STREAMS[1:]
    return (log, STREAMS.index(stream), time) if known else None  # type: ignore[return-value]


def unwrap(envelope: str, text: pa.StringArray, *, ended: bool) -> Unwrapped:
    """Take the envelope off and join parts; see the head of this module."""
    read = parts(envelope, text)
    rows = np.arange(len(text))
    if read.whole.all():
        none = np.zeros(len(text), bool)
        return Unwrapped(read.text, read.stream, read.time, read.fits, none, rows, rows, len(text))
    order = np.argsort(read.stream, kind="stable")
    whole, stream = read.whole[order], read.stream[order]
    begins = np.flatnonzero(np.r_[True, whole[:-1] | (stream[1:] != stream[:-1])])
    ends = np.r_[begins[1:], len(order)]
    first, last, partial = order[begins], order[ends - 1], ~whole[ends - 1]
    held = len(text) if ended or not partial.any() else int(first[partial].min())
    while held < len(text):
        reaching = first[last >= held]
        if reaching.min() >= held:
            break
        held = int(reaching.min())
    lists = pa.ListArray.from_arrays(
        pa.array(np.r_[begins, len(order)].astype(np.int32)), read.text.take(pa.array(order))
    )
    joined = pc.binary_join(lists, "")
    kept = np.flatnonzero(first < held)
    kept = kept[np.argsort(first[kept])]
    line = np.full(len(first), -1)
    line[kept] = np.arange(len(kept))
    row = np.empty(len(order), np.int64)
    row[order] = np.repeat(line, ends - begins)
    at = first[kept]
    return Unwrapped(
        joined.take(pa.array(kept)), read.stream[at], read.time[at], read.fits[at], partial[kept], at, row, held
    )
