"""Push: lines over HTTP. ``200`` comes when every line that was accepted is on disk, and can be searched.

    body -> decompress -> pieces of whole lines -> parse, mask (in a thread) -> bus -> wait for the disk -> answer

A push is worked off piece by piece, two pieces at a time on their way to the disk, so its memory does not grow with
the body. Each piece names its place: (``push:KEY``, line numbers). A retry with the same ``Idempotency-Key`` and the
same body therefore adds nothing that was taken before, wherever the first attempt broke off.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.api import JSON, NDJSON, TEXT, Call
from tailrace.bus import Bus
from tailrace.cursor import Position
from tailrace.errors import BadInput, Busy, TooLarge, Unsupported
from tailrace.limits import (
    BATCH_ROWS_MAX,
    INDEX_LAG_ROWS_MAX,
    INDEX_LAG_WAIT_S,
    LABEL_BYTES_MAX,
    LABELS_MAX,
    LINE_BYTES_MAX,
    PUSH_ARRAY_BYTES_MAX,
    PUSH_BYTES_MAX,
    PUSH_KEY_BYTES_MAX,
    PUSH_REJECTED_MAX,
    PUSHES_AT_ONCE_MAX,
)
from tailrace.lines import Lines
from tailrace.metrics import Metrics
from tailrace.pipeline import Pipeline, process_json
from tailrace.query.filters.field import ATTRIBUTES
from tailrace.record import Batch, Origin, Stream
from tailrace.sources.body import Body
from tailrace.sources.split import split

T = TypeVar("T")
_JSON_TYPES = frozenset({JSON, NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines", ""})
_APPENDS_AHEAD = 2
_LAG_LOOK_S = 0.05
_THREADS = 1  # parsing holds the interpreter's lock: a second thread would only take turns away from the indexer


class Rejected(Struct):
    """A line (counted from 1) that could not be taken, and why."""

    line: int
    error: str


class Pushed(Struct):
    """What became of a push; ``rejected`` describes the first broken lines, ``rejected_count`` counts all."""

    accepted: int
    rejected: list[Rejected]
    rejected_count: int
    cursor: str


PUSH = Call(
    "POST",
    "/api/v1/push",
    "Take lines; query parameters are labels of their stream (for JSON: where a record has none of its own)",
    gives={JSON: Pushed},
    body=(NDJSON, JSON, TEXT),
    any_parameters=True,
)
CALLS = [PUSH]


@dataclass(slots=True)
class _Progress:
    """How far one push has come."""

    stream: Stream
    key: str
    text: bool
    lines: int = 0
    accepted: int = 0
    rejected_count: int = 0
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    appends: deque[Future[Position]] = field(default_factory=deque[Future[Position]])
    cursor: Position | None = None


class Push:
    """Takes pushes for one bus. Belongs to one event loop; parses in threads of its own."""

    def __init__(self, bus: Bus, metrics: Metrics, lag: Callable[[], int], pipeline: Pipeline) -> None:
        """Push to a bus; ``lag`` tells how many records its reader is behind and works on.

        ``pipeline`` reads lines of text, and masks all; nobody else uses it.
        """
        self._bus = bus
        self._lag = lag
        self._metrics = metrics
        self._threads = ThreadPoolExecutor(_THREADS, "push")
        self._pipeline = pipeline
        self._pipeline_lock = threading.Lock()
        self._running = 0

    def close(self) -> None:
        """Give the threads back."""
        self._threads.shutdown()

    async def take(self, request: Request) -> Response:
        """Answer one push. Raises BadInput, Busy, DiskFull, OriginTaken."""
        if self._running >= PUSHES_AT_ONCE_MAX:
            raise Busy(f"{self._running} pushes are being taken", retry_s=1, cure="Send it again in a second.")
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media not in _JSON_TYPES and media != TEXT:
            raise Unsupported(f"Content-Type {media[:80]!r} is not known", cure=f"Use {NDJSON}, {JSON} or {TEXT}.")
        if int(request.headers.get("content-length") or 0) > PUSH_BYTES_MAX:
            raise TooLarge(f"a push has at most {PUSH_BYTES_MAX} bytes", cure="Send it in several pushes.")
        key = request.headers.get("idempotency-key") or secrets.token_hex(16)
        if len(key) > PUSH_KEY_BYTES_MAX:
            raise BadInput(f"an Idempotency-Key has at most {PUSH_KEY_BYTES_MAX} characters", cure="Use a UUID.")
        progress = _Progress(_stream(request), key, media == TEXT)
        self._running += 1
        try:
            await self._work_off(request, Body(request.headers.get("content-encoding", "")), progress)
            await self._wait(progress, 0)
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it; what was appended is found again by a retry
        except (BadInput, Busy) as error:
            await self._wait(progress, 0)
            if progress.accepted:
                error.message += f" ({progress.accepted} lines before it were taken)"
            raise
        finally:
            self._running -= 1
        return self._answer(progress)

    async def _work_off(self, request: Request, body: Body, progress: _Progress) -> None:
        array = False
        async for data in request.stream():
            more = body.feed(data) if body.plain else await self._in_thread(body.feed, data)
            while more:
                if not array:
                    await self._pieces(body, progress, ended=False)
                more = await self._in_thread(body.feed, b"")
            array = array or (not progress.text and body.first() == b"[" and not progress.lines)
            if array and body.bytes > PUSH_ARRAY_BYTES_MAX:
                raise TooLarge(f"an array has at most {PUSH_ARRAY_BYTES_MAX} bytes", cure=f"Send {NDJSON} instead.")
            if not array:
                await self._pieces(body, progress, ended=False)
        body.end()
        self._metrics.pushed_bytes.inc(body.bytes)
        if array:
            await self._piece(await self._in_thread(_lines_of_array, body.whole()), progress)
        else:
            await self._pieces(body, progress, ended=True)

    async def _pieces(self, body: Body, progress: _Progress, *, ended: bool) -> None:
        while piece := body.piece(ended=ended):
            await self._piece(piece, progress)

    async def _piece(self, piece: bytes, progress: _Progress) -> None:
        """Parse a piece and put it on the bus."""
        while piece:
            batch, taken = await self._in_thread(self._parse, piece, progress)
            piece = piece[taken:] if taken < len(piece) else b""
            if not len(batch):
                continue
            await self._wait(progress, _APPENDS_AHEAD - 1)
            await self.let_catch_up()
            progress.appends.append(await self._append(batch, progress))
            progress.accepted += len(batch)

    async def let_catch_up(self) -> None:
        """Wait while the reader of the bus is too far behind, for INDEX_LAG_WAIT_S at most."""
        for _ in range(round(INDEX_LAG_WAIT_S / _LAG_LOOK_S)):
            if self._lag() <= INDEX_LAG_ROWS_MAX:
                return
            await asyncio.sleep(_LAG_LOOK_S)

    async def _append(self, batch: Batch, progress: _Progress) -> Future[Position]:
        while True:
            try:
                return self._bus.append(batch)
            except Busy:
                if not progress.appends:
                    raise
                await self._wait(progress, 0)

    async def _wait(self, progress: _Progress, left: int) -> None:
        """Wait until at most ``left`` appends are still on their way to the disk."""
        while len(progress.appends) > left:
            progress.cursor = await asyncio.wrap_future(progress.appends.popleft())

    def _parse(self, piece: bytes, progress: _Progress) -> tuple[Batch, int]:
        """Return the batch of the first lines of a piece, and how many bytes they took."""
        found, _, taken = split(piece, BATCH_ROWS_MAX)
        first, count = progress.lines, len(found)
        progress.lines += count
        too_long = _too_long(found)
        if len(too_long):
            if progress.text:
                found = pc.binary_slice(found, 0, LINE_BYTES_MAX)
            else:
                found = pc.if_else(pa.array(too_long), b"", found)
        lines = Lines(
            found,
            np.arange(first, first + count, dtype=np.int64),
            progress.stream,
            time.time_ns(),
            Origin(f"push:{progress.key}", first, first + count, count),
        )
        if progress.text:
            with self._pipeline_lock:
                return self._pipeline.process(lines), taken
        batch, broken = process_json(lines)
        if len(too_long):
            broken += [(index, f"longer than {LINE_BYTES_MAX} bytes") for index in np.flatnonzero(too_long).tolist()]
        progress.rejected_count += len(broken)
        room = PUSH_REJECTED_MAX - len(progress.rejected)
        progress.rejected += [Rejected(first + index + 1, error) for index, error in sorted(broken)[: max(room, 0)]]
        with self._pipeline_lock:
            return self._pipeline.masked(batch), taken

    def _answer(self, progress: _Progress) -> Response:
        self._metrics.pushed_records.inc(progress.accepted)
        self._metrics.rejected_lines.inc(progress.rejected_count)
        cursor = str(progress.cursor or self._bus.next)
        pushed = Pushed(progress.accepted, progress.rejected, progress.rejected_count, cursor)
        return Response(msgspec.json.encode(pushed), media_type=JSON)

    async def _in_thread(self, call: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *args)


def _too_long(lines: pa.BinaryArray) -> np.ndarray:
    """Return which lines are longer than LINE_BYTES_MAX; empty when none is."""
    if lines.nbytes <= LINE_BYTES_MAX:
        return np.zeros(0, bool)
    mask = pc.greater(pc.binary_length(lines), LINE_BYTES_MAX).to_numpy(zero_copy_only=False)
    return mask if mask.any() else np.zeros(0, bool)


def _lines_of_array(body: bytes) -> bytes:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"the body is not a JSON array: {error}", cure=f"Check it, or send {NDJSON}.") from error
    return b"".join(orjson.dumps(item, option=orjson.OPT_APPEND_NEWLINE) for item in parsed)


def _stream(request: Request) -> Stream:
    labels: dict[str, str] = {"source": "push"}
    for name, value in request.query_params.multi_items():
        if not name or max(len(name.encode()), len(value.encode())) > LABEL_BYTES_MAX:
            raise BadInput(f"the label {name[:80]!r} is empty or too long", cure=f"At most {LABEL_BYTES_MAX} bytes.")
        if name in ATTRIBUTES:
            raise BadInput(f"{name!r} is no label: every record has one of its own", cure="Call the label otherwise.")
        labels[name] = value
    if len(labels) > LABELS_MAX:
        raise BadInput(f"a stream has at most {LABELS_MAX} labels", cure="Put the rest into the records.")
    return Stream.of(labels)


def routes(push: Push) -> list[BaseRoute]:
    """Return the routes of a push."""
    return [Route(PUSH.path, push.take, methods=["POST"])]
