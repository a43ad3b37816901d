"""What can be seen of collecting: how each file is doing, and all of them together. Reads, and changes nothing.

Called from any thread while the collector's goes on: a file may be one block further than its neighbour in the answer.
One pass over 10,000 files takes some milliseconds, so whoever asks does it in a thread; ``problems`` and ``count`` need
none.

States: ``failing`` cannot be opened or read; ``gone`` was renamed, deleted or is wanted by no entry any more, and is
drained; ``waiting`` has bytes that cannot be given on yet: the bus takes nothing, or the last line or event has no end;
``reading`` has others; ``quiet`` has none; ``parked`` is closed, for there is nothing to read in it: it is quiet and
its descriptor was needed, or it is compressed and read to its end, or the copy of what was read; ``skipped`` was
matched and is no log that can be read.
"""

from __future__ import annotations

import heapq
import os
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import has_magic
from itertools import islice
from typing import NamedTuple

import numpy as np

from tailrace.collect.words import Collecting, CollectParameters, ConfigurationStatus, EntryStatus, FileStatus, State
from tailrace.limits import POLL_S_MAX
from tailrace.pipeline import Pipeline
from tailrace.record import rfc3339
from tailrace.sources.file import FileSource
from tailrace.sources.followed import FollowedFile

_STALE_S = 2 * POLL_S_MAX
_PROBLEMS = 20


class _Seen(NamedTuple):
    """One file at one moment; ``file`` is absent when it is not open. A tuple, because there are thousands."""

    path: str
    state: State
    offset: int
    size: int
    lag: int
    error: str
    file: FollowedFile | None


@dataclass(frozen=True, slots=True)
class Summary:
    """All files together: how many are in which state, and how far behind: sum and largest of bytes, longest wait."""

    states: dict[str, int]
    lag_bytes: int
    lag_bytes_max: int
    lag_s: float


class Report:
    """Tells how the files of one source are doing. The collector writes ``lines`` and ``error``."""

    def __init__(self, source: FileSource, pipeline: Pipeline) -> None:
        self._source = source
        self._pipeline = pipeline
        self.lines = 0
        self.error = ""

    @property
    def read_errors(self) -> int:
        """How often a file could not be read."""
        return self._source.read_errors

    def count(self) -> int:
        """Return how many files there are, in any state."""
        return len(self._source.files) + len(self._source.parked) + len(self._source.problems)

    def problems(self) -> list[str]:
        """Return what is wrong, a bounded number of sentences."""
        failing = ((file.path, file.error) for file in self._source.failing.copy().values())
        found = [f"{path}: {why}" for path, why in islice((*failing, *self._source.problems.items()), _PROBLEMS)]
        return [self.error, *found] if self.error else found

    def files(self) -> list[FileStatus]:
        """Return how each file is doing."""
        now = time.monotonic()
        return [self._status(seen, now) for seen in self._look(now)]

    def summary(self) -> Summary:
        """Return how all of them are doing."""
        now = time.monotonic()
        return self._summary(list(self._look(now)), now)

    def answer(
        self, given: CollectParameters, entries: Sequence[str], configuration: ConfigurationStatus, problems: list[str]
    ) -> Collecting:
        """Answer a question; ``entries`` are the paths of those in effect."""
        now = time.monotonic()
        seen = list(self._look(now))
        summary = self._summary(seen, now)
        wanted = [one for one in seen if given.state in (None, one.state) and _fits(given.path, one.path)]
        shown = heapq.nsmallest(given.limit, wanted, key=lambda one: (one.state != "failing", -one.lag, one.path))
        return Collecting(
            files=[self._status(one, now) for one in shown],
            total=len(wanted),
            states=summary.states,
            lag_bytes=summary.lag_bytes,
            lag_s=summary.lag_s,
            lines=self.lines,
            read_errors=self.read_errors,
            entries=self._entries(entries[: given.limit]),
            entries_total=len(entries),
            configuration=configuration,
            problems=problems,
        )

    def _entries(self, paths: Sequence[str]) -> list[EntryStatus]:
        matched = self._source.matched
        nothing = "no file that another entry has not"
        return [EntryStatus(path, matched[path], "" if matched[path] else nothing) for path in paths]

    def _look(self, now: float) -> Iterator[_Seen]:
        stale = now - self._source.polled > _STALE_S
        for file in self._source.files:
            size = _size(file) if stale else file.size
            acked = file.acked
            lag = max(0, size - acked)
            yield _Seen(file.path, self._state(file, lag), acked, size, lag, file.error or self.error, file)
        for path, size in self._source.parked:
            yield _Seen(path, "parked", size, size, 0, "", None)
        for path, why in self._source.problems.items():
            yield _Seen(path, "failing", 0, 0, 0, why, None)
        for path, why in self._source.skipped.items():
            yield _Seen(path, "skipped", 0, 0, 0, why, None)

    def _state(self, file: FollowedFile, lag: int) -> State:
        if file.error:
            return "failing"
        if file.gone:
            return "gone"
        if not lag:
            return "quiet"
        unended = file.acked == file.offset < file.size and not file.more
        return "waiting" if self.error or file.held or unended else "reading"

    def _summary(self, seen: list[_Seen], now: float) -> Summary:
        states = Counter(one.state for one in seen)
        behind = [one for one in seen if one.lag]
        lags = [one.lag for one in behind]
        waited = max((self._lag_s(one, now) for one in behind), default=0.0)
        return Summary(dict(sorted(states.items())), sum(lags), max(lags, default=0), waited)

    def _lag_s(self, seen: _Seen, now: float) -> float:
        """Return how long the oldest byte has waited that the bus has not; one not seen yet, since the last look."""
        if seen.file is None or not seen.lag:
            return 0.0
        since = seen.file.waiting.since(seen.file.acked)
        return round(max(0.0, now - (self._source.polled if since is None else since)), 3)

    def _status(self, seen: _Seen, now: float) -> FileStatus:
        file = seen.file
        if file is None:
            return FileStatus(seen.path, seen.state, seen.offset, seen.size, 0, 0, None, seen.error)
        return FileStatus(
            seen.path,
            seen.state,
            seen.offset,
            seen.size,
            seen.lag,
            file.lines,
            self._pipeline.layout_of(file.stream.json),
            seen.error or self._pipeline.hint_of(file.stream.json),
            file.entry,
            self._lag_s(seen, now),
            file.steps.encoding,
            rfc3339(np.array([file.read_ns], np.int64))[0] if file.read_ns else None,
        )


def _size(file: FollowedFile) -> int:
    """Return the size now, which the collector may not have seen yet; the descriptor may be another file's already.

    How much a compressed file holds is seen by reading it only.
    """
    if file.content.packed:
        return file.size
    try:
        status = os.fstat(file.content.fd)
    except OSError:
        return file.size
    return status.st_size if (status.st_dev, status.st_ino) == file.key else file.size


def _fits(wanted: str, path: str) -> bool:
    return not wanted or (fnmatchcase(path, wanted) if has_magic(wanted) else wanted in path)
