"""One connection to one server: a call, its answer, and a deadline over all of it.

The client of the standard library has a time limit per read, so an answer of one byte a second is never late. Here
every read and every write gets what is left of the call's own limit. The connection is kept between calls; what cannot
be kept (half an answer, bytes that nobody asked for) is closed.

TLS is verified against the system's authorities, or only against those of ``ca_file``, which is read for every
connection. There is no way to turn that off, and no falling back to plain text.
"""

from __future__ import annotations

import http.client
import io
import os
import re
import socket
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from tailrace.errors import ConfigError, TailraceError
from tailrace.limits import KIB, SHIP_ANSWER_BYTES_MAX, SHIP_CALL_S_MAX, SHIP_CONNECT_S_MAX

if TYPE_CHECKING:
    import ssl

_AWAY_CURE = "It is tried again and again; what is read waits in the spool."
_SEND_BYTES = 256 * KIB
_HOST = re.compile(r"[A-Za-z0-9._:-]+\Z")


class Failed(TailraceError):
    """A call had no answer, or none that can be believed; worth another try."""


class Again(Failed):
    """Nothing is wrong, but the server may be another one by now: it must be asked again where it is."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where an output ships to, and how it is let in there; files are named, because their content may change."""

    url: str
    token_file: str = ""
    ca_file: str = ""

    def __post_init__(self) -> None:
        """Raise ConfigError for what is not an address."""
        parts = urlsplit(self.url)
        try:
            good = parts.scheme in ("http", "https") and _HOST.match(parts.hostname or "") and parts.port != 0
        except ValueError:  # a port that is none
            good = False
        if not good or parts.query or parts.fragment or parts.username is not None:
            raise ConfigError(
                f"{self.url!r} is not the address of a server", cure="It looks like http://logs.example.com:7800."
            )

    @property
    def plain(self) -> bool:
        """Whether it is sent without TLS."""
        return urlsplit(self.url).scheme == "http"

    @property
    def exposed(self) -> bool:
        """Whether it leaves this machine so that others can read it."""
        host = urlsplit(self.url).hostname or ""
        return self.plain and host not in ("localhost", "::1") and not host.startswith("127.")

    @property
    def safer(self) -> str:
        """What would prevent that."""
        return "https://"

    @property
    def let_in(self) -> str:
        """What a person does when the token is none that the server knows."""
        made = "`tailrace token add NAME` on the server prints a token"
        if self.token_file:
            return f"{made}: put it into {self.token_file}, which is read again for each try."
        return f"{made}: put it into a file, name that in agent.token_file, and start this again."

    def token(self) -> str:
        """Return the token that is in force now, empty for none. Raises Failed."""
        if not self.token_file:
            return os.environ.get("TAILRACE_TOKEN", "")
        try:
            token = Path(self.token_file).read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise Failed(f"the token cannot be read: {_said(error)}: {self.token_file}", cure=self.let_in) from error
        if not re.fullmatch(r"[!-~]+", token):
            raise Failed(f"{self.token_file} holds no token", cure=self.let_in)
        return token


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the body (bounded), and for how long the server wants to be left alone."""

    status: int
    media: str
    body: bytes
    retry_after_s: float


class Connection:
    """Calls to one server, one at a time, by one thread."""

    def __init__(self, server: Server) -> None:
        self._server = server
        parts = urlsplit(server.url)
        self._address = parts.hostname or "", parts.port or (80 if server.plain else 443)
        self._base = parts.path.rstrip("/")
        self._host = parts.netloc
        self._socket: socket.socket | None = None

    def call(self, method: str, path: str, body: bytes = b"", *, media: str = "") -> Answer:
        """Make a call. Raises Failed or Again; the connection is then closed, the next call makes a new one."""
        deadline = time.monotonic() + SHIP_CALL_S_MAX
        try:
            kept = self._socket is not None
            try:
                return self._try(method, path, body, media, deadline)
            except ConnectionError as error:
                if not kept:
                    raise
                # A server may close a connection that it has kept; that is known only when it is used.
                raise Again("the connection was closed") from error
        except TimeoutError as error:
            self.close()
            raise Failed("it took too long to answer", cure=_AWAY_CURE) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            distrusted = getattr(error, "verify_message", "")
            if distrusted:
                raise Failed(
                    f"its certificate cannot be verified: {distrusted}", cure="Name its authority in agent.ca_file."
                ) from error
            raise Failed(_said(error), cure=_AWAY_CURE) from error
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close what is open."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _try(self, method: str, path: str, body: bytes, media: str, deadline: float) -> Answer:
        head = [f"{method} {self._base}{path} HTTP/1.1", f"Host: {self._host}", "User-Agent: tailrace-agent"]
        if token := self._server.token():
            head.append(f"Authorization: Bearer {token}")
        if self._socket is None:
            self._socket = self._connect(deadline)
        made = _Deadlined(self._socket, deadline)
        if media:
            head += [f"Content-Type: {media}", "Content-Encoding: zstd", f"Content-Length: {len(body)}"]
        try:
            made.send("\r\n".join([*head, "", ""]).encode("latin-1"))
            made.send(body)
        except ConnectionError:
            # Who refuses a call may do so before it has come in whole; what it said is worth more than the broken pipe.
            answer = self._answer(method, made)
            if answer.status < 400:
                raise
            self.close()
            return answer
        return self._answer(method, made)

    def _answer(self, method: str, made: _Deadlined) -> Answer:
        answer = http.client.HTTPResponse(cast(socket.socket, made), method=method)
        answer.begin()
        body = answer.read(SHIP_ANSWER_BYTES_MAX)
        if answer.length or len(body) == SHIP_ANSWER_BYTES_MAX:
            raise http.client.HTTPException("its answer is cut off, or too long")
        if answer.will_close or not answer.isclosed() or made.has_more():
            self.close()
        media = (answer.getheader("Content-Type") or "").partition(";")[0].strip().lower()
        return Answer(
            answer.status, media, body, retry_after_s(answer.getheader("Retry-After"), answer.getheader("Date"))
        )

    def _connect(self, deadline: float) -> socket.socket:
        until = min(deadline, time.monotonic() + SHIP_CONNECT_S_MAX)
        made = socket.create_connection(self._address, timeout=SHIP_CONNECT_S_MAX)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._server.plain:
            return made
        try:
            made.settimeout(_left(until))
            return _tls(self._server.ca_file).wrap_socket(made, server_hostname=self._address[0])
        except BaseException:
            made.close()
            raise


def _tls(ca_file: str) -> ssl.SSLContext:
    import ssl  # only who needs it pays for it

    try:
        return ssl.create_default_context(cafile=ca_file or None)
    except OSError as error:
        raise Failed(f"the authorities in {ca_file} cannot be read: {_said(error)}") from error


def _said(error: Exception) -> str:
    if isinstance(error, http.client.BadStatusLine) and not isinstance(error, ConnectionError):
        return f"what answers there is no HTTP server: {str(error).strip()[:80]!r}"
    return (getattr(error, "strerror", None) or str(error) or repr(error))[:300]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Kept(io.BufferedReader):
    """A reader that stays open when the answer has been read, so that one can see whether there is more."""

    def close(self) -> None:
        """Stay open."""


class _Deadlined(io.RawIOBase):
    """The socket of one call, in the shape that ``http.client`` reads from; each step has what is left of the time."""

    def __init__(self, made: socket.socket, deadline: float) -> None:
        self._socket = made
        self._deadline = deadline
        self._buffer = _Kept(self)

    def makefile(self, mode: str) -> io.BufferedReader:
        """Return what an answer is read from."""
        assert mode == "rb"
        return self._buffer

    def readable(self) -> bool:
        """Say that this can be read."""
        return True

    def readinto(self, into: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Read what has come."""
        self._socket.settimeout(_left(self._deadline))
        return self._socket.recv_into(into)

    def send(self, data: bytes) -> None:
        """Write all of it."""
        view = memoryview(data)
        while view:
            self._socket.settimeout(_left(self._deadline))
            view = view[self._socket.send(view[:_SEND_BYTES]) :]

    def has_more(self) -> bool:
        """Tell whether bytes came behind the answer, which belong to none."""
        self._deadline = float("-inf")  # look only at what is here
        try:
            return bool(self._buffer.peek(1))
        except TimeoutError:
            return False


def retry_after_s(value: str | None, date: str | None) -> float:
    """Return the seconds of a ``Retry-After`` (RFC 9110: seconds, or a date, by the server's own clock); 0 for none."""
    if not value:
        return 0.0
    if value.strip().isdecimal():
        return float(value)
    try:
        now = parsedate_to_datetime(date) if date else datetime.now(UTC)
        return max((parsedate_to_datetime(value) - now).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return 0.0
