"""Tokens: a secret that lets a person or a program in, kept as its SHA-256.

Bytes. ``tokens.json`` in the data directory, mode 0600: ``{"name": "hex of sha-256"}``. It is replaced as a whole (a
new file, fsync, rename), so a crash leaves the old or the new one. A token is 256 random bits, so a plain hash is as
good as a slow one: there is nothing to guess.

A running server looks at the file's time of change once per second, so a token that is removed stops working then.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

import msgspec

from tailrace.errors import BadInput, Damaged, DataError

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


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()
