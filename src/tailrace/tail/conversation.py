"""A tail whose client talks: it changes the query, pauses and resumes, and misses nothing.

Each message begins a new tail of the hub at the position up to which the client has been sent everything (or at
``after``, which may lie in the past: the change is then retroactive). What the old one had queued goes out first, then
an answer that says from which position on what holds, then the frames of the new one.

    {"q":"level:error"}                   from here on another query ...
    {"q":"level:error","after":"3f2a-7"}  ... or from there on
    {"pause":true}                        no rows; pings go on, say how many matched meanwhile, and stay where it is
    {"resume":true}                       goes on exactly where it stopped

    {"event":"changed","q":...,"paused":...,"checkpoint":...,"id":...}     the answer; ``id`` is the message's own
    {"event":"refused","why":...,"cure":...,"id":...}                      the message cannot be; everything goes on

A message that is none of these ends the tail, and ``end`` says why.

Paused, a tail of the same query goes on from where it stopped whose rows are written as nothing: it counts. Its gaps
are not told, because the tail that resumes finds them itself.

One message is taken at a time, when everything before it has been handed over: so a client that talks much has no more
queued than one that is silent. A crash loses nothing: the client has its checkpoint, and knows what it asked for.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from tailrace.access.quota import Account
from tailrace.cursor import Checkpoint
from tailrace.errors import TailraceError
from tailrace.frame import End, Frame, Ping
from tailrace.query import parse
from tailrace.tail.evaluate import Encode
from tailrace.tail.hub import Hub
from tailrace.tail.start import After, Start
from tailrace.tail.view import View
from tailrace.tally import NOTHING

Id = str | int | None


class Message(Struct, forbid_unknown_fields=True):
    """What a client may say: one of ``q``, ``pause`` and ``resume``."""

    q: Annotated[str | None, Meta(description="Another query; from here on, without `after`.")] = None
    after: Annotated[str | None, Meta(description="With `q`: from behind this checkpoint on.")] = None
    pause: Annotated[bool, Meta(description="No rows until it is resumed; pings count what matches.")] = False
    resume: Annotated[bool, Meta(description="Go on exactly where it was paused.")] = False
    id: Annotated[Id, Meta(description="Stands in the answer, `changed` or `refused`.")] = None


class ChangedFrame(Struct, omit_defaults=True):
    """The answer to a message: what holds from ``checkpoint`` on."""

    q: str
    paused: bool
    checkpoint: str
    id: Id = None


class RefusedFrame(Struct, omit_defaults=True):
    """A message that cannot be obeyed, and why; the tail goes on as it was."""

    why: str
    cure: str = ""
    id: Id = None


ANSWERS: Mapping[str, type[Struct]] = {"changed": ChangedFrame, "refused": RefusedFrame}
_DECODER = msgspec.json.Decoder(Message)


class Conversation:
    """The tails of one client, one after the other; the source of its connection. See the head of this module."""

    __slots__ = ("_behind_max", "_encode", "_hub", "_on_news", "_queue", "_stopped", "_view", "_viewer", "_write",
                 "misspoke")  # fmt: skip

    def __init__(
        self,
        hub: Hub,
        view: View,
        start: Start,
        *,
        behind_max: int,
        encode: Encode,
        write: Callable[[bytes], bytes],
        account: Account | None = None,
    ) -> None:
        """Begin with a tail. ``encode`` writes frames, ``write`` answers (JSON). Raises what ``Hub.open`` does.

        To ``account`` it is one tail, whatever the client asks for; what it counts while it is paused is not charged.
        """
        self._on_news: Callable[[], object] = lambda: None
        self.misspoke = False
        self._hub = hub
        self._view = view
        self._behind_max = behind_max
        self._encode = encode
        self._write = write
        self._stopped: After | None = None
        self._queue = b""
        self._viewer = hub.open(view, start, encode, behind_max, account)
        self._viewer.listen(self._news)

    @property
    def ended(self) -> bool:
        """Whether the last frame was queued."""
        return self._viewer.ended

    @property
    def over(self) -> bool:
        """Whether a quota ended it."""
        return self._viewer.over is not None

    @property
    def listening(self) -> bool:
        """Whether a message can be taken now: it is known where the tail begins, and the answer before was taken."""
        return self._viewer.located and not self._queue and not self._viewer.ended

    def listen(self, on_news: Callable[[], object]) -> None:
        """Have this called whenever there may be something to take."""
        self._on_news = on_news

    def take(self) -> bytes:
        """Return the next bytes for the client, or nothing."""
        if self._queue:
            queue, self._queue = self._queue, b""
            return queue
        return self._viewer.take()

    def ping(self) -> None:
        """Queue a sign of life."""
        self._viewer.ping()

    def close(self) -> None:
        """Note that the client is gone."""
        self._viewer.close()

    def hear(self, text: bytes) -> None:
        """Obey a message; only while ``listening``."""
        try:
            message = _DECODER.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            self._end(f"A message that cannot be read: {error}")
            return
        if (message.q is not None) + message.pause + message.resume != 1 or (message.after and message.q is None):
            self._end("A message says one of q (and with it after), pause and resume.")
            return
        try:
            self._obey(message)
        except TailraceError as error:
            self._answer("refused", RefusedFrame(error.message, error.cure, message.id))
        self._on_news()

    def _obey(self, message: Message) -> None:
        view = self._view if message.q is None else replace(self._view, query=parse(message.q, time.time_ns()))
        begin = self._stopped or After(self._viewer.checkpoint, self._viewer.past)
        if message.after is not None:
            begin = After(Checkpoint.parse(message.after))
        paused = message.pause or (self._stopped is not None and not message.resume)
        if paused:
            viewer = self._hub.open(View(view.query), begin, _counting(begin.checkpoint, self._encode), behind_max=0)
        else:
            viewer = self._hub.open(view, begin, self._encode, self._behind_max)
        self._queue = b"".join(self._viewer.take_frames())
        viewer.succeed(self._viewer, charged=not paused)
        self._view, self._viewer, self._stopped = view, viewer, begin if paused else None
        self._answer("changed", ChangedFrame(str(view.query), paused, str(begin.checkpoint), message.id))
        viewer.listen(self._news)
        viewer.ping()

    def _end(self, why: str) -> None:
        self.misspoke = True
        self._viewer.subscription.end(why)
        self._on_news()

    def _answer(self, event: str, answer: Struct) -> None:
        self._queue += self._write(msgspec.json.encode({"event": event, **msgspec.to_builtins(answer)}))

    def _news(self) -> None:
        self._on_news()


def _counting(at: Checkpoint, encode: Encode) -> Encode:
    """Return an encoding for a tail that only counts: its client stays ``at`` where it stopped."""

    def encode_paused(frame: Frame) -> bytes:
        if isinstance(frame, Ping):
            return encode(replace(frame, next=at, sent=NOTHING))
        return encode(replace(frame, next=at)) if isinstance(frame, End) else b""

    return encode_paused
