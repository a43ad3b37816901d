"""Records become JSON lines, a batch at a time, in the writer's thread.

A line is ``{"time":"2026-11-21T08:00:00.123456789Z", FIELDS OF THE WRITER, THE RECORD}`` in the names of Tailrace. A
record that says its own time keeps it; levels are named trace debug info warn error fatal; secrets are masked by their
key.

Python runs once per record here, because every record is an object of its own. About 2 us: half of it the standard
library's encoder in C, which is made once instead of once per record as `json.dumps` does. What depends only on the
keys of a record (which are secret, is there a time, which fields of the writer it replaces) is found once per set of
keys.

A value that JSON does not know becomes its text (plain.py). A record that cannot be encoded even so is counted.
"""

from __future__ import annotations

import json
import json.encoder
import time
from collections.abc import Callable, Mapping, Sequence
from contextvars import Context
from typing import Any, Optional

from tailrace_sdk.context import fields_of
from tailrace_sdk.levels import LEVELS, level_name
from tailrace_sdk.limits import RECORD_CHARACTERS_MAX, SHAPES_MAX
from tailrace_sdk.mask import MASKED, is_secret, masked
from tailrace_sdk.plain import default, plain

Entry = tuple[int, dict[str, Any], Optional[Context]]
"""A record on its way: nanoseconds since 1970, the record, where it was logged (None: nobody asks)."""
_OWN_TIME = frozenset({"time", "timestamp", "@timestamp", "ts"})
_SECOND_NS = 1_000_000_000
_LEVELS = frozenset(LEVELS)


def _encoder() -> Callable[[Any, int], Sequence[str]]:
    """Return what encodes an object to pieces of text; raises ValueError for what is not a number."""
    make = getattr(json.encoder, "c_make_encoder", None)
    if make is None:  # another interpreter than CPython
        slow = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=default)
        return lambda value, _: (slow.encode(value),)
    return make(None, default, json.encoder.encode_basestring, None, ":", ",", False, False, False)


class _Plan:
    """What is known of all records with the same keys."""

    __slots__ = ("fields", "level", "own_time", "secrets")

    def __init__(self, keys: Sequence[Any], fields: Mapping[str, Any], encoder: Callable[[Any, int], Any]) -> None:
        self.level = "level" in keys
        self.own_time = not _OWN_TIME.isdisjoint(keys)
        self.secrets = tuple(key for key in keys if is_secret(key))
        wanted = {key: value for key, value in fields.items() if key not in keys}
        text = "".join(encoder(wanted, 0))[1:-1]
        self.fields = text + "," if text else ""


class Encoder:
    """Encodes for one writer; belongs to its thread."""

    def __init__(self, fields: Mapping[str, Any] | None = None) -> None:
        """Give every record ``fields``, which must be encodable."""
        self._fields = plain(dict(fields or {}))
        self._encode = _encoder()
        self._plans: dict[tuple[Any, ...], _Plan] = {}
        self._second = -1
        self._stamp = ""
        self.broken = 0  # records that could not be encoded; whoever counts them sets it back
        self.error = ""  # why the last of them could not

    def encode(self, entries: Sequence[Entry]) -> tuple[bytes, int]:
        """Return whole lines, and how many; the others are counted in ``broken``."""
        lines: list[str] = []
        add, line = lines.append, self._line
        for time_ns, record, context in entries:
            try:
                add(line(time_ns, record, context))
            except Exception:  # noqa: BLE001, PERF203 - NaN, keys that are no text, cycles, whatever an object raises
                self._odd(time_ns, record, context, lines)
        lines.append("")
        return "\n".join(lines).encode("utf-8", "replace"), len(lines) - 1

    def _line(self, time_ns: int, record: dict[str, Any], context: Context | None) -> str:
        if context is not None:
            record = {**fields_of(context), **record}
        shape = tuple(record)
        plan = self._plans.get(shape) or self._plan(shape)
        if plan.level:
            level = record["level"]
            if level.__class__ is not str or level not in _LEVELS:
                record["level"] = level_name(level) or level
        if plan.secrets:
            for key in plan.secrets:
                if record[key] is not None:
                    record[key] = MASKED
        text = "".join(self._encode(record, 0))
        if text.find("{", 1) > 0 or len(text) > RECORD_CHARACTERS_MAX:
            text = self._checked(record, text)
        if plan.own_time:
            return "{" + plan.fields + text[1:]
        second = time_ns // _SECOND_NS
        if second != self._second:
            self._second = second
            self._stamp = time.strftime('{"time":"%Y-%m-%dT%H:%M:%S.', time.gmtime(second))
        rest = str(time_ns - second * _SECOND_NS).zfill(9)
        if not shape:
            return self._stamp + rest + 'Z"' + ("," + plan.fields[:-1] if plan.fields else "") + "}"
        return self._stamp + rest + 'Z",' + plan.fields + text[1:]

    def _plan(self, shape: tuple[Any, ...]) -> _Plan:
        if len(self._plans) >= SHAPES_MAX:
            self._plans.clear()
        plan = self._plans[shape] = _Plan(shape, self._fields, self._encode)
        return plan

    def _checked(self, record: dict[str, Any], text: str) -> str:
        """Return the text of a record that is long, or in which something seems to be nested, where keys count too."""
        clean = masked(record)
        if clean is not record:
            text = "".join(self._encode(clean, 0))
        if len(text) > RECORD_CHARACTERS_MAX:
            text = "".join(self._encode(plain(record), 0))
        if len(text) > RECORD_CHARACTERS_MAX:
            raise ValueError(f"a record has at most {RECORD_CHARACTERS_MAX} characters")
        return text

    def _odd(self, time_ns: int, record: Any, context: Context | None, lines: list[str]) -> None:
        """Add a record as far as JSON can hold it, or count it."""
        try:
            simple = plain(record)
            lines.append(self._line(time_ns, simple if isinstance(simple, dict) else {"message": simple}, context))
        except Exception as error:  # noqa: BLE001 - the record is lost, and counted
            self.broken += 1
            self.error = f"{type(error).__name__}: {error}"
