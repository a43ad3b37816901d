"""All agents, as etcd knows them: the server's side of collect/etcd.py. It keeps nothing.

An agent that lives has a state; what remains of one that has gone is when it was seen. Entries are checked by the same
rules as the agent's, against the roots and rules that its state names; links only the agent itself can resolve. They
are replaced by compare-and-swap on the revision of their key, so that of two people who edit one agent, the second is
told.

Used by any number of threads.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from tailrace.collect import remote
from tailrace.collect.entries import Rule
from tailrace.collect.gateway import Etcd, Gateway, Value, base64_of, values
from tailrace.collect.words import AgentEntries, Agents, AgentSeen, AgentState, KnownAgent
from tailrace.errors import BadInput, Changed, ConfigError
from tailrace.limits import AGENTS_LISTED_MAX

Kind = TypeVar("Kind", bound=Struct)


class Directory:
    """The agents below one prefix."""

    def __init__(self, etcd: Etcd) -> None:
        self._gateway = Gateway(etcd)
        self._prefix = etcd.prefix

    def stop(self) -> None:
        """Ask nothing more."""
        self._gateway.stop()

    def agents(self) -> Agents:
        """Return all of them, by name. Raises Away, Declined."""
        parts = ("state/", "seen/", "agents/")
        wanted = [{"request_range": _below(self._prefix + part, keys_only=part == "agents/")} for part in parts]
        answer = self._gateway.call("kv/txn", {"success": wanted})
        ranges = [one.get("response_range", {}) for one in answer.get("responses", [])]
        states, seen, entries = (
            {one.key.removeprefix(self._prefix + part): one for one in values(listed)}
            for part, listed in zip(parts, ranges, strict=True)
        )
        found = [_agent(host, states, seen, entries) for host in sorted({*states, *seen, *entries})]
        more = any(listed.get("more") for listed in ranges)
        return Agents(etcd=True, agents=found, more=more)

    def entries(self, host: str) -> AgentEntries:
        """Return what an agent is to follow. Raises BadInput, Away, Declined."""
        value, state = self._known(host)
        return self._shown(host, value, state)

    def replace(self, host: str, text: bytes, revision: int) -> AgentEntries:
        """Have an agent follow what this says. Raises BadInput, Changed, Away, Declined."""
        _, state = self._known(host)
        try:
            _check(text, state)
        except ConfigError as error:
            raise BadInput(error.message, cure=error.cure) from error
        put = {"key": base64_of(self._key(host)), "value": base64_of(text)}
        try:
            self._swap(host, revision, {"request_put": put})
        except Changed:
            # A call that was made twice, because its first answer was lost, has not failed.
            value, _ = self._known(host)
            if value is None or value.value != text:
                raise
        value, state = self._known(host)
        return self._shown(host, value, state)

    def remove(self, host: str, revision: int) -> AgentEntries:
        """Have an agent follow nothing of its own key; what has gone is forgotten. Raises as ``replace``."""
        _, state = self._known(host)
        gone = {"request_delete_range": {"key": base64_of(self._key(host))}}
        forgotten = {"request_delete_range": {"key": base64_of(f"{self._prefix}seen/{host}")}}
        self._swap(host, revision, gone, *([] if state else [forgotten]))
        return AgentEntries(host, 0, "", "")

    def _swap(self, host: str, revision: int, *operations: Mapping[str, Any]) -> None:
        same = {"key": base64_of(self._key(host)), "target": "MOD", "result": "EQUAL", "mod_revision": str(revision)}
        if not self._gateway.call("kv/txn", {"compare": [same], "success": operations}).get("succeeded"):
            raise Changed(
                f"the entries of {host} are not those of revision {revision} any more: somebody has changed them",
                cure="Read them again, and make the change in what is there now.",
            )

    def _known(self, host: str) -> tuple[Value | None, AgentState | None]:
        if not re.fullmatch(r"[A-Za-z0-9._:-]{1,253}", host):
            raise BadInput(f"{host[:80]!r} is no name of an agent", cure="It is the name of a host, or an address.")
        state_key = f"{self._prefix}state/{host}"
        found, _, _ = self._gateway.read([self._key(host), state_key])
        return found.get(self._key(host)), _decoded(found.get(state_key), AgentState)

    def _key(self, host: str) -> str:
        return f"{self._prefix}agents/{host}"

    def _shown(self, host: str, value: Value | None, state: AgentState | None) -> AgentEntries:
        if value is None:
            return AgentEntries(host, 0, "", "")
        problem = ""
        try:
            _check(value.value, state)
        except ConfigError as error:
            problem = error.message
        return AgentEntries(host, value.revision, value.value.decode("utf-8", "replace"), problem)


def _below(prefix: str, *, keys_only: bool) -> dict[str, object]:
    """Return the range of all keys that begin so: up to the one that is next to their common beginning."""
    first = prefix.encode()
    end = first[:-1] + bytes([first[-1] + 1])
    key, behind = (base64.b64encode(one).decode() for one in (first, end))
    return {"key": key, "range_end": behind, "limit": str(AGENTS_LISTED_MAX), "keys_only": keys_only}


def _agent(
    host: str, states: Mapping[str, Value], seen: Mapping[str, Value], entries: Mapping[str, Value]
) -> KnownAgent:
    state = _decoded(states.get(host), AgentState)
    was = _decoded(seen.get(host), AgentSeen)
    revision = entries[host].revision if host in entries else 0
    if host in states:
        return KnownAgent(host, "here", revision, None, state and state.version, state)
    if was is None:
        return KnownAgent(host, "awaited", revision, None, None, None)
    return KnownAgent(host, "stopped" if was.stopped else "gone", revision, was.at, was.version, None)


def _decoded(value: Value | None, kind: type[Kind]) -> Kind | None:
    """Return what an agent wrote; one of another version may have written something else."""
    try:
        return msgspec.json.decode(value.value, type=kind) if value else None
    except msgspec.MsgspecError:
        return None


def _check(text: bytes, state: AgentState | None) -> None:
    """Raise ConfigError for entries that the agent will refuse, as far as it is known from here."""
    wishes = remote.wishes_of(text)
    # Without a state nobody knows what it allows: it decides when it comes. Of its own rules only the names are known.
    rules = dict.fromkeys(state.rules if state else (), Rule(pattern="x", template="x"))
    remote.check(wishes, rules, [], state.allow if state else ["/"], here=False)
