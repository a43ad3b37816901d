"""Documents: a batch as JSON for the cluster, its names there, and a page of hits as batches again.

``documents`` writes, with the names of docs/formats/kafka.md, what the message says, and beside it

    "tailrace":{"time":…,"observed":…,"epoch":"00000000000000ab","offset":…,"stream":"{…}","words":"…","terms":"…"}

Times are nanoseconds, the epoch has 16 hex digits and so sorts as text, the stream is its canonical JSON. The cluster
keeps all but ``words`` and ``terms``. It writes the JSON anew when it takes them out, so ``1e300`` comes back as
``1.0E300``: what ``batches`` reads is parsed and written by orjson again, which gives the text that was sent.

All of it is done for the batch at once, as Arrow columns; a line costs a Python step only where it is handed over.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from tailrace.bus.message import LABEL_NAMES, optional
from tailrace.limits import DAY_NS, ELASTIC_FUTURE_NS
from tailrace.query.tokens import text_bytes
from tailrace.record import LEVEL_NAMES, Batch, Level, Stream
from tailrace.store.elastic.terms import terms, words

_CODES = {name: Level(code) for code, name in enumerate(LEVEL_NAMES) if name}
_LEVELS = pa.array(["" if name is None else f',"log.level":"{name}"' for name in LEVEL_NAMES])
_QUOTE, _BACKSLASH = 0x22, 0x5C


def documents(batch: Batch, epochs: np.ndarray | None = None) -> pa.BinaryArray:
    """Return the document of each row, encoded. One log has taken the batch, or ``epochs`` (uint64) say which did."""
    heads = pa.array([_stream_parts(stream.json)[0] for stream in batch.streams], pa.string())
    pieces = [
        _stamps('{"@timestamp":"', batch.array("time")),
        _stamps('","event.created":"', batch.array("observed")),
        '"',
        _LEVELS.take(batch.array("level")),
        heads.take(batch.array("stream").indices),
        ',"message":',
        _json(batch.array("message")),
        optional(',"log.offset":', batch.array("position").cast(pa.string()), ""),
        optional(',"trace.id":', _json(batch.array("trace_id")), ""),
        optional(',"fields":', batch.array("fields"), ""),
        *_search_pieces(batch, epochs),
    ]
    return pc.binary_join_element_wise(*pieces, "").cast(pa.binary())


def search_parts(batch: Batch, epochs: np.ndarray | None = None) -> pa.BinaryArray:
    """Return what each document has besides its message: it ends one that begins as the message without its brace.

    ``epochs`` are as in ``documents``.
    """
    return pc.binary_join_element_wise(*_search_pieces(batch, epochs), "").cast(pa.binary())


def _search_pieces(batch: Batch, epochs: np.ndarray | None) -> list[Any]:
    if batch.offsets is None:
        raise ValueError("only records that a log has taken have documents")
    streams = pa.array([_stream_parts(stream.json)[1] for stream in batch.streams], pa.string())
    return [
        ',"tailrace":{"time":',
        batch.array("time").cast(pa.string()),
        ',"observed":',
        batch.array("observed").cast(pa.string()),
        ',"epoch":"',
        _epochs(batch, epochs),
        '","offset":',
        _texts(batch.offsets),
        streams.take(batch.array("stream").indices),
        ',"words":"',
        words(batch.array("message")),
        '","terms":"',
        terms(batch),
        '"}}',
    ]


@lru_cache(maxsize=65_536)
def _stream_parts(json: str) -> tuple[str, str]:
    """Return what a document says of its stream: the labels by their names, and the stream as search knows it."""
    labels = Stream.parse(json).labels
    named = {LABEL_NAMES[label]: value for label, value in labels.items() if label in LABEL_NAMES}
    others = {label: value for label, value in labels.items() if label not in LABEL_NAMES}
    head = orjson.dumps({**named, "labels": others} if others else named).decode()[1:-1]
    return "," + head if head else "", ',"stream":' + orjson.dumps(json).decode()


def _stamps(before: str, times: pa.Array) -> pa.StringArray:
    """Return nanoseconds as RFC 3339 in UTC, all nine digits, behind a text."""
    texts = times.cast(pa.timestamp("ns")).cast(pa.string())
    return pc.binary_join_element_wise(before, pc.binary_replace_slice(texts, 10, 11, "T"), "Z", "")


def _json(texts: pa.StringArray) -> pa.StringArray:
    """Return texts as JSON strings; nulls stay null."""
    data = text_bytes(texts)
    if (data < 0x20).any():
        texts = pc.replace_substring(texts, "\\", "\\\\")
        for char, escape in (('"', '\\"'), ("\n", "\\n"), ("\t", "\\t"), ("\r", "\\r")):
            texts = pc.replace_substring(texts, char, escape)
        if (text_bytes(texts) < 0x20).any():  # rare ones
            for code in range(0x20):
                texts = pc.replace_substring(texts, chr(code), f"\\u{code:04x}")
    elif ((data == _QUOTE) | (data == _BACKSLASH)).any():
        texts = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    return pc.binary_join_element_wise('"', texts, '"', "")


# -- names ----------------------------------------------------------------------------------------------------------


def actions(prefix: str, days: np.ndarray, ids: pa.StringArray) -> pa.BinaryArray:
    """Return, for each row, the line of a bulk request that has its document created, in the index of its day."""
    numbers, codes = np.unique(days, return_inverse=True)
    heads = [f'{{"create":{{"_index":"{index_name(prefix, day)}","_id":"' for day in numbers.tolist()]
    head = pa.array(heads, pa.string()).take(pa.array(codes))
    return pc.binary_join_element_wise(head, ids, '"}}\n', "").cast(pa.binary())


def ids(
    batch: Batch,
    sources: Sequence[str],
    source: np.ndarray,
    first: np.ndarray,
    row: np.ndarray,
    *,
    epochs: np.ndarray | None = None,
) -> pa.StringArray:
    """Return the ``_id`` of each row: of the place it was read from, or of its place in the log if there is none.

    ``source`` indexes ``sources`` (-1: none), ``first`` and ``row`` are integers; all have an item per row, and so have
    ``epochs``, which are as in ``documents``. An id is ``SOURCE-FIRST-ROW``, with the SHA-256 of the name for SOURCE
    (16 characters of base64url), or ``EPOCH-OFFSET``. What comes together is named alike: so the cluster packs the
    names, and finds one, better than if they looked random.
    """
    placed = pc.binary_join_element_wise(_epochs(batch, epochs), _texts(batch.offsets), "-")
    if (source < 0).all():
        return placed
    names = [base64.urlsafe_b64encode(hashlib.sha256(name.encode()).digest()[:12]).decode() for name in sources]
    name = pa.array(names, pa.string()).take(pa.array(np.maximum(source, 0)))
    read = pc.binary_join_element_wise(name, _texts(first), _texts(row), "-")
    return pc.if_else(pa.array(source >= 0), read, placed)


def _epochs(batch: Batch, epochs: np.ndarray | None) -> pa.StringArray:
    """Return the epoch of each row, as 16 hex digits."""
    logs, codes = np.unique(
        np.full(len(batch), batch.epoch, np.uint64) if epochs is None else epochs, return_inverse=True
    )
    return pa.array([f"{one:016x}" for one in logs.tolist()], pa.string()).take(pa.array(codes))


def _texts(numbers: np.ndarray | None) -> pa.StringArray:
    return pa.array(numbers).cast(pa.string())


def days(batch: Batch, retain_ns: int | None) -> np.ndarray:
    """Return the index that each row belongs to, as an int64 that ``index_name`` knows: the day it happened.

    Clocks that are wrong, and what was old when it was seen, would make indices of days that nobody looks for, or that
    go at once: more than ELASTIC_FUTURE_NS ahead of the moment it was observed, or further behind than the retention
    (None: for ever), a record belongs to the undated of the day it was observed. It does not depend on when this is
    asked, because a line that comes again has to meet itself.
    """
    times, observed = batch.numpy("time"), batch.numpy("observed")
    late = np.zeros(len(batch), bool) if retain_ns is None else times < observed - retain_ns
    undated = late | (times > observed + ELASTIC_FUTURE_NS)
    return np.where(undated, observed // DAY_NS - _UNDATED, times // DAY_NS)


_UNDATED = 1_000_000
"""Further from 1970 than any day in nanoseconds."""


def index_name(prefix: str, day: int) -> str:
    """Return the index of a day of ``days``."""
    if day < -_UNDATED // 2:
        prefix, day = f"{prefix}-undated", day + _UNDATED
    return f"{prefix}-{np.datetime64(int(day), 'D').item():%Y.%m.%d}"


# -- back -----------------------------------------------------------------------------------------------------------


def batch_of(sources: Sequence[Any]) -> tuple[Batch, np.ndarray]:
    """Return the records of parsed ``_source`` objects as one batch without a place, and their epochs (uint64)."""
    inner = [source["tailrace"] for source in sources]
    streams = pa.array([one["stream"] for one in inner], pa.string()).dictionary_encode()
    batch = Batch.of(
        time=[one["time"] for one in inner],
        observed=[one["observed"] for one in inner],
        level=[_CODES.get(source.get("log.level"), Level.ABSENT) for source in sources],
        stream=streams,
        message=[source["message"] for source in sources],
        position=[source.get("log.offset") for source in sources],
        trace_id=[source.get("trace.id") for source in sources],
        fields=[None if (one := source.get("fields")) is None else orjson.dumps(one).decode() for source in sources],
    )
    epochs = np.array([int(one["epoch"], 16) for one in inner], np.uint64)
    offsets = np.array([one["offset"] for one in inner], np.int64)
    return Batch(batch.columns, offsets=offsets), epochs


def by_log(batch: Batch, epochs: np.ndarray, *, in_order: bool) -> Iterator[Batch]:
    """Yield the rows as batches of one log each: neighbours together, or (in any order) all of a log."""
    assert batch.offsets is not None
    if not in_order:
        order = np.argsort(epochs, kind="stable")
        batch, epochs = batch.take(order), epochs[order]
    assert batch.offsets is not None
    edges = [0, *(np.flatnonzero(np.diff(epochs)) + 1).tolist(), len(batch)]
    for start, stop in pairwise(edges):
        piece = batch.columns.slice(start, stop - start)
        if stop > start:
            yield Batch(piece, epoch=int(epochs[start]), offsets=batch.offsets[start:stop])
