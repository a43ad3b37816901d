"""The routes of topics: which there are, and their messages as a stream of events."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from tailrace.access.quota import Quota, name_of
from tailrace.api import JSON, parameters
from tailrace.cursor import Checkpoint
from tailrace.errors import BadInput, Busy
from tailrace.limits import TOPIC_VIEWERS_MAX
from tailrace.query import parse
from tailrace.query.times import parse_time
from tailrace.sections import Kafka
from tailrace.tail import sse
from tailrace.tail.connection import Connections
from tailrace.tail.http import Away
from tailrace.topics.viewing import Viewing
from tailrace.topics.window import Catalog, Window
from tailrace.topics.words import TOPIC, TOPICS, TopicParameters, Topics


class Views:
    """The calls about the topics of the brokers of [kafka]; without any, they refuse."""

    def __init__(self, kafka: Kafka, connections: Connections, quota: Quota | None) -> None:
        self._kafka = kafka
        self._connections, self._quota = connections, quota
        self._known: Catalog | None = None
        self._open = 0

    async def topics(self, _: Request) -> Response:
        """Answer with all topics; without brokers with none, so that a page can ask whether there are any."""
        if not self._kafka.brokers:
            return Response(msgspec.json.encode(Topics(0, [])), media_type=JSON)
        found = await asyncio.to_thread(self._catalog().topics)
        answer = Topics(len(self._kafka.brokers), found)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    async def tail(self, request: Request) -> Any:
        """Answer with a stream of messages."""
        given = parameters(TopicParameters, request.query_params.multi_items())
        query = parse(given.q, time.time_ns())
        query.check_live()
        version = request.scope["http_version"]
        if self._open >= TOPIC_VIEWERS_MAX:
            raise Busy(f"{self._open} viewers of topics read already", retry_s=5.0, cure="Close one.")
        account = None if self._quota is None else await self._quota.ask(name_of(request.scope), time.monotonic())
        if account is not None:
            account.open_tail(time.monotonic())
        self._open += 1

        def closed() -> None:
            self._open -= 1
            if account is not None:
                account.close_tail()

        try:
            viewing = Viewing(
                self._catalog(),
                _window(given, request.headers.get("last-event-id")),
                query,
                decoder=given.decode,
                limit=given.limit,
                encode=sse.encoding(version),
                event=sse.event if version != "1.1" else sse.event_chunk,
                on_close=closed,
            )
            await asyncio.to_thread(viewing.resolve)
        except BaseException:
            closed()
            raise
        viewing.start()
        return Away(200, sse.HEADERS, sse.EventStream(self._connections, viewing, version))

    def _catalog(self) -> Catalog:
        if self._known is None:
            if not self._kafka.brokers:
                raise BadInput("this server knows no brokers", cure="Name them in its configuration: [kafka] brokers.")
            self._known = Catalog(self._kafka.cluster, self._kafka.aliases)
        return self._known


def routes(kafka: Kafka, connections: Connections, quota: Quota | None = None) -> list[BaseRoute]:
    """Return the routes over the topics of Kafka; streams are added to ``connections``."""
    views = Views(kafka, connections, quota)
    return [Route(TOPICS.path, views.topics), Route(TOPIC.path, views.tail)]


def _window(given: TopicParameters, last_event_id: str | None) -> Window:
    now_ns = time.time_ns()
    first_ns = last_ns = None
    if given.from_ == "earliest":
        first_ns = 0
    elif given.from_ != "latest":
        first_ns = parse_time(given.from_, now_ns)
    if given.to is not None and given.to != "now":
        last_ns = parse_time(given.to, now_ns)
        if last_ns > now_ns:
            raise BadInput("`to` is still to come", cure="Leave it out to go on, live.")
    try:
        partitions = tuple(int(part) for part in given.partitions.split(",") if part.strip())
    except ValueError as error:
        raise BadInput(f"{given.partitions!r} are no partitions", cure="Write numbers, like 0,3,5.") from error
    after = last_event_id or given.after
    return Window(
        given.topic,
        partitions,
        Checkpoint.parse(after) if after else None,
        given.offset,
        first_ns,
        last_ns,
        given.to == "now",
    )
