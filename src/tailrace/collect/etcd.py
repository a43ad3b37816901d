"""etcd decides what an agent collects: it watches its keys, and writes back how it is.

Keys, below the prefix of the configuration (``tailrace/``):

    agents/HOST or agents/IP    what this agent is to follow (remote.py says what a value looks like)
    state/HOST                  how it is (``AgentState``, JSON), under a lease of ``etcd.gone_after``
    seen/HOST                   that it was there (``AgentSeen``), under a lease of SEEN_S

and, to read only, the keys of ``etcd.keys`` with the name or an address of this machine in them, such as
``collect_log_192.0.2.7_conf``. The entries of all keys that are there are followed, in this order.

Rules of reading (``Wishes``, a thread).
  watch    All keys are read at one revision, and watched from the next one on; so nothing falls between. Whatever ends
           a watch (a member that is gone, a restart, history that was compacted, silence for ETCD_QUIET_S_MAX, which
           may be a dead connection) is answered the same: read again, apply the difference, watch. Values in between
           do not matter: what counts is what is wanted now.
  apply    Only the difference reaches the files, as when the file of the configuration changes.
  bad      A value that makes no sense, or leaves the roots, changes nothing: the last good one of its key stays in use,
           and it is said. A key that is deleted wants nothing any more.
  past     An etcd that is another one than before, or is in its own past (made anew, restored), and has none of our
           keys, has forgotten them; nobody has deleted them. What was known stays in use, and it is said.
  away     The last good values are kept in ``etcd.json`` in the data directory (replaced as a whole, synced), and are
           used from the start on. A file that is damaged or cannot be written is said, and costs nothing while etcd is
           there.

Rules of writing (``Presence``, a thread).
  state    is written when it is different (see STATE_LOOK_S): every version stays in etcd until that is compacted.
  lease    Kept alive three times in its time; when it is lost, made anew with the state. An agent that is killed leaves
           a state that goes with its lease; one that is stopped takes it along.
Neither ever keeps a file from being followed.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from tailrace.bus.segment import sync_directory
from tailrace.collect.addresses import addresses
from tailrace.collect.entries import Wish
from tailrace.collect.gateway import Declined, Etcd, Gateway, Value, base64_of, changes
from tailrace.collect.remote import wishes_of
from tailrace.collect.words import AgentSeen, AgentState, SourceState
from tailrace.errors import Away, ConfigError
from tailrace.limits import (
    ETCD_ANSWER_S_MAX,
    ETCD_KEYS_MAX,
    ETCD_RETRY_S_MAX,
    ETCD_RETRY_S_MIN,
    LAG_STEP_BYTES,
    LAG_STEP_RECORDS,
    SEEN_S,
    STATE_LOOK_S,
    STATE_STALE_S,
)

_FILE = "etcd.json"
_STOP_S = 2 * ETCD_ANSWER_S_MAX  # a call that was begun; an answer that comes a byte at a time is not waited for


def keys_of(etcd: Etcd, host: str) -> list[str]:
    """Return the keys that a machine reads now, the first of them its own."""
    ips = addresses()
    own = [f"{etcd.prefix}agents/{name}" for name in (host, *ips)]
    more = [
        key.replace("{host}", host).replace("{ip}", ip) for key in etcd.keys for ip in (ips if "{ip}" in key else [""])
    ]
    return list(dict.fromkeys([*own, *more]))[:ETCD_KEYS_MAX]


@dataclass(slots=True)
class _Source:
    """A key: the value that was seen last, and the last good one."""

    key: str
    seen: Value
    good: Value | None = None
    wishes: list[Wish] = field(default_factory=list)
    error: str = ""


class _Kept(Struct):
    """The file: the good values, and how far etcd was."""

    cluster: str
    revision: int
    values: dict[str, tuple[int, str]]


class Wishes:
    """What etcd has this machine follow; ``wishes`` and ``problems`` may be read from any thread."""

    def __init__(
        self,
        gateway: Gateway,
        keys: Callable[[], Sequence[str]],
        directory: Path,
        check: Callable[[Sequence[Wish]], None],
        changed: Callable[[], None],
    ) -> None:
        """``check`` raises ConfigError for what may not be followed; ``changed`` is called when ``sources`` are other.

        What is kept in ``directory`` is in use from now on.
        """
        self._gateway = gateway
        self._keys = keys
        self._path = directory / _FILE
        self._check = check
        self._changed = changed
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._sources: dict[str, _Source] = {}
        self._kept: _Kept | None = None
        self._cluster, self._revision = "", 0
        self._error = self._file_error = ""
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="etcd", daemon=True)
        self._load()

    @property
    def wishes(self) -> list[Wish]:
        """The entries of all keys, in the order of the keys."""
        with self._lock:
            return [wish for source in self._sources.values() for wish in source.wishes]

    @property
    def keys(self) -> list[str]:
        """The keys that are read now."""
        return list(self._keys())

    @property
    def away(self) -> bool:
        """Whether etcd does not answer now."""
        return bool(self._error)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Watch no more."""
        self._stopping.set()
        self._gateway.stop()
        if self._thread.is_alive():
            self._thread.join(_STOP_S)

    def sources(self) -> list[SourceState]:
        """Return the keys that are there."""
        with self._lock:
            return [
                SourceState(one.key, one.good.revision if one.good else 0, len(one.wishes), one.error)
                for one in self._sources.values()
            ]

    def problems(self) -> list[str]:
        """Return what is wrong, as sentences."""
        with self._lock:
            bad = [f"{one.key} in etcd: {one.error}; {_stays(one)}" for one in self._sources.values() if one.error]
        return [*filter(None, (self._error, self._file_error)), *bad]

    def recheck(self) -> None:
        """Look again at all values: what they are checked against has changed."""
        with self._lock:
            before = self.sources()
            for source in self._sources.values():
                try:
                    self._check(source.wishes)
                except ConfigError as error:
                    source.wishes, source.good, source.error = [], None, error.message
                if source.error:
                    self._judge(source)
        self._keep_and_tell(before)

    # -- watching ----------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._watch()
        except Exception as fault:
            self._error = f"watching etcd has stopped, a restart begins again: {fault!r}"
            raise

    def _watch(self) -> None:
        rest = ETCD_RETRY_S_MIN
        while not self._stopping.is_set():
            try:
                keys = list(self._keys())
                revision = self._look(keys)
                for said in self._gateway.watch(keys, revision + 1):
                    rest = ETCD_RETRY_S_MIN
                    if self._stopping.is_set() or not self._heard(said) or list(self._keys()) != keys:
                        break
                else:
                    self._gateway.forget_connections()
            except (Away, Declined) as error:
                if self._stopping.is_set():
                    return
                self._error = f"{error.message}; what it said last stays in use"
                self._stopping.wait(rest * random.uniform(0.5, 1.0))  # noqa: S311 - so that agents do not come at once
                rest = min(2 * rest, ETCD_RETRY_S_MAX)

    def _look(self, keys: Sequence[str]) -> int:
        """Read all keys, and take what is different; return the revision at which they were read."""
        found, revision, cluster = self._gateway.read(keys)
        before = (self._cluster, self._revision)
        forgotten = self._sources and not found and (revision < before[1] or cluster != before[0] != "")
        if forgotten:
            self._error = "etcd was made anew and knows no key of this agent; what it said last stays in use"
            return revision
        self._error = ""
        self._cluster, self._revision = cluster, revision
        self._take({key: found.get(key) for key in keys}, all_keys=True)
        return revision

    def _heard(self, said: Mapping[str, object]) -> bool:
        """Take a message of the watch; tell whether the watch goes on."""
        if said.get("canceled"):
            if said.get("compact_revision"):
                return False
            raise Declined(f"etcd has ended the watch: {said.get('cancel_reason') or 'without a reason'}")
        news = {value.key: value if there else None for value, there in changes(said)}
        if news:
            self._error = ""
            self._revision = max(one.revision for one, _ in changes(said))
            header = said.get("header")
            self._cluster = str(header.get("cluster_id", "")) if isinstance(header, dict) else self._cluster
            self._take(news)
        return True

    def _take(self, news: Mapping[str, Value | None], *, all_keys: bool = False) -> None:
        with self._lock:
            before = self.sources()
            if all_keys:
                self._sources = {key: self._sources[key] for key in news if key in self._sources}
            for key, value in news.items():
                if value is None:
                    self._sources.pop(key, None)
                elif key not in self._sources or self._sources[key].seen != value:
                    source = self._sources.setdefault(key, _Source(key, value))
                    source.seen = value
                    self._judge(source)
            order = {key: place for place, key in enumerate(self._keys())}
            self._sources = dict(sorted(self._sources.items(), key=lambda pair: order.get(pair[0], len(order))))
        self._keep_and_tell(before)

    def _judge(self, source: _Source) -> None:
        try:
            wishes = wishes_of(source.seen.value)
            self._check(wishes)
        except ConfigError as error:
            source.error = error.message
            return
        source.wishes, source.good, source.error = wishes, source.seen, ""

    def _keep_and_tell(self, before: Sequence[SourceState]) -> None:
        self._keep()
        if self.sources() != before and not self._stopping.is_set():
            self._changed()

    # -- the file ----------------------------------------------------------------------------------------------

    def _load(self) -> None:
        try:
            kept = msgspec.json.decode(self._path.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return
        except (OSError, msgspec.MsgspecError) as error:
            self._file_error = f"{self._path} cannot be read ({error}): until etcd answers nothing is known of it"
            return
        self._kept = kept
        self._cluster, self._revision = kept.cluster, kept.revision
        for key, (revision, value) in kept.values.items():
            self._sources[key] = _Source(key, Value(key, value.encode(), revision))
            self._judge(self._sources[key])

    def _keep(self) -> None:
        """Replace the file, when good values are other than those in it."""
        with self._writing:
            with self._lock:
                good = [one.good for one in self._sources.values() if one.good]
                kept = _Kept(
                    self._cluster, self._revision, {one.key: (one.revision, one.value.decode()) for one in good}
                )
            before = self._kept
            if before and (before.cluster, before.values) == (kept.cluster, kept.values) and not self._file_error:
                return
            try:
                _replace(self._path, msgspec.json.encode(kept))
                self._kept, self._file_error = kept, ""
            except OSError as error:
                why = error.strerror or str(error)
                self._file_error = f"{self._path} cannot be written ({why}): a start without etcd will be without"


def _replace(path: Path, content: bytes) -> None:
    """Put a file in the place of another, for its owner only, so that a crash leaves one of them. Raises OSError."""
    new = path.with_suffix(".new")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
    sync_directory(path.parent)


def _stays(source: _Source) -> str:
    return f"that of revision {source.good.revision} stays in use" if source.good else "nothing is followed from there"


class Presence:
    """Has etcd know how this agent is, for as long as it lives."""

    def __init__(
        self, gateway: Gateway, prefix: str, host: str, gone_s: float, state: Callable[[], AgentState]
    ) -> None:
        """``state`` is called in a thread, every STATE_LOOK_S."""
        self._gateway = gateway
        self._state_key, self._seen_key = f"{prefix}state/{host}", f"{prefix}seen/{host}"
        self._gone_s = int(gone_s)
        self._state = state
        self._lease = self._seen_lease = ""
        self._kept_at = self._written_at = 0.0
        self._written: AgentState | None = None
        self.error = ""
        self._stopping = False
        self._asked = threading.Event()
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def start(self) -> None:
        """Begin to tell."""
        self._thread.start()

    def look(self) -> None:
        """Have the state looked at now: something has changed. Returns at once."""
        self._asked.set()

    def stop(self) -> None:
        """Take the state back. When etcd is away, it goes with its lease."""
        self._stopping = True
        self._asked.set()
        if not self._thread.is_alive():
            return
        self._thread.join(_STOP_S)
        if self._written is None or self.error or self._thread.is_alive():
            return
        try:
            self._put_seen(stopped=True)
            self._gateway.call("lease/revoke", {"ID": self._lease})
        except (Away, Declined) as error:
            self.error = error.message

    def _run(self) -> None:
        while not self._stopping:
            try:
                self._step(time.monotonic())
                self.error = ""
            except (Away, Declined) as error:
                self.error = f"etcd does not learn how this agent is: {error.message}"
                if "lease not found" in error.message:
                    self._lease = self._seen_lease = ""
            except Exception as fault:
                self.error = f"telling etcd has stopped, a restart begins again: {fault!r}"
                raise
            self._asked.wait(min(STATE_LOOK_S, self._gone_s / 3))
            self._asked.clear()

    def _step(self, now: float) -> None:
        if self._lease and now - self._kept_at >= self._gone_s / 3:
            self._kept_at = now
            if not int(self._gateway.call("lease/keepalive", {"ID": self._lease}).get("TTL", 0)):
                self._lease = ""
        state = _rough(self._state())
        if not self._lease or now - self._written_at >= STATE_STALE_S or _told(state) != self._written:
            self._write(state, now)

    def _write(self, state: AgentState, now: float) -> None:
        if not self._lease:
            self._lease, self._kept_at = self._grant(self._gone_s), now
        self._put_seen(state)
        self._written, self._written_at = _told(state), now

    def _put_seen(self, state: AgentState | None = None, *, stopped: bool = False) -> None:
        """Write that we were there, and with it the state."""
        if not self._seen_lease or not int(
            self._gateway.call("lease/keepalive", {"ID": self._seen_lease}).get("TTL", 0)
        ):
            self._seen_lease = self._grant(SEEN_S)
        version = (state or self._written or self._state()).version
        seen = AgentSeen(datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"), version, stopped)
        puts = [_put(self._seen_key, seen, self._seen_lease)]
        if state is not None:
            puts.append(_put(self._state_key, state, self._lease))
        self._gateway.call("kv/txn", {"success": puts})

    def _grant(self, seconds: int) -> str:
        return str(self._gateway.call("lease/grant", {"TTL": str(seconds)})["ID"])


def _put(key: str, value: Struct, lease: str) -> dict[str, object]:
    encoded = base64_of(msgspec.json.encode(value))
    return {"request_put": {"key": base64_of(key), "value": encoded, "lease": lease}}


def _rough(state: AgentState) -> AgentState:
    """Return a state without what is too little to be told."""
    lag = state.lag_bytes if state.lag_bytes >= LAG_STEP_BYTES else 0
    waiting = state.waiting_records if state.waiting_records >= LAG_STEP_RECORDS else 0
    return msgspec.structs.replace(state, lag_bytes=lag, waiting_records=waiting)


def _told(state: AgentState) -> AgentState:
    """Return what of a state makes it another one: not when it was, and of lags their size only."""
    lag, waiting = state.lag_bytes.bit_length(), state.waiting_records.bit_length()
    return msgspec.structs.replace(state, at="", lag_bytes=lag, waiting_records=waiting)
