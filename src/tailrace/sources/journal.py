r"""The systemd journal, through its export format (https://systemd.io/JOURNAL_EXPORT_FORMATS).

``journalctl --output=export --follow`` is run, so that nobody has to link systemd's library. An entry is lines
``FIELD=text``, or, for a value that is no line of text, ``FIELD``, a newline, eight bytes of length (little endian),
the bytes, a newline; an empty line ends it.

Once. Every entry has a cursor. The newest one is the note of the batch's origin, so after a restart the reader goes on
behind what the bus has taken (``--after-cursor``), exactly; entries that the journal has meanwhile deleted are gone,
and it goes on at the oldest there is. When journalctl ends (it should not) it is started again.

Meaning. MESSAGE is the message, PRIORITY the level, the realtime timestamp the time, SYSLOG_IDENTIFIER (else the unit,
else the command) the service, _HOSTNAME the host, CONTAINER_NAME the container. Every other field keeps its name.

A Python loop over entries, about 10 us each: the format has no columns, and a journal seldom writes 10,000 a second.
"""

from __future__ import annotations

import base64
import contextlib
import os
import select
import shutil
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import orjson
import pyarrow as pa

from tailrace.bus import Bus
from tailrace.limits import JOURNAL_ENTRY_BYTES_MAX, JOURNAL_READ_BYTES, JOURNAL_RETRY_S
from tailrace.lines import Lines
from tailrace.pipeline import Pipeline, process_json
from tailrace.pipeline.decode import decode
from tailrace.record import Origin, Stream
from tailrace.sources.intake import Intake, SourceStatus

_NAME = "journal:"
_WAIT_MS = 200
_BYTES_PER_ENTRY = 512
_ADDRESS = ("__CURSOR", "__REALTIME_TIMESTAMP", "__MONOTONIC_TIMESTAMP", "__SEQNUM", "__SEQNUM_ID")
_DIRECTORIES = (Path("/var/log/journal"), Path("/run/log/journal"))


class Note(msgspec.Struct):
    """What is kept beside the position: the journal's own name of the newest entry that was taken."""

    cursor: str


def is_there() -> bool:
    """Tell whether this machine has a journal with entries that we may read, and journalctl."""
    if shutil.which("journalctl") is None:
        return False
    files = (file for directory in _DIRECTORIES for file in directory.glob("*/*.journal"))
    return any(os.access(file, os.R_OK) for file in files)


class Journal:
    """Follows the journal from ``start`` until ``stop``."""

    def __init__(
        self, bus: Bus, *, pipeline: Pipeline, host: str, start: str = "beginning", arguments: Sequence[str] = ()
    ) -> None:
        """``start`` is where to begin the first time: ``beginning``, ``end``, or about so many bytes from the end.

        ``arguments`` are more of journalctl's, like ``--namespace=NAME``; each set of them is a journal of its own.
        """
        self._intake = Intake(bus)
        self._pipeline = pipeline
        self._name = _NAME + " ".join(arguments)
        self._stream = Stream.of({"host": host, "source": "journal"})
        self._start = start
        self._arguments = arguments
        self._stopping = threading.Event()
        self._error = ""
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """Stop reading; what is not on the bus is read again in the next life."""
        self._stopping.set()
        self._intake.stop()
        self._thread.join()

    def status(self) -> SourceStatus:
        """Return how it is doing. From any thread."""
        error = self._intake.error or self._error
        return SourceStatus("journal", "failing" if error else "reading", self._intake.lines, 0, error)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                with subprocess.Popen(  # noqa: S603 - the command is ours, its arguments the configuration's
                    self._command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
                ) as journal:
                    try:
                        self._follow(journal)
                    finally:
                        journal.kill()
                        assert journal.stderr is not None
                        said = journal.stderr.read(4096).decode(errors="replace").strip()
                self._error = f"journalctl has ended, it is started again: {said}"
            except (OSError, ValueError) as error:
                self._error = f"the journal cannot be read: {error}"
            self._stopping.wait(JOURNAL_RETRY_S)

    def _command(self) -> list[str]:
        command = ["journalctl", "--output=export", "--follow", "--no-pager", "--quiet", *self._arguments]
        taken = self._intake.bus.taken(self._name)
        if taken is not None and taken.note:
            return [*command, "--after-cursor", msgspec.json.decode(taken.note, type=Note).cursor, "--lines=all"]
        if self._start == "end":
            return [*command, "--lines=0"]
        if self._start == "beginning":
            return [*command, "--lines=all"]
        return [*command, f"--lines={int(self._start) // _BYTES_PER_ENTRY}"]

    def _follow(self, journal: subprocess.Popen[bytes]) -> None:
        assert journal.stdout is not None
        fd = journal.stdout.fileno()
        waiting = select.poll()
        waiting.register(fd, select.POLLIN)
        rest = b""
        while not self._stopping.is_set():
            if not waiting.poll(_WAIT_MS):
                continue
            data = os.read(fd, JOURNAL_READ_BYTES)
            if not data:
                return
            rest += data
            entries, taken = parse(rest)
            rest = rest[taken:]
            if len(rest) > JOURNAL_ENTRY_BYTES_MAX:
                raise ValueError(f"an entry of more than {JOURNAL_ENTRY_BYTES_MAX} bytes")
            if entries and not self._take(entries):
                return

    def _take(self, entries: list[dict[str, bytes]]) -> bool:
        rows = len(entries)
        before = self._intake.bus.taken(self._name)
        first = before.next if before else 0
        note = Note(entries[-1]["__CURSOR"].decode())
        lines = Lines(
            pa.array([orjson.dumps(record_of(entry)) for entry in entries], pa.binary()),
            np.arange(first, first + rows, dtype=np.int64),
            self._stream,
            time.time_ns(),
            Origin(self._name, first, first + rows, rows, msgspec.json.encode(note).decode()),
        )
        batch, _ = process_json(lines)
        self._error = ""
        return self._intake.append(self._pipeline.masked(batch))


def parse(data: bytes) -> tuple[list[dict[str, bytes]], int]:
    """Return the entries that are complete, and how many bytes they take. Raises ValueError for another format."""
    entries: list[dict[str, bytes]] = []
    taken = place = 0
    entry: dict[str, bytes] = {}
    while (end := data.find(b"\n", place)) >= 0:
        if end == place:
            place = taken = end + 1
            if entry:
                entries.append(entry)
                entry = {}
            continue
        name, text, value = data[place:end].partition(b"=")
        if text:
            place = end + 1
        else:
            begin = end + 9
            stop = begin + int.from_bytes(data[end + 1 : begin], "little")
            if stop - begin > JOURNAL_ENTRY_BYTES_MAX:
                raise ValueError(f"{name[:40]!r} is no field of a journal")
            if stop >= len(data):
                break
            value = data[begin:stop]
            place = stop + 1
        entry[name.decode("ascii", "replace")] = value
    return entries, taken


def record_of(entry: dict[str, bytes]) -> dict[str, Any]:
    """Return an entry as the object that ``process_json`` understands."""
    texts, raw = decode(pa.array(entry.values(), pa.binary()))
    named = dict(zip(entry, texts.to_pylist(), strict=True))
    record: dict[str, Any] = {"timestamp": int(named.get("__REALTIME_TIMESTAMP", "0"))}
    for field in _ADDRESS:
        named.pop(field, None)
    if raw and (position := list(entry).index("MESSAGE") if "MESSAGE" in entry else -1) in raw:
        named["raw_base64"] = base64.b64encode(raw[position]).decode()
    record["message"] = named.pop("MESSAGE", "")
    record["level"] = named.pop("PRIORITY", "")
    unit = named.get("_SYSTEMD_UNIT", "").removesuffix(".service")
    record["service"] = named.pop("SYSLOG_IDENTIFIER", "") or unit or named.get("_COMM", "")
    record["host"] = named.pop("_HOSTNAME", "")
    with contextlib.suppress(KeyError):
        record["container"] = named.pop("CONTAINER_NAME")
    return {**{name: value for name, value in record.items() if value != ""}, "fields": named}
