"""How the commands talk to a server: plain http.client, because a larger import takes longer than the call."""

from __future__ import annotations

import argparse
import http.client
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from tailrace.errors import BadInput, Busy, ConfigError, QueryError, Refused, TailraceError

SERVER = "http://127.0.0.1:7800"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what every command that talks to a server takes."""
    parser.add_argument(
        "--server", metavar="URL", help=f"default: $TAILRACE_SERVER or {SERVER}; token: $TAILRACE_TOKEN"
    )


class Unreachable(TailraceError):
    """Nobody answers at the server's address."""


class Client:
    """One server; every call has its own connection."""

    def __init__(self, url: str | None) -> None:
        self.url = (url or os.environ.get("TAILRACE_SERVER") or SERVER).rstrip("/")
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"{self.url!r} is not the address of a server", cure=f"It looks like {SERVER}.")
        self._secure = parts.scheme == "https"
        self._host, self._port, self._base = parts.hostname, parts.port, parts.path
        token = os.environ.get("TAILRACE_TOKEN")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @contextmanager
    def open(
        self,
        method: str,
        path: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        timeout_s: float | None = 90.0,
    ) -> Iterator[http.client.HTTPResponse]:
        """Make a call and give its answer to be read; parameters that are None are left out.

        Raises Unreachable, and for an answer that is an error what its problem document says.
        """
        given = {name: value for name, value in (parameters or {}).items() if value is not None}
        # Arguments that are not UTF-8 are sent as the bytes they are.
        target = self._base + path + ("?" + urlencode(given, errors="surrogateescape") if given else "")
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=timeout_s)
        try:
            try:
                connection.request(method, target, body, {**self._headers, **(headers or {})})
                answer = connection.getresponse()
            except (OSError, http.client.HTTPException) as error:
                raise Unreachable(
                    f"no server answers at {self.url}: {error}",
                    cure="Start one with `tailrace up`, or name another with --server or TAILRACE_SERVER.",
                ) from error
            if answer.status >= 400:
                raise _problem(answer.status, answer.read(65_536), answer.headers, given.get("q", ""))
            yield answer
        finally:
            connection.close()

    def json(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """Return the JSON answer of a GET."""
        with self.open("GET", path, parameters) as answer:
            return json.load(answer)


def _problem(status: int, body: bytes, headers: http.client.HTTPMessage, query: str) -> TailraceError:
    try:
        problem = json.loads(body)
        detail, cure, position = problem["detail"], problem.get("cure", ""), problem.get("position")
    except (ValueError, KeyError, TypeError, AttributeError):
        detail, cure, position = f"the server answered {status}", "", None
    if position is not None:
        return QueryError(detail, text=query, position=position, cure=cure)
    if status in (429, 502, 503, 504):  # a proxy says 502 and 504 while the servers behind it come back
        return Busy(detail, retry_s=float(headers.get("Retry-After") or 1), cure=cure)
    if status in (401, 403):
        return Refused(detail, cure="Set TAILRACE_TOKEN to a token of that server." if status == 401 else cure)
    return (BadInput if status < 500 else TailraceError)(detail, cure=cure)
