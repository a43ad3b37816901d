"""The words of the calls about topics: their parameters and answers, as types."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from tailrace.api import JSON, SSE, Call, EndFrame, Record


class TopicParameters(Struct, forbid_unknown_fields=True):
    """Which messages of a topic to show, and how."""

    topic: Annotated[str, Meta(description="A topic, or an alias of the configuration.", min_length=1)]
    q: Annotated[
        str,
        Meta(description="The query: words look into values; also `key:`, `headers.NAME:`, `value.NAME:`, `*:`."),
    ] = ""
    from_: Annotated[str, Meta(description="`latest`, `earliest`, or a time: 10m (ago), 2026-11-20T08:00.")] = field(
        name="from", default="latest"
    )
    offset: (
        Annotated[int, Meta(description="Begin at this offset of each partition; -N: N messages before its end.")]
        | None
    ) = None
    to: Annotated[
        str | None, Meta(description="End before this time, or at `now`: what is there. Without: go on, live.")
    ] = None
    partitions: Annotated[str, Meta(description="Only these, like 0,3,5.")] = ""
    limit: Annotated[int, Meta(ge=0, description="End behind so many matches; 0: without a limit.")] = 0
    decode: Annotated[Literal["auto", "json", "url", "text", "hex"], Meta(description="How values are read.")] = "auto"
    after: Annotated[str | None, Meta(description="Go on behind this checkpoint, wherever else it would begin.")] = None


class Beside(Struct, omit_defaults=True):
    """What a message is besides its value: where it lies, how it was decoded."""

    partition: int
    offset: int
    size: int
    decoded: Literal["json", "url", "text", "hex", "raw", "cut", "null"]
    key: str | None = None
    headers: dict[str, str | None] = {}
    value: Any = None


class MessageRecord(Record, omit_defaults=True):
    """A message: its value is the ``message``, its timestamp the ``time``, its topic the ``service``."""

    fields: Beside | None = None  # type: ignore[assignment]


class MessagesFrame(Struct):
    """Messages that matched, and the checkpoint behind all that was looked at."""

    records: list[MessageRecord]
    next: str


class ProgressFrame(Struct, omit_defaults=True):
    """How far it is: messages and bytes read, matches, of how many messages in all when there is an end."""

    read: int
    bytes: int
    matched: int
    took_ms: int
    next: str
    total: int | None = None
    problem: Annotated[str, Meta(description="What the brokers say, when they say something wrong.")] = ""


class PartitionFacts(Struct):
    """One partition: [first, next) can be read; ``leader`` is a broker's number, -1 when there is none."""

    partition: int
    first: int
    next: int
    leader: int
    replicas: int
    in_sync: int


class TopicFacts(Struct):
    """One topic; ``messages`` is how many lie between the first and the next of its partitions."""

    name: str
    aliases: list[str]
    messages: int
    partitions: list[PartitionFacts]


class Topics(Struct):
    """All topics, by name, and how many brokers the configuration names: without any there are no topics to look at."""

    brokers: int
    topics: list[TopicFacts]


TOPICS = Call("GET", "/api/v1/kafka/topics", "The topics of the brokers, with their partitions", gives={JSON: Topics})
TOPIC = Call(
    "GET",
    "/api/v1/kafka/tail",
    "Messages of any topic as they are, from anywhere, then live: server-sent events",
    takes=TopicParameters,
    gives={SSE: {"rows": MessagesFrame, "progress": ProgressFrame, "end": EndFrame}},
)
CALLS = [TOPICS, TOPIC]
