"""The server's side of shipping: takes blocks, and says how far it has taken each agent's log.

``200`` comes when the block is on disk, and can be searched. The bus's ledger knows how far each log was taken, in the
same frames that hold the records; so a block that does not continue what is known adds nothing, and is answered with
where to go on (409). Whoever sends too much is told to come back: at most BLOCKS_HELD_BYTES_MAX of bodies are held, and
one block at a time is decoded, in a thread.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.api import JSON, Call, parameters
from tailrace.bus import Bus
from tailrace.cursor import Position
from tailrace.errors import BadInput, Busy, Closed, OriginTaken, Refused, TooLarge, Unsupported
from tailrace.limits import (
    AGENTS_SHOWN_MAX,
    BLOCK_DECODED_BYTES_MAX,
    BLOCK_RECEIVE_S_MAX,
    BLOCKS_HELD_BYTES_MAX,
    PUSHES_AT_ONCE_MAX,
)
from tailrace.metrics import Metrics
from tailrace.ship.block import MEDIA_TYPE, PATH, Block, Taken, decode


class AgentStatus(msgspec.Struct):
    """An agent that has shipped since the server started: how long ago, and how many of its records still wait."""

    host: str
    seen_s_ago: float
    waiting_records: int


class Which(msgspec.Struct, forbid_unknown_fields=True):
    """The log that is asked about: ``agent:EPOCH.BRANCH``, the epoch in hexadecimal digits."""

    source: str


BLOCKS = Call(
    "POST",
    PATH,
    "Take a block of an agent (docs/formats/wire.md); 409 says how far it was taken before",
    gives={JSON: Taken},
    body=(MEDIA_TYPE,),
)
TAKEN = Call("GET", PATH, "How far an agent's log was taken", takes=Which, gives={JSON: Taken})
CALLS = [BLOCKS, TAKEN]


class Blocks:
    """Takes blocks for one bus. Belongs to one event loop; decodes in a thread of its own."""

    def __init__(
        self, bus: Bus, metrics: Metrics, let_catch_up: Callable[[], Awaitable[None]], refusal: str = ""
    ) -> None:
        """``let_catch_up`` waits while the bus's reader is too far behind; ``refusal``: why no blocks are taken."""
        self._refusal = refusal
        self._bus = bus
        self._metrics = metrics
        self._let_catch_up = let_catch_up
        self._thread = ThreadPoolExecutor(1, "blocks")
        self._held_bytes = 0
        self._running = 0
        self._agents: OrderedDict[str, tuple[str, int, float]] = OrderedDict()

    def close(self) -> None:
        """Give the thread back."""
        self._thread.shutdown()

    def agents(self) -> list[AgentStatus]:
        """Return who has shipped, who came last first."""
        now = time.monotonic()
        return [
            AgentStatus(host, round(now - seen, 1), waiting) for host, waiting, seen in reversed(self._agents.values())
        ]

    async def tell(self, request: Request) -> Response:
        """Answer how far a log was taken. Raises BadInput, Refused."""
        self._check()
        wanted = parameters(Which, request.query_params.multi_items())
        if not wanted.source.startswith("agent:"):
            raise BadInput(
                f"{wanted.source[:80]!r} is not the log of an agent", cure="Write source=agent:EPOCH.BRANCH."
            )
        return self._answer(200, wanted.source)

    async def take(self, request: Request) -> Response:
        """Answer for one block. Raises BadInput, Refused, Busy, DiskFull, Damaged."""
        self._check()
        media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media != MEDIA_TYPE or request.headers.get("content-encoding", "").lower() != "zstd":
            raise Unsupported("this takes the blocks of `tailrace agent`", cure=f"{MEDIA_TYPE}, compressed with zstd.")
        size = request.headers.get("content-length", "")
        if not size.isdecimal() or int(size) == 0:
            raise BadInput("a block says how long it is", cure="Send Content-Length.")
        if int(size) > BLOCK_DECODED_BYTES_MAX:
            raise TooLarge(f"a block has at most {BLOCK_DECODED_BYTES_MAX} bytes", cure="Send it in several blocks.")
        if self._running and (
            self._running >= PUSHES_AT_ONCE_MAX or self._held_bytes + int(size) > BLOCKS_HELD_BYTES_MAX
        ):
            raise Busy(f"{self._running} blocks are being taken", retry_s=1, cure="Send it again in a second.")
        self._running += 1
        self._held_bytes += int(size)
        try:
            return await self._take(await _body(request))
        except ClientDisconnect:
            return Response(status_code=400)  # nobody reads it
        finally:
            self._running -= 1
            self._held_bytes -= int(size)

    def _check(self) -> None:
        if self._refusal:
            raise Refused(self._refusal, cure="Name the brokers in the section [kafka] of the agent's configuration.")

    async def _take(self, body: bytearray) -> Response:
        block = await asyncio.get_running_loop().run_in_executor(self._thread, decode, body)
        (origin,) = block.batch.origins
        await self._let_catch_up()
        known = self._bus.taken(origin.source)
        if (known.next if known else None) != block.after:
            return self._answer(409, origin.source)
        try:
            cursor = await asyncio.wrap_future(self._bus.append(block.batch))
        except OriginTaken:
            return self._answer(409, origin.source)
        self._seen(origin.source, block)
        self._metrics.pushed_records.inc(len(block.batch))
        return self._answer(200, origin.source, cursor)

    def _seen(self, source: str, block: Block) -> None:
        self._agents[source] = block.host, block.waiting, time.monotonic()
        self._agents.move_to_end(source)
        if len(self._agents) > AGENTS_SHOWN_MAX:
            self._agents.popitem(last=False)

    def _answer(self, status: int, source: str, cursor: Position | None = None) -> Response:
        known = self._bus.taken(source)
        taken = Taken(source, known.next if known else None, known.note if known else "", str(cursor or self._bus.next))
        return Response(msgspec.json.encode(taken), status, media_type=JSON)


async def _body(request: Request) -> bytearray:
    """Return the body, which the protocol keeps to its Content-Length. Raises Closed when it does not come."""
    body = bytearray()
    try:
        async with asyncio.timeout(BLOCK_RECEIVE_S_MAX):
            async for data in request.stream():
                body += data
    except TimeoutError:
        raise Closed("the block took too long to arrive", cure="Send it again.") from None
    return body


def routes(blocks: Blocks) -> list[BaseRoute]:
    """Return the routes of shipping."""
    return [Route(PATH, blocks.take, methods=["POST"]), Route(PATH, blocks.tell, methods=["GET"])]
