"""Reading back what was logged: from the files of a prefix, or from a server; the same questions, the same answers.

Records come oldest first, as they stand in the file (a server's with its fields beside the others). A line that is no
JSON object is counted in ``broken`` and left out. Files are read line by line, so memory does not grow with them; a
summary holds the durations of SAMPLES_MAX records of each operation, spread evenly, so its percentiles are exact up to
there.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import IO, Any, Union
from urllib.parse import urlencode, urlsplit

from tailrace_sdk.files import files_of
from tailrace_sdk.levels import at_least, level_name

When = Union[datetime, timedelta, str, float]
"""A time, how long ago (timedelta), RFC 3339, or seconds since 1970."""
SAMPLES_MAX = 10_000
_PAGE = 1_000


@dataclass(frozen=True)
class Summary:
    """What an operation did. Durations in ms, None without any; ``per_second`` between the first and the last."""

    operation: str
    count: int
    errors: int
    error_rate: float
    per_second: float
    average_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    max_ms: float | None


class LogReader:
    """Reads the files of a prefix in a directory, or the records of a server."""

    def __init__(
        self,
        log_dir: str | None = None,
        file_prefix: str = "realtime",
        *,
        server: str | None = None,
        token: str | None = None,
    ) -> None:
        """Read from ``log_dir``, or from ``server`` (http://HOST:PORT)."""
        if (log_dir is None) == (server is None):
            raise ValueError("give log_dir or server, one of them")
        self._log_dir, self._file_prefix = log_dir, file_prefix
        self._server = server.rstrip("/") if server else None
        self._token = token or os.environ.get("TAILRACE_TOKEN")
        self.broken = 0

    def records(
        self,
        *,
        level: str | None = None,
        since: When | None = None,
        until: When | None = None,
        operation: str | None = None,
        text: str | None = None,
        limit: int | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield records: of a level or more serious, from a time on, before another, of an operation, with a text.

        The text is looked for in the message, in any case. Raises ValueError for a level or time that is none, and
        OSError when a server does not answer.
        """
        levels = at_least(level) if level else None
        first, last = _time(since), _time(until)
        found = 0
        if limit is not None and limit <= 0:
            return
        for record in self._asked(level, first, last, operation, text) if self._server else self._lines(first):
            if levels and level_name(record.get("level")) not in levels:
                continue
            if operation is not None and record.get("operation") != operation:
                continue
            if text is not None and text.lower() not in str(record.get("message", "")).lower():
                continue
            if first is not None or last is not None:
                at = time_of(record)
                if at is None or (first is not None and at < first) or (last is not None and at >= last):
                    continue
            yield record
            found += 1
            if limit is not None and found >= limit:
                return

    def summary(self, **asked: Any) -> dict[str, Summary]:
        """Return what each operation did, of the records that ``records`` gives for the same arguments."""
        operations: dict[str, _Operation] = {}
        for record in self.records(**asked):
            name = str(record.get("operation", ""))
            operations.setdefault(name, _Operation()).add(record)
        return {name: operations[name].summary(name) for name in sorted(operations)}

    def errors(self, **asked: Any) -> dict[str, int]:
        """Return how often each kind of error occurred (``error_type``, else the message), the most frequent first."""
        counts: dict[str, int] = {}
        for record in self.records(level="error", **asked):
            name = str(record.get("error_type") or record.get("message", ""))
            counts[name] = counts.get(name, 0) + 1
        return dict(sorted(counts.items(), key=lambda pair: -pair[1]))

    def export(self, path: str, **asked: Any) -> int:
        """Write what ``records`` gives to a file, CSV when its name ends so, else JSON lines; return how many."""
        count = 0
        with open(path, "w", encoding="utf-8", newline="") as file:
            if path.endswith(".csv"):
                return self._csv(file, asked)
            for record in self.records(**asked):
                file.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")
                count += 1
        return count

    def _csv(self, file: IO[str], asked: Mapping[str, Any]) -> int:
        """Write the columns of all records, which are read twice for that."""
        names: dict[str, None] = {}
        for record in self.records(**asked):
            names.update(dict.fromkeys(record))
        writer = csv.DictWriter(file, list(names), extrasaction="ignore")
        writer.writeheader()
        count = 0
        for record in self.records(**asked):
            cells = {
                name: json.dumps(value, ensure_ascii=False) if isinstance(value, (dict, list)) else value
                for name, value in record.items()
            }
            writer.writerow(cells)
            count += 1
        return count

    def _lines(self, first: datetime | None) -> Iterator[dict[str, Any]]:
        assert self._log_dir is not None
        for path in files_of(self._log_dir, self._file_prefix):
            if first is not None and os.stat(path).st_mtime < first.timestamp():
                continue  # nothing in it is as young
            unpack: Any = gzip.open if path.endswith(".gz") else open
            with unpack(path, "rb") as file:
                for line in file:
                    record = _object(line)
                    if record is not None:
                        yield record
                    elif line.endswith(b"\n"):  # the last may still be being written
                        self.broken += 1

    def _asked(
        self,
        level: str | None,
        first: datetime | None,
        last: datetime | None,
        operation: str | None,
        text: str | None,
    ) -> Iterator[dict[str, Any]]:
        """Yield what a server finds, page by page."""
        words = []
        if level:
            words.append(f"level:>={level_name(level)}")
        if operation is not None:
            words.append(f"operation:={json.dumps(operation, ensure_ascii=False)}")
        if text is not None:
            words.append("message:/" + re.escape(text).replace("/", "\\/") + "/i")
        given = {"q": " ".join(words), "order": "oldest", "limit": str(_PAGE)}
        if first is not None:
            given["from"] = first.isoformat()
        if last is not None:
            given["to"] = last.isoformat()
        after = None
        while True:
            answer = self._get({**given, **({"after": after} if after else {})})
            for found in answer["records"]:
                fields = found.pop("fields", None) or {}
                yield {**found, **{name: value for name, value in fields.items() if name not in found}}
            after = answer.get("next")
            if not after:
                return

    def _get(self, given: Mapping[str, str]) -> dict[str, Any]:
        import http.client

        parts = urlsplit(self._server or "")
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=60)
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        try:
            connection.request("GET", f"{parts.path}/api/v1/search?{urlencode(given)}", headers=headers)
            answer = connection.getresponse()
            body = answer.read()
        except http.client.HTTPException as error:
            raise OSError(f"{self._server} did not answer: {error!r}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise OSError(f"{self._server} answered {answer.status}: {body[:300].decode('utf-8', 'replace')}")
        return json.loads(body)


class _Operation:
    """What is known of one operation so far."""

    def __init__(self) -> None:
        self.count = self.errors = self.timed = 0
        self.total = self.longest = 0.0
        self.first: datetime | None = None
        self.last: datetime | None = None
        self.samples: list[float] = []
        self.step = 1

    def add(self, record: Mapping[str, Any]) -> None:
        self.count += 1
        self.errors += level_name(record.get("level")) in ("error", "fatal")
        at = time_of(record)
        if at is not None:
            self.first = at if self.first is None else min(self.first, at)
            self.last = at if self.last is None else max(self.last, at)
        try:
            duration = float(record["duration_ms"])
        except (KeyError, TypeError, ValueError):
            return
        self.total += duration
        self.longest = max(self.longest, duration)
        if self.timed % self.step == 0:
            self.samples.append(duration)
            if len(self.samples) >= SAMPLES_MAX:
                self.samples = self.samples[::2]
                self.step *= 2
        self.timed += 1

    def summary(self, name: str) -> Summary:
        ordered = sorted(self.samples)
        seconds = (self.last - self.first).total_seconds() if self.first and self.last else 0.0
        at = (
            [ordered[min(int(len(ordered) * share), len(ordered) - 1)] for share in (0.5, 0.95, 0.99)]
            if ordered
            else []
        )
        return Summary(
            name,
            self.count,
            self.errors,
            self.errors / self.count,
            self.count / seconds if seconds else 0.0,
            self.total / self.timed if self.timed else None,
            at[0] if at else None,
            at[1] if at else None,
            at[2] if at else None,
            self.longest if at else None,
        )


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _parsed(text: str) -> datetime:
    """Read RFC 3339; what is finer than a microsecond is cut off."""
    head, dot, rest = text.strip().replace("Z", "+00:00").partition(".")
    if dot:
        digits = len(rest) - len(rest.lstrip("0123456789"))
        head += "." + rest[:digits][:6].ljust(6, "0") + rest[digits:]
    at = datetime.fromisoformat(head)
    return at if at.tzinfo else at.replace(tzinfo=timezone.utc)


def _time(when: When | None) -> datetime | None:
    if when is None:
        return None
    if isinstance(when, timedelta):
        return datetime.now(timezone.utc) - when
    if isinstance(when, datetime):
        return when if when.tzinfo else when.astimezone()
    if isinstance(when, str):
        return _parsed(when)
    return datetime.fromtimestamp(when, timezone.utc)


def time_of(record: Mapping[str, Any]) -> datetime | None:
    """Return when a record was made, None when it does not say so in a way that is known here."""
    for name in ("time", "timestamp", "@timestamp", "ts"):
        value = record.get(name)
        try:
            if isinstance(value, str):
                return _parsed(value)
            if isinstance(value, (int, float)) and not isinstance(value, bool):
                return datetime.fromtimestamp(value, timezone.utc)
        except (ValueError, OverflowError, OSError):
            continue
    return None
