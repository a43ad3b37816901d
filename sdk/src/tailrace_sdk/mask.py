"""Secrets are masked by the name of their key, in records, in what is nested in them, and in what functions return."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from tailrace_sdk.limits import DEPTH_MAX, KEYS_MAX

MASKED = "***"
_ENDS = (
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "accesskey",
    "privatekey",
    "secretkey",
    "authorization",
    "cookie",
    "credential",
    "credentials",
)
"""How the names of secrets end, without punctuation: `api_key` and `X-Api-Key` do, `token_count` does not."""


@lru_cache(KEYS_MAX)
def is_secret(key: Any) -> bool:
    """Return whether a key names a secret."""
    return isinstance(key, str) and "".join(filter(str.isalnum, key)).lower().endswith(_ENDS)


def masked(value: Any, depth: int = 0) -> Any:
    """Return the value with every secret in it masked; the value itself when there is none."""
    if depth > DEPTH_MAX:
        return value
    if isinstance(value, dict):
        changed = {
            key: MASKED if is_secret(key) and inner is not None else masked(inner, depth + 1)
            for key, inner in value.items()
        }
        return changed if any(changed[key] is not value[key] for key in changed) else value
    if isinstance(value, (list, tuple)):
        items = [masked(item, depth + 1) for item in value]
        return items if any(new is not old for new, old in zip(items, value)) else value
    return value
