"""What another machine may have us collect: the value of one key, read and checked. Pure but for the links it resolves.

A value is JSON: ``{"entries": [{"path": ...}, ...]}``, each entry with the keys that ``[[collect.entries]]`` has in the
file; or only the list, as in ``[{"path": "/var/log/app.log", "topic": "app"}]``, which many agents read. It is taken as
a whole or not at all.

Whoever can write the key decides what is read with our rights, so it can do less than who writes our file:
  roots     its paths are absolute, without ``..``, and what stands before the first wildcard lies, links resolved,
            below a root of ``collect.allow``. Without roots there is nothing that it may have read. Files that are
            found later are held to the same roots one by one (``Fence``), and again once they are open.
  masking   what ``collect.redact`` masks is masked; an entry can add to it
  bounds    REMOTE_BYTES_MAX, REMOTE_ENTRIES_MAX
"""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping, Sequence

import msgspec

from tailrace.collect import entries
from tailrace.collect.entries import Rule, Wish
from tailrace.errors import ConfigError
from tailrace.limits import REMOTE_BYTES_MAX, REMOTE_ENTRIES_MAX

_CURE = 'It looks like {"entries": [{"path": "/var/log/app/*.log"}]}.'


def wishes_of(value: bytes) -> list[Wish]:
    """Return the entries of a value. Raises ConfigError, which names the place."""
    if len(value) > REMOTE_BYTES_MAX:
        raise ConfigError(f"it has {len(value)} bytes", cure=f"At most {REMOTE_BYTES_MAX}: write globs.")
    try:
        said = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"it is not JSON: {error}", cure=_CURE) from error
    if isinstance(said, dict):
        for key in said:
            if key != "entries":
                raise ConfigError(f"there is no key {key[:80]!r}", cure=_CURE)
        said = said.get("entries")
    if not isinstance(said, list):
        raise ConfigError("it holds no list of entries", cure=_CURE)
    if len(said) > REMOTE_ENTRIES_MAX:
        raise ConfigError(f"it has {len(said)} entries", cure=f"At most {REMOTE_ENTRIES_MAX}: write globs.")
    for number, one in enumerate(said):
        entries.known(one, Wish, f"entries[{number}]")
    try:
        return msgspec.convert(said, list[Wish])
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        raise ConfigError(
            f"entries{where.rstrip('`')}: {what}", cure="docs/reference/configuration.md has every key."
        ) from error


def check(
    wishes: Sequence[Wish], rules: Mapping[str, Rule], redact: Sequence[str], allow: Sequence[str], *, here: bool
) -> None:
    """Raise ConfigError for what makes no sense, or may not be.

    ``here``: these are the files of this machine, so that links can be resolved; else paths are held to ``allow`` as
    they are written.
    """
    try:
        entries.check(wishes, rules, redact)
    except ConfigError as error:
        # In one line, because it stands in lists: a query is repeated with a mark under the mistake.
        message = re.sub(r"\n\s*\^?\s*", ": ", error.message.removeprefix("collect."))
        raise ConfigError(message, cure=error.cure) from error
    if wishes and not allow:
        raise ConfigError(
            "the agent names no roots below which others may have it read",
            cure="Name them in its configuration, as collect.allow.",
        )
    roots = [os.path.realpath(root) if here else os.path.normpath(root) for root in allow]
    for number, wish in enumerate(wishes):
        place = f"entries[{number}].path: {wish.path!r}"
        if not wish.path.startswith("/") or ".." in wish.path.split("/"):
            raise ConfigError(f"{place} is not absolute, or goes back", cure="Write the whole path, without '..'.")
        head = _before_wildcards(wish.path)
        real = os.path.realpath(head) if here else os.path.normpath(head)
        if not any(os.path.commonpath([real, root]) == root for root in roots):
            leads = f" (it leads to {real})" if real != os.path.normpath(head) else ""
            raise ConfigError(
                f"{place} is not below collect.allow{leads}", cure=f"The agent allows {', '.join(allow[:20])}."
            )


def _before_wildcards(path: str) -> str:
    """Return the part of a path that is one directory or file, and no pattern."""
    parts = path.split("/")
    plain = next((number for number, part in enumerate(parts) if glob.has_magic(part)), len(parts))
    return "/".join(parts[:plain]) or "/"


def masked(wish: Wish, redact: Sequence[str]) -> Wish:
    """Return the entry with all masked that is to be masked here."""
    if wish.redact is None:
        return wish
    return msgspec.structs.replace(wish, redact=list(dict.fromkeys([*redact, *wish.redact])))
