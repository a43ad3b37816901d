"""Tokens: a secret that lets a person or a program in, kept as its SHA-256.

Bytes. ``tokens.json`` in the data directory, mode 0600: ``{"name": "hex of sha-256"}``. It is replaced as a whole (a
new file, fsync, rename), so a crash leaves the old or the new one. A token is 256 random bits, so a plain hash is as
good as a slow one: there is nothing to guess.

A running server looks at the file's time of change once per second, so a token that is removed stops working then.

Sessions. Who has logged in with a token is given ``NAME.END.MAC`` (the name in base64url, the end in seconds since
1970, HMAC-SHA-256 of both in base64url) and not the token back. Its key is derived from the hash of the token, so it is
good at every server that has the same tokens and nothing is kept for it; it ends SESSION_S later, or with the token,
also when another one of that name is made. Who can read the hashes can make a session, but no token: the file is for
its owner.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

import msgspec

from tailrace.errors import BadInput, Damaged, DataError
from tailrace.limits import SESSION_S

PREFIX = "tr_"
"""So that scanners for leaked secrets can know one."""
_FRESH_S = 1.0


class Tokens:
    """The tokens of one data directory. Used by one thread."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "tokens.json"
        self._hashes: dict[str, str] = {}
        self._changed_ns = -1
        self._looked = float("-inf")

    def names(self) -> list[str]:
        """Return the names of all tokens. Raises Damaged."""
        self._refresh()
        return list(self._hashes)

    def add(self, name: str) -> str:
        """Make a token and return it; it cannot be read back. Raises BadInput when the name is taken."""
        if name in self.names():
            raise BadInput(f"there is a token named {name!r}", cure=f"Remove it first: tailrace token remove {name}")
        token = PREFIX + secrets.token_urlsafe(32)
        self._write({**self._hashes, name: _hash(token)})
        return token

    def remove(self, name: str) -> None:
        """Make a token worthless. Raises BadInput when there is none of that name."""
        if name not in self.names():
            raise BadInput(f"there is no token named {name!r}", cure="`tailrace token list` shows the names.")
        self._write({known: value for known, value in self._hashes.items() if known != name})

    def name_of(self, token: str) -> str | None:
        """Return whose token this is, or None; takes as long for a wrong one as for a right one."""
        self._refresh()
        given = _hash(token)
        found = None
        for name, value in self._hashes.items():
            if hmac.compare_digest(value, given):
                found = name
        return found

    def session(self, token: str, now_s: float) -> str | None:
        """Return a session of who has this token, from ``now_s`` (seconds since 1970) on; None when nobody has."""
        name = self.name_of(token)
        if name is None:
            return None
        end = str(int(now_s) + SESSION_S)
        return f"{_text(name.encode())}.{end}.{_text(self._mac(name, end))}"

    def name_of_session(self, session: str, now_s: float) -> str | None:
        """Return whose session this is, or None when it is none, is over, or its token was removed."""
        self._refresh()
        try:
            name_text, end, mac = session.encode("ascii").split(b".")
            name = base64.urlsafe_b64decode(name_text + b"=" * (-len(name_text) % 4)).decode()
            over = int(end) <= now_s
        except ValueError:
            return None
        if name not in self._hashes or over:
            return None
        good = hmac.compare_digest(mac, _text(self._mac(name, end.decode())).encode())
        return name if good else None

    def _mac(self, name: str, end: str) -> bytes:
        key = hmac.digest(self._hashes[name].encode(), b"tailrace session", "sha256")
        return hmac.digest(key, f"{end} {name}".encode(), "sha256")

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < _FRESH_S:
            return
        self._looked = now
        try:
            changed_ns = self._path.stat().st_mtime_ns
            if changed_ns != self._changed_ns:
                self._hashes = msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
                self._changed_ns = changed_ns
        except FileNotFoundError:
            self._hashes, self._changed_ns = {}, -1
        except msgspec.DecodeError as error:
            raise Damaged(f"{self._path} is damaged: {error}", cure="Remove the file and make new tokens.") from error

    def _write(self, hashes: dict[str, str]) -> None:
        new = self._path.with_suffix(".new")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(msgspec.json.encode(hashes))
                file.flush()
                os.fsync(file.fileno())
            new.replace(self._path)
        except OSError as error:
            raise DataError(f"cannot write {self._path}: {error.strerror}", cure="Check --data.") from error
        self._looked = float("-inf")


def _text(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
