"""The guard in front of every call.

Rules, in this order:
  Host      an IP address, localhost, the address listened on, or a configured name; anything else is a page of
            another site that had its name resolve to us (DNS rebinding). Who brings a token is no such page: where
            tokens are needed, programs may use any name that leads here, and only the token decides
  Origin    a call that changes something, and every WebSocket, must come from our own page or from no page at all
  token     when there are tokens, or the address is not loopback: ``Authorization: Bearer``, or the cookie that the
            login form set; health and the login page are open
Who it is (the name of the token, or nothing where none is needed) goes on in the scope: quotas are by name.
Every answer carries a policy that lets the page load nothing but its own files. There is no CORS at all.

The cookie is a session (``tokens.py``), which says who it is and until when, signed with what only servers with that
token know; no script of a page can read it. So whoever has logged in at one server is let in by each that has the same
tokens, also after a restart, and the removal of the token ends it everywhere.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import msgspec
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tailrace.access.quota import NAME
from tailrace.access.tokens import Tokens
from tailrace.api import PROBLEM, Problem
from tailrace.config import Config, address
from tailrace.errors import ConfigError
from tailrace.limits import LOGIN_BYTES_MAX, SESSION_S

COOKIE = "tailrace_session"
OPEN_PATHS = frozenset({"/healthz", "/readyz", "/login"})
_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
_LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<title>Tailrace: log in</title><h1>Tailrace</h1><p>{note}</p>
<form method="post" action="/login"><label>Token <input name="token" type="password" autocomplete="current-password"
 autofocus required></label> <button>Log in</button></form></html>"""


class Access:
    """Decides who is let in; its tokens belong to the event loop's thread."""

    def __init__(self, tokens: Tokens, listen_host: str, names: list[str], *, insecure: bool) -> None:
        self._tokens = tokens
        self._names = {"localhost", listen_host.lower(), *(name.lower() for name in names)}
        self._insecure = insecure
        self._loopback = is_loopback(listen_host)

    @property
    def open(self) -> bool:
        """Whether nobody needs a token."""
        return self._insecure or (self._loopback and not self._tokens.names())

    @property
    def has_tokens(self) -> bool:
        """Whether there is any token."""
        return bool(self._tokens.names())

    def knows(self, host: str) -> bool:
        """Tell whether this Host header names us."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").lower()
        except ValueError:
            return False
        return name in self._names or is_address(name)

    def name_of(self, headers: Headers) -> str | None:
        """Return whose token the headers carry, ``""`` where nobody needs one, else None."""
        if self.open:
            return ""
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and (name := self._tokens.name_of(token.strip())):
            return name
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return self._tokens.name_of_session(cookie.value, time.time()) if cookie is not None else None

    def session(self, token: str) -> str | None:
        """Return a session of who has this token; None when nobody has."""
        return self._tokens.session(token, time.time())


class Guard:
    """ASGI middleware that keeps the rules above; adds nothing to the cost of a stream."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the application when a rule is broken, else pass on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_guarded)
        else:
            await refusal(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        brings_token = headers.get("authorization", "").lower().startswith("bearer ")
        if not self._access.knows(host) and (self._access.open or not brings_token):
            return _problem(
                421,
                f"this server is not known as {host[:80]!r}",
                "Call it with a token, or add the name to server.hosts.",
            )
        upgrades = "websocket" in headers.get("upgrade", "").lower()
        changes = upgrades or scope["method"] not in _SAFE_METHODS
        if changes and not _own_page(headers, host):
            return _problem(
                403, "the call comes from a page of another site", "Use the page of this server, or no page."
            )
        name = self._access.name_of(headers)
        scope[NAME] = name or ""
        if scope["path"] in OPEN_PATHS or name is not None:
            return None
        if scope["path"] == "/" and "text/html" in headers.get("accept", ""):
            return RedirectResponse("/login", 303)
        return _problem(
            401, "a token is needed", "Send Authorization: Bearer TOKEN; `tailrace token add NAME` makes one."
        )


def guarding(directory: Path, config: Config, listen: str) -> Access:
    """Return who is let in at an address. Raises ConfigError for an open door that nobody asked for."""
    host, _ = address(listen)
    access = Access(Tokens(directory), host, config.server.hosts, insecure=config.server.insecure)
    if not is_loopback(host) and not config.server.insecure and not access.has_tokens:
        raise ConfigError(
            f"others can reach {listen}, and there is no token",
            cure="Make one with `tailrace token add NAME`, or say --insecure to let everybody in.",
        )
    return access


def _own_page(headers: Mapping[str, str], host: str) -> bool:
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        return False
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc.lower() == host.lower()


def _problem(status: int, detail: str, cure: str) -> Response:
    title = {401: "Token needed", 403: "Refused", 421: "Unknown host"}[status]
    body = msgspec.json.encode(Problem(f"/problems/{status}", title, status, detail, cure=cure))
    headers = {"www-authenticate": "Bearer"} if status == 401 else None
    return Response(body, status, headers, PROBLEM)


def is_address(name: str) -> bool:
    """Tell whether a name is an IP address, which no other site can have resolve to us."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address."""
    return host == "localhost" or (is_address(host) and ipaddress.ip_address(host).is_loopback)


def routes(access: Access) -> list[BaseRoute]:
    """Return the login form and what it posts to."""

    async def form(_: Request) -> Response:
        return HTMLResponse(_LOGIN.format(note="This server needs a token."))

    async def log_in(request: Request) -> Response:
        body = b""
        async for piece in request.stream():
            body += piece
            if len(body) > LOGIN_BYTES_MAX:
                return HTMLResponse(_LOGIN.format(note="That is not a token."), 413)
        token = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        session = access.session(token)
        if session is None:
            return HTMLResponse(_LOGIN.format(note="That token is not known here."), 401)
        answer = RedirectResponse("/", 303)
        secure = request.url.scheme == "https"
        answer.set_cookie(COOKIE, session, SESSION_S, httponly=True, samesite="strict", secure=secure)
        return answer

    return [Route("/login", form), Route("/login", log_in, methods=["POST"])]
