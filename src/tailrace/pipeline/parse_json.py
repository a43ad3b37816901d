"""JSON lines: the keys that loggers use for time, level, message, trace and stream, and everything else as fields.

A message is the text of the first key of ``MESSAGE_KEYS``; without one it is the whole line. A value that cannot be
read as what its key promises stays in the fields, so nothing is lost. Labels of the stream are taken only from
keys that say so, and never instead of a label that the source has set (a file's ``path`` is not an URL's).

This is the one place that runs Python once per line, because Arrow cannot keep unknown keys as text: about 2 us of
CPU for 220 bytes, more than half of it in orjson. Lines of one shape (the same keys in the same order) share a plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache
from typing import Any

import numpy as np
import orjson
import pyarrow as pa

from tailrace.limits import JSON_DEPTH_MAX, LABEL_BYTES_MAX, LABELS_MAX
from tailrace.pipeline.level import LEVELS, level_of, severity_number
from tailrace.pipeline.timestamp import read_any
from tailrace.record import STREAM_LABELS, Stream

"""Levels of lists and objects; orjson reads more than it writes (254)."""
TIME_KEYS = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "t",
    "@t",
    "datetime",
    "eventTime",
    "asctime",
    "time_iso8601",
    "date",
]
LEVEL_KEYS = [
    "level",
    "severity",
    "lvl",
    "log.level",
    "loglevel",
    "log_level",
    "levelname",
    "level_name",
    "severity_text",
    "severityText",
    "@l",
    "severity_number",
    "severityNumber",
]
MESSAGE_KEYS = ["message", "msg", "log", "body", "event", "@message", "@m", "text", "short_message"]
TRACE_KEYS = ["trace_id", "traceId", "traceID", "traceid", "trace.id", "otelTraceID", "dd.trace_id"]
LABEL_KEYS: dict[str, str] = {
    **{label: label for label in STREAM_LABELS},
    "service.name": "service",
    "service_name": "service",
    "hostname": "host",
    "host.name": "host",
    "container.name": "container",
    "container_name": "container",
    "pod_name": "pod",
    "k8s.pod.name": "pod",
    "k8s.namespace.name": "namespace",
}
_NESTED = {"log": "level", "trace": "id"}


@dataclass(frozen=True, slots=True)
class Plan:
    """Which of a line's keys are what; None where it has none."""

    time: str | None
    level: str | None
    messages: tuple[str, ...]
    trace: str | None
    labels: tuple[str, ...]
    nested: tuple[str, ...]
    fields: bool
    ours: bool  # it was printed by Tailrace: unknown texts beside the message are labels


@lru_cache(maxsize=4096)
def plan_of(shape: tuple[str, ...]) -> Plan:
    """Return the plan of a line with these keys, in their order."""
    keys = set(shape)

    def first(wanted: Sequence[str]) -> str | None:
        return next((key for key in wanted if key in keys), None)

    ours = {"time", "message", "observed", "cursor"} <= keys
    known = {"time", "observed", "cursor", "level", "message", "trace_id", "fields"}
    labels = tuple(key for key in shape if key not in known) if ours else tuple(k for k in shape if k in LABEL_KEYS)
    return Plan(
        time=first(TIME_KEYS),
        level=first(LEVEL_KEYS),
        messages=tuple(key for key in MESSAGE_KEYS if key in keys),
        trace=first(TRACE_KEYS),
        labels=labels,
        nested=() if ours else tuple(key for key in _NESTED if key in keys),
        fields="fields" in keys,
        ours=ours,
    )


@dataclass(slots=True)
class Parsed:
    """Columns that grow by one value per line; ``fields`` holds the objects until ``texts`` encodes what is left."""

    stream: Stream
    overrides: bool
    times: list[Any] = field(default_factory=list)
    time_keys: list[str | None] = field(default_factory=list)
    observed: dict[int, Any] = field(default_factory=dict)
    levels: list[int] = field(default_factory=list)
    messages: list[str | None] = field(default_factory=list)
    traces: list[str | None] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    rest: list[dict[str, Any] | None] = field(default_factory=list)
    simple: dict[tuple[str, Any], int] = field(default_factory=dict)
    streams: dict[tuple[tuple[str, str], ...], int] = field(default_factory=lambda: {(): 0})

    def skip(self) -> None:
        """Add a line that is not a JSON object."""
        for column in (self.times, self.time_keys, self.messages, self.traces, self.rest):
            column.append(None)
        self.levels.append(0)
        self.codes.append(0)

    def add(self, record: dict[str, Any]) -> None:
        """Take a line's object apart; ``record`` keeps what will be its fields."""
        plan = plan_of(tuple(record))
        pop = record.pop
        self.times.append(None if plan.time is None else pop(plan.time))
        self.time_keys.append(plan.time)
        level = 0
        if plan.level is not None:
            level = level_in(plan.level, record[plan.level])
            if level:
                del record[plan.level]
        message = None
        for key in plan.messages:
            if type(record[key]) is str:
                message = pop(key)
                break
        self.messages.append(message)
        trace = None if plan.trace is None else record[plan.trace]
        if type(trace) is str:
            del record[plan.trace]  # type: ignore[arg-type]
        else:
            trace = None
        if plan.nested:
            level, trace = _nested(record, plan, level, trace)
        self.levels.append(level)
        self.traces.append(trace)
        self.codes.append(self._code(record, plan) if plan.labels else 0)
        if plan.ours:
            self.observed[len(self.rest)] = pop("observed")
            del record["cursor"]
        if plan.fields:
            inner = record["fields"]
            if type(inner) is dict and inner.keys().isdisjoint(record):
                del record["fields"]
                record.update(inner)
        self.rest.append(record)

    def _code(self, record: dict[str, Any], plan: Plan) -> int:
        """Return the code of the stream that a record's labels make; one label with a known value is the usual case."""
        key = plan.labels[0]
        value = record[key]
        if len(plan.labels) == 1 and type(value) is str:
            code = self.simple.get((key, value))
            if code is not None:
                del record[key]
                return code
        found: list[tuple[str, str]] = []
        for key in plan.labels:
            value = record[key]
            label = LABEL_KEYS.get(key, key)
            if type(value) is dict and key in ("service", "host"):
                value = value.get("name")
            if type(value) is not str or not value or len(value) > LABEL_BYTES_MAX or len(found) >= LABELS_MAX:
                continue
            if not label_allowed(label, self.stream, overrides=self.overrides):
                continue
            found.append((label, value))
            if type(record[key]) is str:
                del record[key]
        code = self.streams.setdefault(tuple(found), len(self.streams))
        if len(plan.labels) == len(found) == 1 and plan.labels[0] not in record:
            self.simple[plan.labels[0], found[0][1]] = code
        return code

    def texts(self) -> list[str | None]:
        """Return the fields of each line as JSON text."""
        dumps = orjson.dumps  # decoding at once lets its large buffer be used again: three times as fast
        return [dumps(rest).decode() if rest else None for rest in self.rest]

    def stream_column(self) -> tuple[list[int], list[Stream]]:
        """Return the code of each line and the streams that the codes name."""
        return self.codes, [Stream.of({**self.stream.labels, **dict(labels)}) for labels in self.streams]

    def read_times(self, observed_ns: int, zone: tzinfo) -> tuple[np.ndarray, np.ndarray]:
        """Return (ok, nanoseconds); a value that is no time goes back to the fields."""
        ok, ns = read_any(time_texts(self.times), observed_ns, zone)
        for row in np.flatnonzero(~ok).tolist():
            rest, key = self.rest[row], self.time_keys[row]
            if rest is not None and key is not None:
                rest[key] = self.times[row]
        return ok, ns


def level_in(key: str, value: Any) -> int:
    """Return the level that a value of this key means, 0 when it means none."""
    known = LEVELS.get(value, 0) if type(value) is str else 0
    return known or (severity_number(value) if key in ("severity_number", "severityNumber") else level_of(value))


def label_allowed(label: str, stream: Stream, *, overrides: bool) -> bool:
    """Tell whether a line may say this label; one of its stream only where lines override it."""
    return overrides or not (label in stream.labels or label in ("host", "path", "source"))


def _nested(record: dict[str, Any], plan: Plan, level: int, trace: str | None) -> tuple[int, str | None]:
    """Read ECS's nested names; the objects stay in the fields."""
    for key in plan.nested:
        value = record.get(key)
        inner = value.get(_NESTED[key]) if type(value) is dict else None
        if key == "log" and not level:
            level = level_of(inner)
        elif key == "trace" and trace is None and type(inner) is str:
            trace = inner
    return level, trace


def time_texts(values: list[Any]) -> pa.Array:
    """Return values of times as texts; null for one that cannot be a time."""
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowTypeError, pa.ArrowInvalid):
        return pa.array([_time_text(value) for value in values], pa.string())


def _time_text(value: Any) -> str | None:
    if isinstance(value, float):
        return f"{value:.6f}"
    return value if isinstance(value, str) else str(value) if isinstance(value, int) else None


def parse(lines: pa.Array, stream: Stream, *, overrides: bool = False) -> Parsed:
    """Take the lines that are JSON objects apart; the others are skipped (their place stays empty)."""
    parsed = Parsed(stream, overrides=overrides)
    records = [_record(line) for line in lines.to_pylist()]
    for record in records:
        if record:
            parsed.add(record)
        else:
            parsed.skip()
    return parsed


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = orjson.loads(line) if line[:1] == b"{" else None
    except orjson.JSONDecodeError:
        return None
    return None if too_deep(line, record) else record


def too_deep(line: bytes, record: Any) -> bool:
    """Tell whether a value is nested deeper than it could be written again."""
    if len(line) <= JSON_DEPTH_MAX or line.count(b"[") + line.count(b"{") < JSON_DEPTH_MAX:
        return False
    try:
        orjson.dumps(record)
    except orjson.JSONEncodeError:
        return True
    return False


def fits(lines: pa.Array) -> bool:
    """Tell whether at least half of these lines are JSON objects."""
    parsed = parse(lines, Stream.of({}))
    return sum(rest is not None for rest in parsed.rest) * 2 >= len(lines)


def stream_array(codes: Sequence[int] | np.ndarray, streams: list[Stream]) -> pa.DictionaryArray:
    """Return the ``stream`` column of a batch: the streams that rows have, each once."""
    if len(streams) == 1:
        codes = pa.array(np.zeros(len(codes), np.int32))
        return pa.DictionaryArray.from_arrays(codes, pa.array([streams[0].json] if len(codes) else [], pa.string()))
    rows = np.asarray(codes, np.int64)
    used = np.bincount(rows, minlength=len(streams)) > 0
    names = [stream.json for stream, one in zip(streams, used.tolist(), strict=True) if one]
    distinct = {name: code for code, name in enumerate(dict.fromkeys(names))}
    table = np.zeros(len(streams), np.int32)
    table[used] = [distinct[name] for name in names]
    indices = table[rows]
    return pa.DictionaryArray.from_arrays(pa.array(indices), pa.array(list(distinct), pa.string()))
