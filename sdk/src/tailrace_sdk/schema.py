"""What a structured record must look like: required fields, types, levels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Union

from tailrace_sdk.levels import level_name

Types = Union[type, tuple[type, ...]]

FIELDS: dict[str, Types] = {
    "level": (str, int),
    "message": str,
    "operation": str,
    "service": str,
    "host": str,
    "trace_id": str,
    "span_id": str,
    "status": (str, int),
    "duration_ms": (int, float),
    "error": str,
    "error_type": str,
    "traceback": str,
}
"""The fields with a meaning, and their types; any others may be there too."""


class Schema:
    """Checks records. A field that is None counts as absent; a bool is no number."""

    def __init__(
        self,
        required: Iterable[str] = ("message",),
        types: Mapping[str, Types] | None = None,
        levels: Iterable[str] | None = None,
    ) -> None:
        """Require fields, give types beyond those of ``FIELDS``, and allow only some levels (None: all)."""
        self._required = tuple(required)
        self._types: dict[str, Types] = {**FIELDS, **(types or {})}
        self._levels = None if levels is None else frozenset(level_name(level) or level for level in levels)

    def faults(self, record: Mapping[str, Any]) -> list[str]:
        """Return what is wrong with a record, a sentence each; nothing when it is good."""
        found = [f"{name} is missing" for name in self._required if record.get(name) is None]
        types = self._types
        for name, value in record.items():
            wanted = types.get(name)
            if wanted is None or value is None:
                continue
            if not isinstance(value, wanted) or (type(value) is bool and wanted is not bool):
                found.append(f"{name} is {type(value).__name__}, not {_names(wanted)}")
        level = record.get("level")
        if level is not None:
            name = level_name(level)
            if name is None or (self._levels is not None and name not in self._levels):
                found.append(f"{level!r:.40} is no level")
        return found


def _names(types: Types) -> str:
    return " or ".join(one.__name__ for one in (types if isinstance(types, tuple) else (types,)))
