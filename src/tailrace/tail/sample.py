"""Sampling when a person cannot read it anyway: at most ``rate_max`` ordinary lines of each second, spread over it.

A second is one of ``observed``, so that catching up leaves out the same kind of lines as being there. What must not be
missed passes: levels warn and above, and lines of a rare shape, of which sampling would leave out one of the first
TAIL_RARE_TIMES lately (``shapes.py``; as many of them a second as ordinary ones). The caller declares what is left out.

How many more will come in a second is not known, so it is taken for as busy as the one before: a line passes when
fewer have passed than its share of that, or than the part of the second that is over, of ``rate_max``. In the first
busy second the first ones pass; a second with ``rate_max`` lines or fewer behind one that was not busy passes whole.

State: counts of the last TAIL_SECONDS_KEPT seconds, and the shapes that were left out in the last one to two times
TAIL_RARE_S, TAIL_RARE_SHAPES_MAX of each. It is not kept for a resume: then the first lines of a shape pass again.

Cost: less than 0.1 microseconds for each match, and 3 for each one that is to be left out, for its shape. The encoding
of those is saved, 2, and the sending, for each client.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from tailrace.limits import TAIL_RARE_S, TAIL_RARE_SHAPES_MAX, TAIL_RARE_TIMES, TAIL_SECONDS_KEPT
from tailrace.record import Level
from tailrace.tail.shapes import shapes

_SECOND = 1_000_000_000


@dataclass(slots=True)
class _Second:
    arrived: int = 0
    passed: int = 0
    rare: int = 0


class Sampler:
    """Decides for one view; see the head of this module."""

    def __init__(self, rate_max: int) -> None:
        """Begin without knowing of anything; ``rate_max`` is lines a second, 1 or more."""
        self._rate_max = rate_max
        self._seconds: dict[int, _Second] = {}
        self._left_out: dict[str, int] = {}
        self._left_out_before: dict[str, int] = {}
        self._since = 0

    def passes(self, observed: np.ndarray, levels: np.ndarray, messages: pa.StringArray) -> np.ndarray:
        """Return which of the matches (bool) are to be shown, from their times of arrival (ns), levels and texts."""
        shown = levels >= Level.WARN
        ordinary = np.flatnonzero(~shown)
        when = observed[ordinary] // _SECOND
        if len(when) and (when == when[0]).all():
            # Nearly always so, when one is there.
            self._one_second(int(when[0]), ordinary, int(observed[ordinary].max()), shown, messages)
            self._forget()
            return shown
        seconds, of, arrived = np.unique(when, return_inverse=True, return_counts=True)
        busy = np.isin(seconds, list(self._seconds)) | np.isin(seconds - 1, list(self._seconds))
        busy |= arrived > self._rate_max
        shown[ordinary[~busy[of]]] = True
        # A loop over seconds that are, were or may become busy: the last ones, and those of more than rate_max lines.
        for number in np.flatnonzero(busy).tolist():
            rows = ordinary[of == number]
            self._one_second(int(seconds[number]), rows, int(observed[rows].max()), shown, messages)
        for number in np.flatnonzero(~busy)[-TAIL_SECONDS_KEPT:].tolist():
            count = int(arrived[number])
            self._seconds[int(seconds[number])] = _Second(count, count)
        self._forget()
        return shown

    def _one_second(self, at: int, rows: np.ndarray, newest_ns: int, shown: np.ndarray, messages: pa.Array) -> None:
        second = self._seconds.setdefault(at, _Second())
        before = self._seconds.get(at - 1, _Second())
        second.arrived += len(rows)
        likely = max(before.arrived, second.arrived)
        allowed = self._rate_max
        if likely > self._rate_max:
            over = (newest_ns + 1 - at * _SECOND) / _SECOND
            allowed = int(self._rate_max * max(second.arrived / likely, over))
        count = min(max(allowed - second.passed, 0), len(rows))
        second.passed += count
        spread = ((np.arange(count) + 0.5) * len(rows) / max(count, 1)).astype(np.int64)
        shown[rows[spread]] = True
        left = np.delete(rows, spread)
        if len(left):
            rare = left[self._rare(at, messages.take(pa.array(left)))][: self._rate_max - second.rare]
            second.rare += len(rare)
            shown[rare] = True

    def _forget(self) -> None:
        for second in list(self._seconds)[:-TAIL_SECONDS_KEPT]:
            del self._seconds[second]

    def _rare(self, at: int, messages: pa.StringArray) -> np.ndarray:
        """Return the indices of messages of rare shapes, and note that all of them are left out."""
        age = abs(at - self._since)
        if age >= TAIL_RARE_S or len(self._left_out) > TAIL_RARE_SHAPES_MAX:
            self._left_out_before = self._left_out if age < 2 * TAIL_RARE_S else {}
            self._left_out = {}
            self._since = at
        found = shapes(messages).dictionary_encode()
        of = found.indices.to_numpy()
        order = np.argsort(of, kind="stable")
        counts = np.bincount(of)
        nth = np.empty(len(of), np.int64)
        nth[order] = np.arange(len(of)) - np.repeat(np.cumsum(counts) - counts, counts)
        known = np.zeros(len(counts), np.int64)
        # A loop over the distinct shapes of lines that a person was not going to read.
        for code, (shape, count) in enumerate(zip(found.dictionary.to_pylist(), counts.tolist(), strict=True)):
            known[code] = self._left_out.get(shape, 0) + self._left_out_before.get(shape, 0)
            self._left_out[shape] = self._left_out.get(shape, 0) + count
        return np.flatnonzero(nth + known[of] < TAIL_RARE_TIMES)
