"""What a cluster answers to a bulk request: which documents are settled, which have to come again, which it refuses.

Elasticsearch and OpenSearch speak alike here. They are asked (``ASKED``) for nothing but the status and the error of
each document, in the order of the request; a request that went well as a whole is seen at its first bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import msgspec

from tailrace.limits import DEAD_WHY_BYTES_MAX

ASKED = {"filter_path": "errors,items.*.status,items.*.error"}
"""What a request asks to be told."""

_WELL = b'{"errors":false'

_NOT_ITS_FAULT = frozenset(
    {
        "cluster_block_exception",
        "index_closed_exception",
        "index_not_found_exception",
        "invalid_index_name_exception",
        "resource_already_exists_exception",
        "security_exception",
        "validation_exception",  # too many shards in the cluster
    }
)
"""Errors with a status of 4xx that say nothing about the document."""


class _Error(msgspec.Struct):
    type: str = ""
    reason: str | None = None
    caused_by: Any = None


class _Item(msgspec.Struct):
    status: int
    error: _Error | None = None


class _Body(msgspec.Struct):
    errors: bool
    items: list[dict[str, _Item]] = []


@dataclass(slots=True)
class Answer:
    """What became of the documents of one request; ``again`` and ``poison`` hold their places in it.

    ``why`` says what those in ``again`` wait for; ``rejected`` of them were turned away because the cluster is busy.
    """

    written: int = 0
    there: int = 0
    again: list[int] = field(default_factory=list)
    rejected: int = 0
    why: str = ""
    poison: list[tuple[int, str]] = field(default_factory=list)

    @property
    def settled(self) -> bool:
        """Whether there was progress."""
        return bool(self.written or self.there or self.poison)


def read(body: bytes, documents: int) -> Answer:
    """Read the body of a 200. Raises ValueError for what is no answer to a request of so many documents."""
    if body.startswith(_WELL):
        return Answer(written=documents)
    try:
        items = _BODY.decode(body).items
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"what answers is no cluster: {error}") from error
    if len(items) != documents:
        raise ValueError(f"it answered for {len(items)} documents of {documents}")
    answer = Answer()
    for place, item in enumerate(items):
        one = next(iter(item.values()), None)
        if one is None:
            raise ValueError("it answered for a document without saying what became of it")
        if one.status < 300:
            answer.written += 1
        elif one.status == 409:
            answer.there += 1
        elif _is_poison(one.status, one.error):
            answer.poison.append((place, _said(one.error)))
        else:
            answer.again.append(place)
            answer.rejected += one.status == 429
            answer.why = answer.why or f"{one.status}: {_said(one.error)}"
    return answer


def _is_poison(status: int, error: _Error | None) -> bool:
    if status not in (400, 413) or error is None:
        return False
    # A default pipeline that is missing is one more fault of the index; it has no type of its own.
    return error.type not in _NOT_ITS_FAULT and not (error.reason or "").startswith("pipeline with id")


def _said(error: _Error | None) -> str:
    """Return an error for people: its type, its reason, and the reason behind it."""
    if error is None:
        return "no reason is given"
    text = f"{error.type}: {error.reason or ''}"
    behind = error.caused_by.get("reason") if isinstance(error.caused_by, dict) else None
    if isinstance(behind, str) and behind not in text:
        text += f" ({behind})"
    return text[:DEAD_WHY_BYTES_MAX]


_BODY = msgspec.json.Decoder(_Body)
