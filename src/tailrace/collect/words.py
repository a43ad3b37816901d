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


class SourceState(Struct):
    """A key of etcd from which an agent has entries: since which revision, and why a newer value is not taken."""

    key: str
    revision: int
    entries: int
    error: str


class AgentState(Struct):
    """What an agent says of itself: the JSON that it keeps in etcd, below ``state/``, for as long as it lives.

    ``lag_bytes`` of files are not read yet; so many records wait on its disk for the server that has the fewest.
    Both are told roughly: small ones are 0. ``allow`` are the roots below which others may have it read,
    ``rules`` the names of its own rules of redaction, which an entry may use.
    """

    host: str
    version: str
    ips: list[str]
    started: str
    at: str
    files: int
    lag_bytes: int
    waiting_records: int
    entries: int
    problems: list[str]
    sources: list[SourceState]
    allow: list[str]
    rules: list[str]


class AgentSeen(Struct):
    """That an agent was there: what remains below ``seen/`` for a week when it has gone."""

    at: str
    version: str
    stopped: bool = False


class KnownAgent(Struct):
    """An agent that etcd knows. ``revision`` is that of the entries below ``agents/``; 0: there are none.

    ``here``: it lives. ``stopped``: it was ended in order. ``gone``: its end is not known. ``awaited``: it has entries
    and was never seen, or not for a week. ``seen`` is about when one was heard of that is not here.
    """

    host: str
    condition: Literal["here", "stopped", "gone", "awaited"]
    revision: int
    seen: str | None
    version: str | None
    state: AgentState | None


class Agents(Struct):
    """All agents that etcd knows, by name. ``etcd`` is false where none is configured."""

    etcd: bool
    agents: list[KnownAgent]
    more: bool


class AgentEntries(Struct):
    """What an agent is to follow: the text of its key, which was written at ``revision`` (0: there is none).

    ``problem`` is what is wrong with it.
    """

    host: str
    revision: int
    value: str
    problem: str


class Replaces(Struct, forbid_unknown_fields=True):
    """Which revision of the entries is replaced or removed: the one that was read. 0: there are none yet."""

    revision: Annotated[int, Meta(ge=0)]


AGENTS_PATH = "/api/v1/agents"
AGENT_CALLS = [
    Call("GET", AGENTS_PATH, "The agents that etcd knows", gives={JSON: Agents}),
    Call("GET", AGENTS_PATH + "/{host}", "What an agent is to follow", gives={JSON: AgentEntries}),
    Call(
        "PUT",
        AGENTS_PATH + "/{host}",
        "Have an agent follow these entries (409: somebody else has changed them since they were read)",
        takes=Replaces,
        gives={JSON: AgentEntries},
        body=(JSON,),
    ),
    Call(
        "DELETE",
        AGENTS_PATH + "/{host}",
        "Remove an agent's entries, and what is remembered of it when it has gone",
        takes=Replaces,
        gives={JSON: AgentEntries},
    ),
]

CALLS = [
    Call(
        "GET",
        "/api/v1/collect",
        "How each file that is followed is doing, the largest lag first",
        takes=CollectParameters,
        gives={JSON: Collecting},
    ),
]
