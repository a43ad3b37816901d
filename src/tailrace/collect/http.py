"""The call that asks how collecting goes. The answer is made in a thread: there may be thousands of files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.api import JSON, parameters
from tailrace.collect.words import Collecting, CollectParameters


def routes(answer: Callable[[CollectParameters], Collecting]) -> list[BaseRoute]:
    """Return the route; ``answer`` may be called by several threads."""

    async def collect(request: Request) -> Response:
        given = parameters(CollectParameters, request.query_params.multi_items())
        return Response(await asyncio.to_thread(lambda: msgspec.json.encode(answer(given))), media_type=JSON)

    return [Route("/api/v1/collect", collect)]
