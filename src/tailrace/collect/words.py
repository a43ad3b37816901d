"""What is said about collecting over HTTP: the questions and the answers."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta, Struct

from tailrace.api import JSON, Call
from tailrace.limits import COLLECT_FILES_DEFAULT, COLLECT_FILES_MAX

State = Literal["reading", "waiting", "quiet", "parked", "gone", "failing", "skipped"]


class FileStatus(Struct):
    """How a file is doing. Bytes count from its beginning; ``offset`` is how far the bus has taken it.

    ``lag_s`` is how long the oldest byte behind the offset has waited since it was first seen. ``lines`` were read
    since it was opened. ``encoding`` is what its entry says (empty: found out); ``read`` is when lines were last read.
    """

    path: str
    state: State
    offset: int
    size: int
    lag_bytes: int
    lines: int
    layout: str | None
    error: str
    entry: str = ""
    lag_s: float = 0.0
    encoding: str = ""
    read: str | None = None


class EntryStatus(Struct):
    """An entry: how many files it found at the last look, and what is wrong with it."""

    path: str
    files: int
    problem: str = ""


class ConfigurationStatus(Struct):
    """The file of the configuration: when what is in effect was read, how often it was read again, and what failed."""

    path: str | None = None
    loaded: str | None = None
    reloads: int = 0
    failures: int = 0
    error: str = ""
    restart_needed: list[str] = []


class Collecting(Struct):
    """How collecting goes. ``files`` are those with the largest lag; ``total`` is how many match the question.

    ``states``, ``lag_bytes`` (the sum), ``lag_s`` (the longest) and ``lines`` (since the start) are over all files.
    """

    files: list[FileStatus] = []
    total: int = 0
    states: dict[str, int] = {}
    lag_bytes: int = 0
    lag_s: float = 0.0
    lines: int = 0
    read_errors: int = 0
    entries: list[EntryStatus] = []
    entries_total: int = 0
    configuration: ConfigurationStatus = msgspec.field(default_factory=ConfigurationStatus)
    problems: list[str] = []


class CollectParameters(Struct, forbid_unknown_fields=True):
    """Which files to list."""

    state: Annotated[State | None, Meta(description="Only files in this state.")] = None
    path: Annotated[str, Meta(description="Only files whose path contains this, or fits it as a glob.")] = ""
    limit: Annotated[int, Meta(ge=0, le=COLLECT_FILES_MAX, description="So many files and entries at most.")] = (
        COLLECT_FILES_DEFAULT
    )


CALLS = [
    Call(
        "GET",
        "/api/v1/collect",
        "How each file that is followed is doing, the largest lag first",
        takes=CollectParameters,
        gives={JSON: Collecting},
    ),
]
