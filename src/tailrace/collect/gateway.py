"""Calls to etcd (3.4 or newer) through its JSON gateway: keys and values are in base64, numbers of 64 bits are text.

Several endpoints are several members of one cluster: a call goes to the one that answered last, and to the next when
that one is away; never longer than ETCD_ANSWER_S_MAX each. What a member refuses is not asked of another one. With a
user every call carries a token; one that etcd does not know any more (it has restarted, or the token is old) is
replaced once. The password is read when it is needed, from its file or $TAILRACE_ETCD_PASSWORD, and is never shown.

A watch is an answer that does not end: one JSON object per line. It is waited for no longer than ETCD_QUIET_S_MAX,
because a connection that was cut without a word looks like one on which nothing happens.

Used by several threads; ``stop`` ends a watch of another thread, and every later call.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, Struct

from tailrace.errors import Away, ConfigError, TailraceError
from tailrace.limits import (
    ETCD_ANSWER_S_MAX,
    ETCD_CONNECT_S_MAX,
    ETCD_MESSAGE_BYTES_MAX,
    ETCD_QUIET_S_MAX,
)

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

PASSWORD = "TAILRACE_ETCD_PASSWORD"  # noqa: S105 - the name of a variable
_TOKEN_GONE = re.compile("invalid auth token|revision of auth store is old|user name is empty")
_LOGIN = "auth/authenticate"
_UNAVAILABLE = 14
"""The code (of gRPC) with which a member says that it cannot answer now; another one may."""
_PIECE_BYTES = 65_536
_CONNECTIONS_KEPT = 4
_CURE = "What is known stays in use, and it is tried again. See etcd.endpoints."
_DECLINED_CURE = "docs/guide/many-machines.md says what etcd has to let us do."


class Etcd(Struct, forbid_unknown_fields=True):
    """etcd decides what agents collect, and a server shows and edits it. See docs/guide/many-machines.md."""

    endpoints: Annotated[
        list[str], Meta(description="Its members, like `https://etcd1:2379`. Empty: etcd decides nothing.")
    ] = []
    prefix: Annotated[
        str, Meta(description="Keys begin so: `agents/HOST`, `state/HOST` and `seen/HOST` stand below it.")
    ] = "tailrace/"
    keys: Annotated[
        list[str],
        Meta(description="More keys that an agent reads; `{ip}` is each of its addresses, `{host}` its name."),
    ] = msgspec.field(default_factory=lambda: ["collect_log_{ip}_conf"])
    user: Annotated[str, Meta(description="Who we are there. Empty: nobody, where etcd asks for none.")] = ""
    password_file: Annotated[str, Meta(description=f"A file with the password. Empty: ${PASSWORD}.")] = ""
    ca_file: Annotated[str, Meta(description="The authorities (PEM) of https. Empty: the system's.")] = ""
    cert_file: Annotated[str, Meta(description="Our certificate (PEM), where etcd asks for one.")] = ""
    key_file: Annotated[str, Meta(description="Its key (PEM).")] = ""
    gone_after: Annotated[
        str, Meta(description="An agent that etcd has not heard of for so long is shown as gone.")
    ] = "60s"

    def check(self) -> None:
        """Raise ConfigError for a value that has the right type and no meaning."""
        for url in self.endpoints:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
                raise ConfigError(f"etcd.endpoints: {url!r} is no address", cure="It looks like http://etcd1:2379.")
        for key in self.keys:
            if not re.search(r"\{(ip|host)\}", key) or re.search(r"\{(?!ip\}|host\})", key):
                raise ConfigError(
                    f"etcd.keys: {key!r} is the same for all agents", cure="Write {ip} or {host}, nothing else in {}."
                )
        if not self.prefix:
            raise ConfigError("etcd.prefix: it is empty", cure="Write a prefix such as tailrace/.")
        if bool(self.cert_file) != bool(self.key_file):
            raise ConfigError("etcd.cert_file, etcd.key_file: one without the other", cure="Give both.")
        if self.endpoints:
            _urllib3()


def _urllib3() -> Any:
    """Return the library: an agent that has no etcd does not pay for it. Raises ConfigError."""
    try:
        import urllib3
    except ImportError as error:
        raise ConfigError("etcd needs a library that is not installed", cure="pip install 'tailrace[etcd]'") from error
    return urllib3


class Declined(TailraceError):
    """What etcd answered is no."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a key holds since ``revision``."""

    key: str
    value: bytes
    revision: int


class Gateway:
    """A cluster."""

    def __init__(self, etcd: Etcd) -> None:
        self._etcd = etcd
        self._current = 0
        self._token = ""
        self._pool: PoolManager = self._pooled()
        self._watching: BaseHTTPResponse | None = None
        self._stopped = False

    def _pooled(self) -> PoolManager:
        library = _urllib3()
        given = {"ca_certs": self._etcd.ca_file, "cert_file": self._etcd.cert_file, "key_file": self._etcd.key_file}
        return library.PoolManager(
            maxsize=_CONNECTIONS_KEPT, retries=False, **{name: path for name, path in given.items() if path}
        )

    def stop(self) -> None:
        """End what waits for an answer, and let nothing more be asked. From any thread."""
        self._stopped = True
        if (watching := self._watching) is not None:
            with suppress(Exception):  # whatever state its connection is in
                watching.shutdown()

    def forget_connections(self) -> None:
        """Make new connections from now on: those that are kept may be dead."""
        self._pool.clear()

    # -- calls -------------------------------------------------------------------------------------------------

    def call(self, path: str, message: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to ``POST /v3/path``. Raises Away when no member answers, and Declined."""
        answer = self._ask(path, msgspec.json.encode(message))
        try:
            body = _whole(answer)
        except _urllib3().exceptions.HTTPError as error:
            raise Away(f"etcd stopped answering: {_said(error)}", cure=_CURE) from error
        said = _object(body)
        return said.get("result", said) if isinstance(said.get("result"), dict) else said

    def read(self, keys: Sequence[str]) -> tuple[dict[str, Value], int, str]:
        """Return what these keys hold, all at one revision of the cluster; the revision, and which cluster it is."""
        ranges = [{"request_range": {"key": base64_of(key)}} for key in keys]
        answer = self.call("kv/txn", {"success": ranges})
        found = [value for one in answer.get("responses", []) for value in values(one.get("response_range", {}))]
        header = answer.get("header", {})
        return {one.key: one for one in found}, int(header.get("revision", 0)), str(header.get("cluster_id", ""))

    def watch(self, keys: Sequence[str], revision: int) -> Iterator[dict[str, Any]]:
        """Yield what etcd says about these keys from a revision on; end when it has been silent for too long.

        ``compact_revision`` in what it says: the revision is history. Raises Away and Declined.
        """
        wanted = [
            {"key": base64_of(key), "start_revision": str(revision), "progress_notify": True, "watch_id": str(number)}
            for number, key in enumerate(keys, 1)
        ]
        body = b"".join(msgspec.json.encode({"create_request": one}) for one in wanted)
        answer = self._ask("watch", body)
        faults = _urllib3().exceptions
        self._watching = answer
        try:
            if self._stopped:
                return
            if (connection := getattr(answer, "connection", None)) is not None:
                connection.sock.settimeout(ETCD_QUIET_S_MAX)  # it has begun to answer; now it may be silent
            for line in _lines(answer):
                yield _object(line).get("result", {})
        except faults.ReadTimeoutError:
            return
        except faults.HTTPError as error:
            raise Away(f"the watch has ended: {_said(error)}", cure=_CURE) from error
        finally:
            self._watching = None
            answer.close()
        raise Away("the watch has ended", cure=_CURE)

    # -- members and tokens ------------------------------------------------------------------------------------

    def _ask(self, path: str, body: bytes) -> BaseHTTPResponse:
        """Return the good answer of a member, to be read; asks one after the other. Raises Away and Declined.

        The only one is asked once more when it did not answer: the connection that was kept may have been dead.
        """
        failed: dict[str, str] = {}
        renewed = False
        attempts = max(2, len(self._etcd.endpoints))
        while attempts and not self._stopped:
            url = self._etcd.endpoints[self._current % len(self._etcd.endpoints)].rstrip("/")
            again = True
            try:
                answer = self._post(f"{url}/v3/{path}", body, login=path != _LOGIN)
                if answer.status == 200:
                    return answer
                why, code = _refusal(_whole(answer))
                again = len(self._etcd.endpoints) > 1
            except (_urllib3().exceptions.HTTPError, OSError) as error:
                why, code = _said(error), _UNAVAILABLE
            if _TOKEN_GONE.search(why) and self._etcd.user and not renewed:
                self._token, renewed = "", True
                continue
            if code != _UNAVAILABLE:
                raise Declined(f"etcd declines: {why}", cure=_DECLINED_CURE)
            failed[url] = why
            attempts = attempts - 1 if again else 0
            self._current += 1
        why = "; ".join(f"{url}: {reason}" for url, reason in failed.items()) or "we are stopping"
        raise Away(f"etcd does not answer ({why})", cure=_CURE)

    def _post(self, url: str, body: bytes, *, login: bool) -> BaseHTTPResponse:
        headers = {"Content-Type": "application/json", "Grpc-Metadata-hasleader": "true"}
        if self._etcd.user and login and (token := self._token or self._log_in()):
            headers["Authorization"] = token
        timeout = _urllib3().Timeout(connect=ETCD_CONNECT_S_MAX, read=ETCD_ANSWER_S_MAX)
        return self._pool.request("POST", url, body=body, headers=headers, timeout=timeout, preload_content=False)

    def _log_in(self) -> str:
        """Return a new token; none where etcd asks for none."""
        named = self._etcd.password_file
        try:
            password = Path(named).read_text("utf-8").strip() if named else os.environ.get(PASSWORD, "")
        except (OSError, UnicodeDecodeError) as error:
            raise Declined(f"etcd.password_file cannot be read: {error}", cure="Mend the file.") from error
        try:
            answer = self.call(_LOGIN, {"name": self._etcd.user, "password": password})
        except Declined as error:
            if "authentication is not enabled" in error.message:
                return ""
            raise
        self._token = str(answer.get("token", ""))
        return self._token


def base64_of(text: str | bytes) -> str:
    """Return a key or a value as the gateway takes it."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def values(answer: Mapping[str, Any]) -> list[Value]:
    """Return what the answer to a range, or an event, holds; of keys that are no text, nothing."""
    found: list[Value] = []
    for one in answer.get("kvs", []):
        with suppress(UnicodeDecodeError):
            key = base64.b64decode(one.get("key", "")).decode()
            found.append(Value(key, base64.b64decode(one.get("value", "")), int(one.get("mod_revision", 0))))
    return found


def changes(said: Mapping[str, Any]) -> Iterator[tuple[Value, bool]]:
    """Yield the values of a watch's message, and whether each is there; what was deleted is not."""
    for event in said.get("events", []):
        for one in values({"kvs": [event.get("kv", {})]}):
            yield one, event.get("type", "PUT") == "PUT"


def _whole(answer: BaseHTTPResponse) -> bytes:
    """Read an answer to its end, so that its connection can be used again."""
    body = answer.read(ETCD_MESSAGE_BYTES_MAX)
    if answer.read(1):
        answer.close()
        raise Declined(f"etcd answers more than {ETCD_MESSAGE_BYTES_MAX} bytes", cure="Are these keys ours?")
    answer.release_conn()
    return body


def _lines(answer: BaseHTTPResponse) -> Iterator[bytes]:
    waiting = b""
    for piece in answer.stream(_PIECE_BYTES):
        *lines, waiting = (waiting + piece).split(b"\n")
        yield from filter(None, lines)
        if len(waiting) > ETCD_MESSAGE_BYTES_MAX:
            raise Declined(f"etcd says more than {ETCD_MESSAGE_BYTES_MAX} bytes at once", cure="Are these keys ours?")


def _object(text: bytes) -> dict[str, Any]:
    """Return an answer. Raises Declined for what it declines, Away for what is none of etcd."""
    try:
        said = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError as error:
        raise Away(f"what answers there is not etcd: {text[:80].decode('utf-8', 'replace')!r}", cure=_CURE) from error
    if error := said.get("error"):
        what = error.get("message", error) if isinstance(error, dict) else error
        raise Declined(f"etcd declines: {what}", cure=_DECLINED_CURE)
    return said


def _refusal(body: bytes) -> tuple[str, int]:
    """Return what a member says that does not answer well, and its code."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
        return str(said.get("message") or said["error"]), int(said.get("code", 0))
    except (msgspec.DecodeError, KeyError, ValueError, TypeError):
        return f"what answers there is not etcd: {body[:80].decode('utf-8', 'replace').strip()!r}", _UNAVAILABLE


def _said(error: Exception) -> str:
    """Return what an error says, without the objects that it names."""
    reason = getattr(error, "reason", None) or error
    return (
        re.sub(r"<[^>]*>\s*:?\s*|HTTPS?Connection(?:Pool)?\([^)]*\):?\s*", "", str(reason))[:200]
        or type(error).__name__
    )
