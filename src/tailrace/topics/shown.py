r"""What a message of any program looks like, and which messages a query means. Pure.

A message becomes a record that the query language understands:

    message  the value as text, decoded (below)
    time     the message's timestamp
    service  the topic; ``source`` is kafka
    fields   partition, offset, size (bytes of the value), decoded (how), key, headers (an object), value (the JSON)

So ``refund`` looks into values, ``key:42`` and ``headers.trace:4bf9`` beside them, ``value.order.id:>7`` inside, and
``*:refund`` everywhere.

Decoders, which keep what a person cannot read away from the query and from the screen:

    json   JSON; a text inside that is JSON again is taken apart too, so ``\u8ba2\u5355`` is found as what it says
    url    percent-encoding, then JSON if it is
    text   UTF-8; other bytes are ``\xHH``
    hex    bytes
    auto   the first of these that fits

What a decoder does not fit is shown as text, ``decoded`` says ``raw``: nothing on a topic is left out because it is
strange.

Decoding costs microseconds, reading a fraction of one. So a query is first asked what it needs (plan.py), and messages
that cannot mean it are not decoded: those that have no escapes, and whose bytes do not hold the words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote_plus

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.limits import JSON_DEPTH_MAX, TOPIC_SHOWN_BYTES_MAX
from tailrace.query import Query
from tailrace.query.filters import Filter
from tailrace.query.filters.field import Field
from tailrace.query.filters.logic import And, Not, Or
from tailrace.query.plan import All, Need, Never, Prefix, Some, Token
from tailrace.record import Batch, Stream

Decoder = Literal["auto", "json", "url", "text", "hex"]
Header = tuple[str, bytes | None]

_PERCENT = re.compile(r"%[0-9A-Fa-f]{2}")
_URL = re.compile(r"[A-Za-z0-9\-._~!$&'()*+,;=:@/?#\[\]%]*")
_READABLE = 0.9  # of bytes that are not UTF-8, so much has to be printable ASCII to be shown as text
_MS_NS = 1_000_000


@dataclass(frozen=True, slots=True)
class Messages:
    """Neighbouring messages of one partition, as Kafka's client gives them: lists of one length."""

    topic: str
    partition: int
    epoch: int
    offsets: Sequence[int]
    times_ms: Sequence[int]
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]
    headers: Sequence[Sequence[Header] | None]

    def __len__(self) -> int:
        return len(self.offsets)


def matching(query: Query, messages: Messages, decoder: Decoder) -> Batch:
    """Return the records of the messages that a query's filter means; pipes are for the caller."""
    rows = candidates(query.filter, messages)
    batch = _records(messages, rows, decoder)
    return batch.filter(query.filter.matches(batch)) if len(batch) else batch


# -- which may match -----------------------------------------------------------------------------------------------


def candidates(wanted: Filter, messages: Messages) -> np.ndarray:
    """Return the rows that a filter may mean: never too few."""
    found = _may(wanted.need(), _Haystack(messages, beside=_looks_beside(wanted)))
    return np.arange(len(messages)) if found is True else np.flatnonzero(found)


def _looks_beside(wanted: Filter) -> bool:
    """Tell whether a filter looks at more than values."""
    if isinstance(wanted, And | Or):
        return any(map(_looks_beside, wanted.filters))
    if isinstance(wanted, Not):
        return _looks_beside(wanted.inner)
    return not isinstance(wanted, Field) or wanted.name != "message"


class _Haystack:
    """The values, and what stands ``beside`` them, as text: made when it is first looked into."""

    def __init__(self, messages: Messages, *, beside: bool) -> None:
        self._messages, self._beside = messages, beside
        self._texts: pa.StringArray | None = None
        self._unsure = np.zeros(len(messages), bool)

    @property
    def texts(self) -> pa.StringArray:
        if self._texts is None:
            self._texts = self._made()
        return self._texts

    @property
    def unsure(self) -> np.ndarray:
        """Return which messages hold escapes, or bytes that are shown as escapes: they may mean anything."""
        _ = self.texts
        return self._unsure

    def _made(self) -> pa.StringArray:
        messages = self._messages
        values = pc.fill_null(pa.array(messages.values, pa.large_binary()), b"")
        if self._beside:
            # A Python loop over messages, when a query looks there: Kafka's client gives an object for each.
            beside = [_beside(key, headers) for key, headers in zip(messages.keys, messages.headers, strict=True)]
            space = pa.scalar(b" ", pa.large_binary())
            values = pc.binary_join_element_wise(values, pa.array(beside, pa.large_binary()), space)
        try:
            texts = values.cast(pa.large_string())
        except pa.ArrowInvalid:
            self._unsure = np.array([not _is_utf8(value) for value in values.to_pylist()])
            nothing = pa.scalar(b"", pa.large_binary())
            texts = pc.if_else(pa.array(self._unsure), nothing, values).cast(pa.large_string())
        # A backslash may stand for any character, a percent sign for any byte; a few records have either.
        escapes = pc.match_substring_regex(texts, r"\\[^nrt\"\\/]|%[0-9A-Fa-f]{2}|İ")
        self._unsure |= escapes.to_numpy(zero_copy_only=False)
        return texts

    def holds(self, text: str) -> np.ndarray:
        found = pc.match_substring(self.texts, text, ignore_case=True)
        return found.to_numpy(zero_copy_only=False) | self.unsure


def _beside(key: bytes | None, headers: Sequence[Header] | None) -> bytes:
    return b" ".join([key or b"", *(name.encode() + b" " + (value or b"") for name, value in headers or ())])


def _is_utf8(value: bytes | None) -> bool:
    try:
        (value or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


_KNOWN = frozenset({"partition", "offset", "size", "decoded", "key", "headers", "value", "kafka"})
"""Tokens that a record has whatever lies in its message."""


def _may(need: Need, haystack: _Haystack) -> np.ndarray | bool:
    if isinstance(need, Never):
        return False
    if isinstance(need, Token | Prefix):
        # Numbers are shown beside the message too, and so may be in no message.
        known = need.text.isdigit() or any(name.startswith(need.text) for name in _KNOWN)
        return True if known or _is_short(need.text) else haystack.holds(need.text)
    if not isinstance(need, All | Some):
        return True
    inner = [_may(one, haystack) for one in need.needs]
    if isinstance(need, All):
        masks = [mask for mask in inner if mask is not True]
        return False if any(mask is False for mask in masks) else _joined(np.logical_and, masks, empty=True)
    masks = [mask for mask in inner if mask is not False]
    return True if any(mask is True for mask in masks) else _joined(np.logical_or, masks, empty=False)


def _joined(join: np.ufunc, masks: list[Any], *, empty: bool) -> np.ndarray | bool:
    return join.reduce(masks) if masks else empty


def _is_short(text: str) -> bool:
    """Tell whether a token could be a part of how bytes are shown: as hex, or behind a backslash."""
    return all(letter in "0123456789abcdefx" for letter in text)


# -- what it looks like --------------------------------------------------------------------------------------------


def _records(messages: Messages, rows: np.ndarray, decoder: Decoder) -> Batch:
    texts: list[str] = []
    fields: list[str] = []
    # A Python loop over messages: of those that may match, each has to be decoded by itself.
    for row in rows.tolist():
        value = messages.values[row]
        text, parsed, how = decode(value, decoder)
        beside: dict[str, Any] = {
            "partition": messages.partition,
            "offset": messages.offsets[row],
            "size": len(value or b""),
            "decoded": how,
        }
        key, headers = messages.keys[row], messages.headers[row]
        if key is not None:
            beside["key"] = _plain(key)
        if headers:
            beside["headers"] = {name: None if one is None else _plain(one) for name, one in headers}
        if parsed is not None:
            beside["value"] = parsed
        texts.append(text)
        fields.append(orjson.dumps(beside).decode())
    times = np.array([messages.times_ms[row] for row in rows.tolist()], np.int64) * _MS_NS
    batch = Batch.of(
        time=times,
        observed=times,
        level=np.zeros(len(rows), np.uint8),
        stream=Stream.of({"service": messages.topic, "source": "kafka"}),
        message=pa.array(texts, pa.string()),
        fields=pa.array(fields, pa.string()),
    )
    offsets = np.array([messages.offsets[row] for row in rows.tolist()], np.int64)
    return Batch(batch.columns, epoch=messages.epoch, offsets=offsets)


def decode(value: bytes | None, decoder: Decoder) -> tuple[str, Any, str]:
    """Return the text of a value, what was JSON in it (an object or a list) or None, and which decoder fitted.

    A value longer than TOPIC_SHOWN_BYTES_MAX is not decoded, and cut. A deleted one (None) is ``null``.
    """
    if value is None:
        return "", None, "null"
    if len(value) > TOPIC_SHOWN_BYTES_MAX:
        return _plain(value[:TOPIC_SHOWN_BYTES_MAX]), None, "cut"
    if decoder == "hex":
        return value.hex(" "), None, "hex"
    try:
        return _decoded(value.decode(), decoder)
    except UnicodeDecodeError:
        if decoder == "auto" and not _is_readable(value):
            return value.hex(" "), None, "hex"
        return _plain(value), None, "text" if decoder == "text" else "raw"


def _decoded(text: str, decoder: Decoder) -> tuple[str, Any, str]:
    known = _json(text) if decoder in ("auto", "json") else None
    if known is not None:
        return known
    if decoder == "url" or (decoder == "auto" and _PERCENT.search(text) and _URL.fullmatch(text)):
        plain = unquote_plus(text, errors="replace")
        text_of, parsed, _ = _json(plain) or (plain, None, "")
        return text_of, parsed, "url"
    return text, None, "raw" if decoder == "json" else "text"


def _json(text: str) -> tuple[str, Any, str] | None:
    """Return what ``decode`` does, for JSON that is an object or a list, however often it was written as text."""
    parsed: Any = text
    for _ in range(JSON_DEPTH_MAX):
        if not parsed.lstrip().startswith(("{", "[", '"')):
            return None
        try:
            parsed = orjson.loads(parsed)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(parsed, str):
            break
    if not isinstance(parsed, dict | list):
        return None
    try:
        parsed = _apart(parsed, JSON_DEPTH_MAX)
        return orjson.dumps(parsed).decode(), parsed, "json"
    except (RecursionError, TypeError):  # deeper than anybody shows it
        return None


def _apart(value: Any, depth: int) -> Any:
    """Return a parsed value in which texts that are objects or lists in JSON are these."""
    if not depth:
        raise RecursionError
    if isinstance(value, dict):
        return {name: _apart(inner, depth - 1) for name, inner in value.items()}
    if isinstance(value, list):
        return [_apart(inner, depth - 1) for inner in value]
    if isinstance(value, str) and value[:1] in ("{", "[") and value[-1:] in ("}", "]"):
        try:
            return _apart(orjson.loads(value), depth - 1)
        except orjson.JSONDecodeError:
            return value
    return value


def _plain(value: bytes) -> str:
    return value.decode(errors="backslashreplace")


def _is_readable(value: bytes) -> bool:
    data = np.frombuffer(value, np.uint8)
    printable = (data >= 32) & (data < 127) | (data == 9) | (data == 10) | (data == 13)
    return bool(printable.mean() >= _READABLE)
