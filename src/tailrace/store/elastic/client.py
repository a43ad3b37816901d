"""A client of Elasticsearch and OpenSearch: JSON in, JSON out, over whichever node answers.

Nodes      Calls go round over the nodes. One that cannot be reached, or that says 502, 503 or 504, rests for
           ELASTIC_REST_S, and the call goes to the next one; when all rest, they are tried all the same. So a call
           fails with ``Away`` only after each node failed. A call that may have been carried out is made again as well:
           what this program writes is named by its ``_id`` and is not written twice.
Threads    Any number. A connection belongs to one call at a time and waits for the next one afterwards.
Giving up  Every wait is bounded by the time limit of the call. With a ``Progress`` it also ends when that is cancelled,
           within ELASTIC_LOOK_S: the connection is closed, and closing it has both servers end the search.
Answers    More than ELASTIC_ANSWER_BYTES_MAX are not read: ``AnswerTooLarge``, and the caller asks for less.
Secrets    are read from their files for each new connection, and are never part of a message.
"""

from __future__ import annotations

import base64
import gzip
import http.client
import itertools
import os
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

import orjson

from tailrace.errors import Away, ConfigError, TailraceError
from tailrace.limits import (
    ELASTIC_ANSWER_BYTES_MAX,
    ELASTIC_CALL_S_MAX,
    ELASTIC_CONNECT_S_MAX,
    ELASTIC_CONNECTIONS_MAX,
    ELASTIC_GZIP_BYTES_MIN,
    ELASTIC_LOOK_S,
    ELASTIC_REST_S,
    KIB,
)
from tailrace.store import Progress

if TYPE_CHECKING:
    from urllib3.connection import HTTPConnection

_JSON, _LINES = "application/json", "application/x-ndjson"
_READ_BYTES = 256 * KIB
_OLDEST = {"elasticsearch": (8, 0), "opensearch": (3, 3)}
"""The first versions that go on in the order of shards behind a page (``_shard_doc``), and know all that is mapped."""


class AnswerTooLarge(TailraceError):
    """An answer is larger than ELASTIC_ANSWER_BYTES_MAX."""


class Rejected(TailraceError):
    """The cluster answered, and said no: ``status`` is HTTP's, ``kind`` the type of the error in its own words."""

    def __init__(self, message: str, *, status: int, kind: str, cure: str = "") -> None:
        super().__init__(message, cure=cure)
        self.status = status
        self.kind = kind


class NotThere(Rejected):
    """404: no such index, alias, policy or point in time."""


class Overloaded(Rejected):
    """429: it has too much to do; worth another try after a while."""


class ReadOnly(Rejected):
    """An index takes no writes: usually the disk of a node is nearly full."""


@dataclass(frozen=True, slots=True)
class Access:
    """Where the cluster is and how it is entered; files are named, because their content may change."""

    urls: Sequence[str]
    user: str = ""
    password_file: str = ""
    api_key_file: str = ""
    ca_file: str = ""
    compress: bool = False

    def __post_init__(self) -> None:
        """Raise ConfigError for what is not an address, or two ways to enter."""
        for url in self.urls:
            try:
                parts = urlsplit(url)
                good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
            except ValueError:  # a port that is none
                good, parts = False, None
            if not good or parts is None or parts.query or parts.fragment or parts.username is not None:
                raise ConfigError(
                    f"elastic.urls: {url!r} is not the address of a node", cure="It looks like https://es-1:9200."
                )
        if not self.urls:
            raise ConfigError("elastic.urls is empty", cure="Name the nodes, like https://es-1:9200.")
        if self.api_key_file and self.user:
            raise ConfigError("elastic: both a user and an API key", cure="Keep one of user and api_key_file.")

    def authorization(self) -> str | None:
        """Return the header that enters the cluster, or None. Raises ConfigError when a secret cannot be read."""
        if self.api_key_file:
            return f"ApiKey {_secret('elastic.api_key_file', self.api_key_file)}"
        if self.user:
            password = _secret("elastic.password_file", self.password_file) if self.password_file else ""
            return "Basic " + base64.b64encode(f"{self.user}:{password}".encode()).decode()
        return None


@dataclass(frozen=True, slots=True)
class Server:
    """Which product answers, and its version; ``number`` as it says it, like ``9.1.0``."""

    product: str
    number: str

    @property
    def opensearch(self) -> bool:
        """Whether it is OpenSearch, whose calls for a point in time are spelled differently."""
        return self.product == "opensearch"


@dataclass(slots=True)
class _Node:
    url: str
    rests_until: float = 0.0
    idle: list[HTTPConnection] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    target: str
    content: Any
    headers: Mapping[str, str]
    deadline: float
    progress: Progress | None

    def left(self) -> float:
        """Return what is left of the time. Raises TimeoutError."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("it took too long to answer")
        return left

    def check(self) -> None:
        """Raise Cancelled when nobody wants the answer any more."""
        if self.progress is not None:
            self.progress.check()


class Client:
    """Calls to one cluster."""

    def __init__(self, access: Access) -> None:
        """Connect to nothing yet. Raises ConfigError when urllib3 is not installed."""
        try:
            import urllib3  # an extra: only who has a cluster pays for it
            import urllib3.connection
            import urllib3.util
        except ImportError as error:
            raise ConfigError(
                "Elasticsearch and OpenSearch need the extra 'elastic'", cure="pip install 'tailrace[elastic]'"
            ) from error
        self._urllib3 = urllib3
        self._access = access
        self._nodes = [_Node(url.rstrip("/")) for url in access.urls]
        self._turn = itertools.count()
        self._lock = threading.Lock()
        self._server: Server | None = None

    def close(self) -> None:
        """Close the connections that wait; those of calls under way close behind them."""
        with self._lock:
            idle = [connection for node in self._nodes for connection in node.idle]
            for node in self._nodes:
                node.idle.clear()
        for connection in idle:
            connection.close()

    # -- calls ---------------------------------------------------------------------------------------------------

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        progress: Progress | None = None,
        seconds_max: float = ELASTIC_CALL_S_MAX,
    ) -> Any:
        """Make a call and return what its JSON says.

        ``body`` is JSON, or bytes of NDJSON as they are. Raises Away, Rejected (one of its kinds), AnswerTooLarge, and
        Cancelled when ``progress`` is.
        """
        return orjson.loads(self.raw(method, path, body, query, progress=progress, seconds_max=seconds_max) or b"null")

    def raw(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        progress: Progress | None = None,
        seconds_max: float = ELASTIC_CALL_S_MAX,
    ) -> bytes:
        """Make a call and return the bytes of its answer; raises as ``call`` does."""
        lines = isinstance(body, bytes | bytearray | memoryview)
        content = body if lines else None if body is None else orjson.dumps(body)
        headers = {"Accept": _JSON}
        if content is not None:
            headers["Content-Type"] = _LINES if lines else _JSON
            if self._access.compress and len(content) >= ELASTIC_GZIP_BYTES_MIN:
                content = gzip.compress(content, 1)
                headers["Content-Encoding"] = "gzip"
        target = path if not query else f"{path}?{urlencode(query)}"
        request = _Request(method, target, content, headers, time.monotonic() + seconds_max, progress)
        failed: list[str] = []
        for node in self._in_turn():
            try:
                status, answer = self._try(node, request)
            except (OSError, http.client.HTTPException, self._urllib3.exceptions.HTTPError) as error:
                failed.append(f"{node.url}: {_said(error)}")
                node.rests_until = time.monotonic() + ELASTIC_REST_S
                if time.monotonic() > request.deadline:
                    break
                continue
            if status in (502, 503, 504):
                failed.append(f"{node.url}: {_reason(status, answer)[1]}")
                node.rests_until = time.monotonic() + ELASTIC_REST_S
                continue
            node.rests_until = 0.0
            if status >= 400:
                raise _rejected(status, answer, f"{method} {path}")
            return answer
        raise Away(
            "the cluster does not answer: " + "; ".join(failed)[:600],
            cure="Check elastic.urls, and whether the nodes run; it is tried again.",
        )

    def _in_turn(self) -> list[_Node]:
        first = next(self._turn) % len(self._nodes)
        turned = self._nodes[first:] + self._nodes[:first]
        now = time.monotonic()
        return sorted(turned, key=lambda node: node.rests_until if node.rests_until > now else 0.0)

    def _try(self, node: _Node, request: _Request) -> tuple[int, bytes]:
        """Make a call to one node: on a connection that waits, and on a new one if that turns out to be closed."""
        while True:
            with self._lock:
                kept = node.idle.pop() if node.idle else None
            connection = kept or self._connect(node)
            done = False
            try:
                status, answer = self._exchange(connection, _path(node, request.target), request)
                done = True
            except ConnectionError:
                if kept is None:
                    raise
                continue  # a node may close a connection that waits; that is known only when it is used
            finally:
                if not done:
                    connection.close()
            with self._lock:
                if len(node.idle) < ELASTIC_CONNECTIONS_MAX and not connection.is_closed:
                    node.idle.append(connection)
                else:
                    connection.close()
            return status, answer

    def _exchange(self, connection: HTTPConnection, path: str, request: _Request) -> tuple[int, bytes]:
        if connection.is_closed:
            connection.timeout = min(request.left(), ELASTIC_CONNECT_S_MAX)
            connection.connect()
        sock = connection.sock
        sock.settimeout(request.left())
        headers = self._entering(request.headers)
        connection.request(request.method, path, body=request.content, headers=headers, preload_content=False)
        pending = getattr(sock, "pending", lambda: 0)
        while not pending() and not self._urllib3.util.wait_for_read(sock, min(request.left(), ELASTIC_LOOK_S)):
            request.check()
        response = connection.getresponse()
        pieces: list[bytes] = []
        size = 0
        while True:
            sock.settimeout(request.left())
            piece = response.read(_READ_BYTES)
            if not piece:
                return response.status, b"".join(pieces)
            pieces.append(piece)
            size += len(piece)
            if size > ELASTIC_ANSWER_BYTES_MAX:
                raise AnswerTooLarge(f"the cluster answers with more than {ELASTIC_ANSWER_BYTES_MAX} bytes")
            request.check()

    def _connect(self, node: _Node) -> HTTPConnection:
        parts = urlsplit(node.url)
        host = parts.hostname or ""
        if parts.scheme == "http":
            return self._urllib3.connection.HTTPConnection(host, parts.port or 80)
        return self._urllib3.connection.HTTPSConnection(host, parts.port or 443, ca_certs=self._access.ca_file or None)

    def _entering(self, headers: Mapping[str, str]) -> dict[str, str]:
        authorization = self._access.authorization()
        return {**headers, "Authorization": authorization} if authorization else dict(headers)

    # -- what the cluster is ---------------------------------------------------------------------------------------

    def server(self) -> Server:
        """Return which product this is, and its version; asked once. Raises ConfigError when it is too old."""
        if self._server is None:
            try:
                version = self.call("GET", "/")["version"]
            except Rejected as error:
                if error.status != 405:
                    raise
                # A distribution without its usual modules has no answer here, but knows its nodes.
                nodes = self.call("GET", "/_nodes", query={"filter_path": "nodes.*.version"})["nodes"]
                version = {"number": min(node["version"] for node in nodes.values())}
            product = str(version.get("distribution", "elasticsearch"))
            found = Server(product, str(version["number"]))
            oldest = _OLDEST.get(product, (0, 0))
            if tuple(int(part) for part in found.number.split(".")[:2]) < oldest:
                raise ConfigError(
                    f"{product} {found.number} is too old",
                    cure=f"It has to be {'.'.join(map(str, oldest))} or newer.",
                )
            self._server = found
        return self._server

    # -- writing -------------------------------------------------------------------------------------------------

    def bulk(self, body: bytes, *, seconds_max: float = ELASTIC_CALL_S_MAX) -> Any:
        """Write items (NDJSON: an action with its ``_index``, a document) and return ``errors`` and ``items``.

        Of each item the answer holds the status, and the error if there is one, in the order of the items.
        """
        shown = {"filter_path": "errors,items.*.status,items.*.error"}
        return self.call("POST", "/_bulk", body, shown, seconds_max=seconds_max)

    def refresh(self, index: str) -> None:
        """Make what was written until now visible to searches."""
        self.call("POST", f"/{_name(index)}/_refresh", query={"ignore_unavailable": "true", "filter_path": "-*"})

    def put_template(self, name: str, template: Mapping[str, Any]) -> None:
        """Write the template of indices that are made from now on."""
        self.call("PUT", f"/_index_template/{_name(name)}", template)

    def indices(self, pattern: str) -> list[str]:
        """Return the names of the indices that a pattern with ``*`` means, sorted."""
        try:
            found = self.call(
                "GET", f"/{_name(pattern)}/_settings/index.uuid", query={"expand_wildcards": "open,hidden"}
            )
        except NotThere:
            return []
        return sorted(found)

    def delete_index(self, name: str) -> None:
        """Remove an index for good; one that is not there is fine."""
        self.call("DELETE", f"/{_name(name)}", query={"ignore_unavailable": "true"})

    # -- searching -----------------------------------------------------------------------------------------------

    def open_point_in_time(self, index: str, keep_s: int) -> str | None:
        """Freeze what searches see of some indices, for ``keep_s`` after each use; None when there are none."""
        if self.server().opensearch:
            path, key = f"/{_name(index)}/_search/point_in_time", "pit_id"
        else:
            path, key = f"/{_name(index)}/_pit", "id"
        try:
            return self.call("POST", path, query={"keep_alive": f"{keep_s}s", "ignore_unavailable": "true"})[key]
        except Rejected as error:
            # OpenSearch stumbles over its own answer when a pattern means no index.
            if isinstance(error, NotThere) or (error.status == 400 and not self.indices(index)):
                return None
            raise

    def close_point_in_time(self, pit: str) -> None:
        """Let go of a point in time; one that is over is fine."""
        try:
            if self.server().opensearch:
                self.call("DELETE", "/_search/point_in_time", {"pit_id": [pit]})
            else:
                self.call("DELETE", "/_pit", {"id": pit})
        except NotThere:
            pass

    def search(self, body: Mapping[str, Any], progress: Progress | None = None, *, index: str | None = None) -> Any:
        """Search the point in time that the body names, or ``index``. Raises as ``call`` does."""
        path = "/_search" if index is None else f"/{_name(index)}/_search"
        query = None if index is None else {"ignore_unavailable": "true"}
        return self.call("POST", path, body, query, progress=progress)


def _path(node: _Node, target: str) -> str:
    return urlsplit(node.url).path + target


def _name(name: str) -> str:
    return quote(name, safe="*,-_.")


def _secret(key: str, path: str) -> str:
    try:
        return Path(os.path.expanduser(path)).read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{key} cannot be read: {_said(error)}", cure=f"It names the file {path}.") from error


def _said(error: Exception) -> str:
    distrusted = getattr(error, "verify_message", "")
    if distrusted:
        return f"its certificate cannot be verified ({distrusted}); name its authority in elastic.ca_file"
    return (getattr(error, "strerror", None) or str(error) or repr(error))[:300]


def _reason(status: int, answer: bytes) -> tuple[str, str]:
    """Return the type and the reason of an error in the cluster's words."""
    try:
        error = orjson.loads(answer)["error"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "", f"HTTP {status}"
    if not isinstance(error, dict):
        return "", str(error)[:300]
    causes = [*(error.get("root_cause") or []), error.get("caused_by") or {}, error]
    inner = next((cause for cause in causes if cause.get("reason")), error)
    return str(inner.get("type", "")), str(inner.get("reason") or f"HTTP {status}")[:300]


def _rejected(status: int, answer: bytes, call: str) -> Rejected:
    kind, reason = _reason(status, answer)
    made: type[Rejected] = Rejected
    cure = ""
    if kind == "cluster_block_exception":
        made, cure = ReadOnly, "Usually a disk is nearly full: make room, then the block goes away by itself."
    elif status == 401:
        cure = "Set elastic.user and elastic.password_file, or elastic.api_key_file."
    elif status == 403:
        cure = "The user needs to read, write, create and delete indices of the prefix, and to write its template."
    elif status == 404:
        made = NotThere
    elif status == 413:
        cure = "The request is larger than the cluster takes (http.max_content_length)."
    elif status == 429:
        made, cure = Overloaded, "The cluster has too much to do; it is tried again."
    return made(f"{call.partition('?')[0]}: {reason}", status=status, kind=kind, cure=cure)
