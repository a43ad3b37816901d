"""What the full-screen view holds and knows, as a plain state machine: frames, notes and keys in, rows and figures out.

Rows      Records, gaps and notes in the order in which they came. A row has a number that never changes; the oldest
          rows are let go when there are more than UI_ROWS_MAX, or UI_BYTES_MAX bytes of them.
Pause     Nothing is added. What comes is counted (lines, and errors among them) and let go; it is read again from
          where the pause began (``resume``), or declared as a gap that can be fetched (``skip``).
Filter    ``began`` is the cursor where this tail began. A new query is read again from there, so that it holds for what
          was seen already, too: ``restart`` forgets the rows when the first frame of the new tail comes.
Gap       A row that says what is missing. What is fetched for it takes its place (``fill``), and what is left of it
          stays a gap.

No threads and no clock in here: whoever owns it calls it from one thread and says what time it is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tailrace.cli.frames import Frame, Note
from tailrace.cli.groups import Groups
from tailrace.cli.order import Arrival
from tailrace.limits import UI_BYTES_MAX, UI_RATE_S, UI_ROWS_MAX

_BAD = frozenset({"error", "fatal"})


@dataclass(frozen=True, slots=True)
class Row:
    """One row: a record (and how late it came), a gap, a note, or the rule between lines that are not neighbours."""

    kind: str
    data: Mapping[str, Any]
    size: int = 0
    late: str = ""

    @property
    def text(self) -> str:
        """Return what a search looks in."""
        return self.data.get("message") or self.data.get("text") or ""


class Held:
    """See the head of this module."""

    def __init__(self, query: str, around: int = 0) -> None:
        """Hold nothing yet; ``around`` lines of context are asked for around each match."""
        self.query = query
        self.rows: list[Row] = []
        self.first = 0
        self.state = "connecting"
        self.began = self.checkpoint = ""
        self.matched = self.sampled = self.gaps = self.reconnects = self.let_go = 0
        self.lag_ms = 0.0
        self.paused = False
        self.waiting = self.waiting_errors = 0
        self._resume_at = ""
        self._before_pause = 0, 0, 0
        self._bytes = 0
        self._order = Arrival()
        self._around = around
        self._groups = Groups(around) if around else None
        self._restarting = False
        self._rates: deque[tuple[float, int]] = deque()

    @property
    def end(self) -> int:
        """Return the number behind the newest row."""
        return self.first + len(self.rows)

    def row(self, number: int) -> Row | None:
        """Return a row by its number, or None when it is not held."""
        return self.rows[number - self.first] if self.first <= number < self.end else None

    def take(self, event: Frame | Note, now_s: float) -> None:
        """Take a frame, or what happened to the connection."""
        if isinstance(event, Note):
            self.state = "live" if event.kind == "found" else "reconnecting"
            self.reconnects += event.kind == "found"
            self._add([Row("note", {"text": event.text})])
            return
        if self._restarting:
            self._forget()
        self.state = "live"
        data = event.json()
        if event.event == "rows":
            self._take_records(data["records"], len(event.data), now_s)
        elif event.event == "ping":
            self.began = self.began or data.get("from", data["checkpoint"])
            self.lag_ms = data["lag_ms"]
        elif event.event == "gap" and data["why"] == "sampled":
            self.sampled += data["count"]
        elif event.event == "gap":
            self.gaps += 1
            if not self.paused:
                self._add([Row("gap", data)])
        self.checkpoint = event.checkpoint or self.checkpoint

    def _take_records(self, records: list[dict[str, Any]], size: int, now_s: float) -> None:
        count = sum("context" not in record for record in records)
        self.matched += count
        self._rates.append((now_s, count))
        if self.paused:
            self.waiting += count
            self.waiting_errors += sum(record.get("level") in _BAD for record in records if "context" not in record)
            return
        each = size // max(1, len(records))
        rows: list[Row] = []
        for record, late in self._order.add(records, now_s):
            if self._groups and self._groups.begins(record):
                rows.append(Row("rule", {}))
            rows.append(Row("record", record, each, late))
        self._add(rows)

    def rate(self, now_s: float) -> float:
        """Return how many lines came each second, lately."""
        while self._rates and self._rates[0][0] < now_s - UI_RATE_S:
            self._rates.popleft()
        return sum(count for _, count in self._rates) / UI_RATE_S

    # -- what a person does ----------------------------------------------------------------------------------------

    def pause(self) -> None:
        """Stand still."""
        self.paused, self._resume_at = True, self.checkpoint
        self._before_pause = self._counted()
        self.waiting = self.waiting_errors = 0

    def resume(self) -> str:
        """Go on; return the cursor from where to read again, or nothing when nothing was missed."""
        self.paused = False
        missed = self._counted() != self._before_pause
        self.matched, self.sampled, self.gaps = self._before_pause  # what was missed comes again
        return self._resume_at if missed else ""

    def _counted(self) -> tuple[int, int, int]:
        return self.matched, self.sampled, self.gaps

    def skip(self) -> None:
        """Go on with what comes now, and leave what waited as a gap."""
        self.paused = False
        if self._counted() != self._before_pause:
            self.gaps += 1
            gap = {"from": self._resume_at, "to": self.checkpoint, "count": self.waiting, "why": "paused"}
            self._add([Row("gap", gap | ({"levels": {"error": self.waiting_errors}} if self.waiting_errors else {}))])

    def restart(self, query: str) -> str:
        """Note that another query is read from where this tail began; return that cursor."""
        self.query, self._restarting, self.paused = query, True, False
        return self.began

    def keep(self, query: str) -> None:
        """Note that the query before is read on, because the new one was refused."""
        self.query, self._restarting = query, False

    def _forget(self) -> None:
        self._restarting = False
        self.first, self.rows = self.end, []
        self.matched = self.sampled = self.gaps = self.let_go = self._bytes = 0
        self._groups = Groups(self._around) if self._around else None
        self._order = Arrival()
        self._rates.clear()

    def fill(self, number: int, found: Iterable[Frame], rows_max: int) -> int:
        """Put what was fetched in the place of a gap; return how many rows. More than ``rows_max`` stay a gap."""
        gap = self.row(number)
        if gap is None or gap.kind != "gap":
            return 0
        new: list[Row] = []
        end = gap.data["to"]
        behind = int(end.rpartition("-")[2])
        for frame in found:
            if frame.event == "gap":
                new.append(Row("gap", frame.json()))
            if frame.event != "rows":
                continue
            records = frame.json()["records"]
            each = len(frame.data) // max(1, len(records))
            new += [Row("record", one, each) for one in records if int(one["cursor"].rpartition("-")[2]) < behind]
            if len(new) >= rows_max and frame.checkpoint != end:
                rest = {"from": frame.checkpoint, "to": end, "count": None, "why": gap.data["why"]}
                new.append(Row("gap", rest))
                break
        at = number - self.first
        self.rows[at : at + 1] = new
        self._bytes += sum(row.size for row in new)
        self._trim()
        return len(new)

    # -- looking ---------------------------------------------------------------------------------------------------

    def find(self, matches: Callable[[str], object], start: int, step: int) -> int | None:
        """Return the nearest row from ``start`` on (``step``: 1 or -1) whose text matches; around the end once."""
        count = len(self.rows)
        for distance in range(count):
            index = (start - self.first + step * distance) % count
            if matches(self.rows[index].text):
                return self.first + index
        return None

    def _add(self, rows: Iterable[Row]) -> None:
        before = len(self.rows)
        self.rows.extend(rows)
        self._bytes += sum(row.size for row in self.rows[before:])
        self._trim()

    def _trim(self) -> None:
        """Let the oldest rows go, a tenth at a time: to take one from the front of a list is dear."""
        while len(self.rows) > UI_ROWS_MAX or self._bytes > UI_BYTES_MAX:
            gone = max(1, min(len(self.rows) - 1, max(len(self.rows) - UI_ROWS_MAX, len(self.rows) // 10)))
            self._bytes -= sum(row.size for row in self.rows[:gone])
            del self.rows[:gone]
            self.first += gone
            self.let_go += gone
