"""Patterns that people write: RE2 with named groups, and grok's ``%{NAME:field:int}`` in it.

The groups become fields. Four names have roles instead: ``time`` (in any form of timestamp.py), ``level``, ``message``
(the record's text, else the whole line) and ``trace_id``. ``int`` and ``float`` make JSON numbers of what is one. A
line that the pattern does not match is kept whole. The pattern is matched anywhere in the line; ``^`` and ``$`` tie it.

A block is matched at once by Arrow, about 1 us a line: what is captured costs more than what is not, so a name without
a field is no group.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from tailrace.errors import ConfigError
from tailrace.limits import GROK_DEPTH_MAX, PATTERN_BYTES_MAX
from tailrace.pipeline import fields
from tailrace.pipeline.grok import GROK
from tailrace.pipeline.level import level_of
from tailrace.pipeline.timestamp import read_any

_USE = re.compile(r"%\{([^}]*)\}?")
_NAMED = re.compile(r"\(\?P?<(%([0-9a-f]*)|[^>=!]*)>")
_FIELD = re.compile(r"[A-Za-z_@][\w.@\-]*\Z")
_KINDS = ("int", "long", "float", "double", "string")
ROLES = ("time", "level", "message", "trace_id")


def is_pattern(text: str) -> bool:
    """Tell whether this is a pattern rather than the name of a layout."""
    return "%{" in text or "(?" in text


@dataclass(frozen=True, slots=True)
class Matched:
    """What a pattern read of each line; ``message`` and ``trace_id`` are null where there is none."""

    fits: np.ndarray
    ok: np.ndarray
    time: np.ndarray
    level: np.ndarray
    message: pa.StringArray | None
    trace_id: pa.StringArray | None
    fields: pa.StringArray


@dataclass(slots=True)
class Pattern:
    """One pattern, ready; make one with ``compiled``."""

    name: str
    expression: str = ""
    groups: list[str] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)

    def read(self, lines: pa.StringArray, observed_ns: int, zone: tzinfo) -> Matched:
        """Match every line."""
        found = pc.extract_regex(lines, self.expression)
        fits = found.is_valid().to_numpy(zero_copy_only=False)
        columns = {
            name: pc.if_else(found.is_valid(), pc.struct_field(found, [place]), None)
            for place, name in enumerate(self.groups)
        }
        rows = len(lines)
        ok, time, level = np.zeros(rows, bool), np.zeros(rows, np.int64), np.zeros(rows, np.uint8)
        if "time" in columns:
            ok, time = read_any(columns["time"], observed_ns, zone)
        if "level" in columns:
            words = columns["level"].dictionary_encode()
            table = np.array([*map(level_of, words.dictionary.to_pylist()), 0], np.uint8)
            level = table[words.indices.fill_null(len(table) - 1).to_numpy(zero_copy_only=False)]
        kept = [fields.Column(name, columns[name], name in self.numbers) for name in self.groups if name not in ROLES]
        message, trace = columns.get("message"), columns.get("trace_id")
        return Matched(fits, ok, time, level, message, trace, fields.objects(kept, rows))


@lru_cache(maxsize=256)
def compiled(text: str) -> Pattern:
    """Return the pattern. Raises ConfigError, which points at the place."""
    if len(text.encode()) > PATTERN_BYTES_MAX:
        raise ConfigError(f"a pattern is longer than {PATTERN_BYTES_MAX} bytes")
    pattern = Pattern(text)

    def numbered(found: re.Match[str]) -> str:
        name = bytes.fromhex(found[2]).decode() if found[2] else found[1]
        _named(pattern, name, text, found.start() if name == found[1] else text.find(f":{name}") + 1)
        return f"(?P<g{len(pattern.groups)}>"

    # The groups have numbers for RE2: names of fields may hold dots, and its may not.
    pattern.expression = _NAMED.sub(numbered, _expanded(text, pattern, 0))
    try:
        re2.compile(pattern.expression, _quiet())
    except re2.error as error:
        raise _wrong(text, _place(text, str(error)), f"not a pattern: {_reason(error)}") from None
    return pattern


def _quiet() -> re2.Options:
    options = re2.Options()
    options.log_errors = False
    return options


def _expanded(text: str, pattern: Pattern, depth: int) -> str:
    if depth > GROK_DEPTH_MAX:
        raise ConfigError(f"names of a pattern use each other more than {GROK_DEPTH_MAX} deep")

    def use(found: re.Match[str]) -> str:
        if not found[0].endswith("}"):
            raise _wrong(text, found.start(), "%{ has no }")
        name, _, rest = found[1].partition(":")
        field_name, _, kind = rest.partition(":")
        if name not in GROK:
            near = difflib.get_close_matches(name.upper(), GROK, 1)
            cure = f"did you mean %{{{near[0]}}}?" if near else "docs/reference/layouts.md lists the names"
            raise _wrong(text, found.start(), f"there is no pattern called {name!r}", cure)
        if kind and kind not in _KINDS:
            raise _wrong(text, found.start(), f"{kind!r} is no type", "int, float or string")
        inner = _expanded(GROK[name][0], pattern, depth + 1)
        if not field_name:
            return f"(?:{inner})"
        if kind in _KINDS[:4]:
            pattern.numbers.add(field_name)
        return f"(?P<%{field_name.encode().hex()}>{inner})"

    return _USE.sub(use, text)


def _named(pattern: Pattern, name: str, text: str, position: int) -> None:
    if not _FIELD.match(name):
        raise _wrong(text, position, f"{name!r} is no name of a field", "letters, digits, _ . - and @")
    if name in pattern.groups:
        raise _wrong(text, position, f"the field {name!r} is named twice")
    pattern.groups.append(name)


def _reason(error: Exception) -> str:
    reason = error.args[0] if error.args else error
    return reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)


def _place(text: str, reason: str) -> int:
    """Return where the piece that RE2 complains of stands, as far as it can be told."""
    piece = reason.rpartition(": ")[2].rstrip("'")
    return max(text.find(piece), 0) if piece else 0


def _wrong(text: str, position: int, message: str, cure: str = "") -> ConfigError:
    flat = text.replace("\n", " ").replace("\t", " ")
    return ConfigError(f"{message}\n  {flat}\n  {' ' * position}^", cure=cure)
