r"""The message: one record as it lies on a Kafka topic. ``docs/formats/kafka.md`` says the same for other programs.

Value. One JSON object, UTF-8, no spaces, with the names of the Elastic Common Schema, so that any consumer reads it:

    {"@timestamp":"2026-11-20T08:00:00.123456789Z","log.level":"error","service.name":..,"host.name":..,
     "log.file.path":..,"container.name":..,"kubernetes.pod.name":..,"kubernetes.namespace":..,"log.source":..,
     "event.created":"<observed>","log.offset":N,"trace.id":..,"labels":{other labels},"message":..,"fields":{..}}

What a record does not have is left out. The keys come in this order, and both times have nine digits: that is what
makes them cheap to read. Between the two times stand few different texts (who is speaking, at which level), so each is
understood once.

Header ``tailrace``, ASCII but for the source: ``1``, and when the record has an origin
``1 FIRST NEXT ROW ROWS SOURCE``: it is row ROW of the ROWS records that were read from [FIRST, NEXT) of SOURCE. (FIRST,
ROW) of a source rise within a partition; what is not beyond the highest so far is a repeat. A record that an agent
ships comes from its log: ``1 OFFSET OFFSET+1 0 1 agent:EPOCH.BRANCH``. What else an origin has (a note, or no rows at
all) stands in a header ``tailrace-origins``, as the JSON of the origins that end with the record.

Timestamp. When the record was observed, in milliseconds: brokers refuse what is far ahead of their clock, and delete
what is old, so the time that a line says of itself would not do.

What is not exactly this is *foreign*: another program's JSON or text. ``decode`` hands it to ``understand``, which the
program brings along, because nothing past the bus knows the pipeline. Nothing that lies on a topic makes ``decode``
raise: every length, text and number is looked at, and what does not hold makes the message foreign.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, AnyStr

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Meta

from tailrace.bus.places import Headers, LogHeaders, Made, Places, as_text, origin_headers
from tailrace.limits import BLOCK_STREAM_BYTES_MAX, JSON_DEPTH_MAX, LABELS_MAX, SECOND_NS
from tailrace.record import LEVEL_NAMES, Batch, Stream

LABEL_NAMES = {
    "service": "service.name",
    "host": "host.name",
    "path": "log.file.path",
    "container": "container.name",
    "pod": "kubernetes.pod.name",
    "namespace": "kubernetes.namespace",
    "source": "log.source",
}
"""What a label of a stream is called in a message; the others stand in ``labels``."""

Understand = Callable[[pa.BinaryArray, Stream, np.ndarray], Batch]
"""(values, stream unless they say another, nanoseconds unless they say a time) -> a batch of as many rows, in order."""

_TIME = b'{"@timestamp":"'
_OBSERVED = b',"event.created":"'
_STAMP_BYTES = 30
_TIME_END = len(_TIME) + _STAMP_BYTES + 1
_OBSERVED_END = len(_OBSERVED) + _STAMP_BYTES + 1
_OFFSET_MAX = (1 << 63) - 1
_MS_NS = 1_000_000


_NONE = msgspec.Raw()


class _Rest(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    """What stands behind the second time."""

    message: str
    position: Annotated[int, Meta(ge=-_OFFSET_MAX, le=_OFFSET_MAX)] | None = msgspec.field(
        name="log.offset", default=None
    )
    trace: str | None = msgspec.field(name="trace.id", default=None)
    labels: msgspec.Raw = _NONE
    fields: msgspec.Raw = _NONE


@dataclass(frozen=True, slots=True)
class Encoded:
    """Messages of a batch, row by row: values, headers, timestamps in milliseconds."""

    values: list[bytes]
    headers: Sequence[Made]
    times_ms: list[int]


@dataclass(frozen=True, slots=True)
class Decoded:
    """A batch of one partition, and the place that each row comes from.

    ``source`` (int32) is an index into ``sources``, -1 for a row without an origin; then ``first`` (int64) and ``row``
    (int64) mean nothing. ``own`` says which messages were Tailrace's; a foreign one has no origin.
    """

    batch: Batch
    own: np.ndarray
    sources: list[str]
    source: np.ndarray
    first: np.ndarray
    row: np.ndarray


# -- encoding ------------------------------------------------------------------------------------------------------


def encode(batch: Batch, *, source: str = "") -> Encoded:
    """Return the messages of a batch; with a ``source``, the offsets of the batch are the places of that."""
    headers = LogHeaders(batch, source) if source else origin_headers(batch)
    times = np.maximum(batch.numpy("observed") // _MS_NS, 1).tolist()
    return Encoded(_values(batch), headers, times)


def _values(batch: Batch) -> list[bytes]:
    streams = [_stream_parts(stream) for stream in batch.streams]
    levels = [b"" if name is None else b',"log.level":"%b"' % name.encode() for name in LEVEL_NAMES]
    speakers = [b'Z"%b%b,"event.created":"' % (level, known) for known, _ in streams for level in levels]
    labels = [b'%b,"message":"' % others for _, others in streams]
    codes = batch.stream_codes.astype(np.int64)
    pieces = [
        _TIME,
        _stamps(batch.numpy("time")),
        pa.array(speakers).take(pa.array(codes * len(levels) + batch.numpy("level"))),
        _stamps(batch.numpy("observed")),
        b'Z"',
        optional(b',"log.offset":', as_text(batch.array("position")), b""),
        optional(b',"trace.id":"', _escaped(batch.array("trace_id")), b'"'),
        pa.array(labels).take(pa.array(codes)),
        _escaped(batch.array("message")),
        b'"',
        optional(b',"fields":', as_text(batch.array("fields")), b""),
        b"}",
    ]
    return pc.binary_join_element_wise(*pieces, b"").to_pylist()


def optional(before: AnyStr, column: pa.Array, after: AnyStr) -> Any:
    """Return a column with something around each value, and nothing where there is none; one text if there is none."""
    nothing = before[:0]
    if column.null_count == len(column):
        return nothing
    return pc.fill_null(pc.binary_join_element_wise(before, column, after, nothing), nothing)


def _escaped(texts: pa.StringArray) -> pa.BinaryArray:
    """Return each text as it stands between the quotes of a JSON string; most have nothing to escape."""
    plain = texts.cast(pa.binary())
    data = _bytes_of(plain)
    if not ((data < ord(" ")) | (data == ord('"')) | (data == ord("\\"))).any():
        return plain
    # A Python loop over lines: those that have something to escape.
    special = pc.match_substring_regex(plain, r'[\x00-\x1f"\\]')
    escaped = [orjson.dumps(text)[1:-1] for text in texts.filter(special).to_pylist()]
    return pc.replace_with_mask(plain, special, pa.array(escaped, pa.binary()))


def _bytes_of(texts: pa.BinaryArray) -> np.ndarray:
    _, bounds, data = texts.buffers()
    if data is None or not len(texts):
        return np.zeros(0, np.uint8)
    at = np.frombuffer(bounds, np.int32)
    return np.frombuffer(data, np.uint8)[at[texts.offset] : at[texts.offset + len(texts)]]


def _stamps(times_ns: np.ndarray) -> pa.BinaryArray:
    """Return the texts of times without the ``Z``; Arrow writes them three times as fast as numpy, with a space."""
    texts = pa.array(times_ns.view("datetime64[ns]")).cast(pa.string()).cast(pa.binary())
    return pc.binary_replace_slice(texts, 10, 11, b"T")


def _stream_parts(stream: Stream) -> tuple[bytes, bytes]:
    """Return the labels that have a name of their own, and the others, as they stand in a message."""
    known = {name: stream.labels[label] for label, name in LABEL_NAMES.items() if label in stream.labels}
    others = {label: value for label, value in stream.labels.items() if label not in LABEL_NAMES}
    first = b"," + orjson.dumps(known)[1:-1] if known else b""
    return first, b',"labels":' + orjson.dumps(others) if others else b""


# -- decoding ------------------------------------------------------------------------------------------------------


def decode(
    values: Sequence[bytes | None],
    headers: Sequence[Headers],
    offsets: np.ndarray,
    times_ms: Sequence[int],
    *,
    epoch: int,
    topic: str,
    understand: Understand,
) -> Decoded:
    """Return the records of messages of one partition, in their order: a record for each, whatever it is.

    ``offsets`` (int64) rise and may have holes; ``epoch`` is that of the partition.
    """
    rows = len(values)
    places = Places(headers)
    own, columns = _own(values, places.ours)
    batch = columns
    if len(own) < rows:
        foreign = np.ones(rows, bool)
        foreign[own] = False
        others = np.flatnonzero(foreign)
        times = np.array([times_ms[row] for row in others.tolist()], np.int64).clip(0, _OFFSET_MAX // _MS_NS) * _MS_NS
        texts = pa.array([values[row] or b"" for row in others.tolist()], pa.binary())
        stream = Stream.of({"source": "kafka", "service": topic})
        batch = understand(texts, stream, times)
        if len(own):
            where = np.argsort(np.concatenate([own, others]), kind="stable")
            batch = Batch.concat([columns, batch]).take(where)
    is_own = np.zeros(rows, bool)
    is_own[own] = True
    source = np.where(is_own, places.source, -1).astype(np.int32)
    origins = places.origins(source, headers)
    placed = Batch(batch.columns, origins=origins, epoch=epoch, offsets=offsets)
    return Decoded(placed, is_own, places.sources, source, places.first, places.row)


@dataclass(frozen=True, slots=True)
class _Cut:
    """Messages that can be ours, cut where the two times stand; ``rows`` says which of all they are.

    ``codes`` are places in ``speakers``: what stands between the times, and the labels behind them.
    """

    rows: list[int]
    heads: list[bytes]
    seen: list[bytes]
    rests: list[_Rest]
    codes: list[int]
    speakers: list[tuple[bytes, bytes]]


def _cut(values: Sequence[bytes | None], rows: list[int]) -> _Cut:
    """Cut those of ``values`` that can be cut."""
    cut = _Cut([], [], [], [], [], [])
    kept, head, seen = cut.rows.append, cut.heads.append, cut.seen.append
    rests, code = cut.rests.append, cut.codes.append
    read, nothing = _READER.decode, _NONE
    known: dict[bytes | tuple[bytes, bytes], int] = {}
    # A Python loop over lines: Kafka's client gives one object per message. What few of them differ in is only looked
    # up here, and the times of all are read together.
    for row in rows:
        value = values[row] or b""
        at = value.find(_OBSERVED, _TIME_END)
        end = at + _OBSERVED_END
        if at < 0 or value[end : end + 1] != b",":
            continue
        try:
            rest = read(b"{" + value[end + 1 :])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        between = value[_TIME_END:at]
        labels = rest.labels
        key = between if labels is nothing else (between, bytes(labels))
        known_as = known.get(key)
        if known_as is None:
            known_as = known[key] = len(known)
        code(known_as)
        head(value[:_TIME_END])
        seen(value[at:end])
        rests(rest)
        kept(row)
    cut.speakers.extend((key, b"{}") if isinstance(key, bytes) else key for key in known)
    return cut


_READER = msgspec.json.Decoder(_Rest)


def _own(values: Sequence[bytes | None], ours: np.ndarray) -> tuple[np.ndarray, Batch]:
    """Return which messages are exactly ours, and the batch of those."""
    cut = _cut(values, np.flatnonzero(ours).tolist())
    rows, codes = np.array(cut.rows, np.int64), np.array(cut.codes, np.int64)
    time_ok, time = _times(cut.heads, _TIME)
    observed_ok, observed = _times(cut.seen, _OBSERVED)
    fields, fields_ok = _fields([one.fields for one in cut.rests])
    speakers = [_speaker(between, labels) for between, labels in cut.speakers]
    good = time_ok & observed_ok & fields_ok & np.array([one is not None for one in speakers], bool)[codes]
    known = [one or (0, Stream.of({})) for one in speakers]
    distinct = {stream.json: None for _, stream in known}
    place = {json: code for code, json in enumerate(distinct)}
    level = np.array([level for level, _ in known], np.uint8)
    stream = np.array([place[stream.json] for _, stream in known], np.int32)
    batch = Batch.of(
        time=time,
        observed=observed,
        level=level[codes],
        stream=pa.DictionaryArray.from_arrays(pa.array(stream[codes]), pa.array(list(distinct), pa.string())),
        message=pa.array([one.message for one in cut.rests], pa.string()),
        position=pa.array([one.position for one in cut.rests], pa.int64()),
        trace_id=pa.array([one.trace for one in cut.rests], pa.string()),
        fields=fields,
    )
    return (rows, batch) if good.all() else (rows[good], batch.filter(good))


def _times(stamped: list[bytes], before: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return (ok, nanoseconds) of texts ``before`` + 30 characters + a quote, all of one length."""
    size = len(before) + _STAMP_BYTES + 1
    texts = np.frombuffer(b"".join(stamped), np.uint8).reshape(-1, size)
    ok = (texts[:, : len(before)] == np.frombuffer(before, np.uint8)).all(axis=1) & (texts[:, -1] == ord('"'))
    stamps = texts[:, len(before) : -1].copy()
    shaped = np.where(_DIGITS, (stamps >= ord("0")) & (stamps <= ord("9")), stamps == _STAMP).all(axis=1)
    ok &= shaped
    if not ok.all():
        stamps[~ok] = _STAMP
    array = pa.FixedSizeBinaryArray.from_buffers(pa.binary(_STAMP_BYTES), len(stamps), [None, pa.py_buffer(stamps)])
    texts_of = array.cast(pa.binary()).cast(pa.string())
    try:
        time = texts_of.cast(pa.timestamp("ns", "UTC")).cast(pa.int64()).to_numpy(zero_copy_only=False)
    except pa.ArrowInvalid:  # a 31st of February, or a year that nanoseconds hardly reach
        read = [_time(text) for text in texts_of.to_pylist()]
        ok = ok & np.array([one is not None for one in read], bool)
        time = np.array([one or 0 for one in read], np.int64)
    return ok, time


_STAMP = np.frombuffer(b"1970-01-01T00:00:00.000000000Z", np.uint8)
_DIGITS = np.char.isdigit(_STAMP.view("S1"))


def _time(text: str) -> int | None:
    """Return the nanoseconds of one time; None when there is no such time, or nanoseconds do not reach it."""
    try:
        second = int(np.datetime64(text[:19], "s").astype(np.int64))
    except ValueError:
        return None
    ns = second * SECOND_NS + int(text[20:29])
    return ns if abs(ns) <= _OFFSET_MAX else None


def _speaker(text: bytes, others: bytes) -> tuple[int, Stream] | None:
    """Return the level and the stream that stand between the times and in ``labels``; None when they cannot be ours."""
    if len(text) + len(others) > BLOCK_STREAM_BYTES_MAX or text[:1] not in (b"", b","):
        return None
    try:
        said = msgspec.json.decode(b"{" + text[1:] + b"}", type=dict[str, str])
        labels = msgspec.json.decode(others, type=dict[str, str])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    level = said.pop("log.level", None)
    if level not in LEVEL_NAMES or not said.keys() <= _NAME_LABELS.keys():
        return None
    if not LABEL_NAMES.keys().isdisjoint(labels) or "" in labels or len(labels) > 2 * LABELS_MAX:
        return None
    stream = Stream.of({**labels, **{_NAME_LABELS[name]: value for name, value in said.items()}})
    return LEVEL_NAMES.index(level), stream


_NAME_LABELS = {name: label for label, name in LABEL_NAMES.items()}


def _fields(given: list[msgspec.Raw]) -> tuple[pa.StringArray, np.ndarray]:
    """Return the fields as the text that orjson writes, and which of them are that of an object.

    They are JSON already, which is all that the parser has looked at. A text that another program may have written (an
    escape that orjson does not make, space where there should be none) is written anew, because keys are looked for in
    it as text; so is one that may be nested too deeply to be written at all.
    """
    texts = pa.array([None if one is _NONE else bytes(one) for one in given], pa.binary())
    good = np.ones(len(texts), bool)
    try:
        known, rows = texts.cast(pa.string()), _doubtful(texts)
        if not rows:
            return known, good
    except pa.ArrowInvalid:  # one is not UTF-8: all are looked at
        rows = np.flatnonzero(texts.is_valid().to_numpy(zero_copy_only=False)).tolist()
    written: list[bytes | None] = texts.to_pylist()
    for row in rows:
        written[row] = _written(written[row] or b"")
        good[row] = written[row] is not None
    return pa.array(written, pa.binary()).cast(pa.string()), good


def _doubtful(texts: pa.BinaryArray) -> list[int]:
    """Return the rows whose text may not be that of orjson; a look at all bytes at once spares most the closer one."""
    data = _bytes_of(texts)
    plain = not ((data < ord(" ")) | (data == ord("\\"))).any()
    plain = plain and not ((data[:-1] == ord(" ")) & (data[1:] == ord(":"))).any()
    long = (pc.max(pc.binary_length(texts)).as_py() or 0) > 2 * JSON_DEPTH_MAX
    if plain and not long and pc.all(pc.starts_with(texts, "{"), min_count=0).as_py():
        return []
    doubtful = pc.match_substring_regex(texts, r'^[^{]|\\[u/]|[\x00-\x1f]|" +:')
    if long:
        opened = pc.add(pc.count_substring(texts, "["), pc.count_substring(texts, "{"))
        doubtful = pc.or_(doubtful, pc.greater(opened, JSON_DEPTH_MAX))
    return np.flatnonzero(pc.fill_null(doubtful, False).to_numpy(zero_copy_only=False)).tolist()


def _written(text: bytes) -> bytes | None:
    """Return an object as orjson writes it; None when it is none, or cannot be written."""
    try:
        parsed = orjson.loads(text)
        return orjson.dumps(parsed) if isinstance(parsed, dict) else None
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return None
