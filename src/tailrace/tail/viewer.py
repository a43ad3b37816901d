"""One client of the hub, as its connection sees it.

It says where the client stands, hands out what is queued, and asks the hub to read on when there is room again. What it
needs only while it is behind, it has only then: most of thousands of clients are live, and hold nothing but a position.
A client that leaves while a thread still reads for it is forgotten at once, and the reading cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailrace.access.quota import Account
from tailrace.cursor import Checkpoint, Position
from tailrace.errors import OverQuota
from tailrace.tail.catchup import CatchUp
from tailrace.tail.evaluate import Encode
from tailrace.tail.subscription import State, Subscription
from tailrace.tail.view import View

if TYPE_CHECKING:
    from tailrace.tail.hub import Hub


class Viewer:
    """One client of the hub: a subscription, and the event loop's side of it. Made by ``Hub.open``."""

    __slots__ = ("_greet", "_hub", "_reader", "account", "behind_max", "charged", "key", "located", "on_news", "over",
                 "subscription", "task", "view")  # fmt: skip

    def __init__(self, hub: Hub, view: View, key: str, encode: Encode, position: Position, *, behind_max: int) -> None:
        self.behind_max = behind_max
        self.view = view
        self.key = key
        self.subscription = Subscription(encode, position)
        self.task: asyncio.Task[None] | None = None
        self.on_news: Callable[[], object] = lambda: None
        self.located = False
        self.account: Account | None = None
        self.charged = False
        self.over: OverQuota | None = None
        self._hub = hub
        self._reader: CatchUp | None = None
        self._greet = False

    @property
    def reader(self) -> CatchUp:
        """What reads for this tail while it is behind: made when it is first needed, and after it was live."""
        if self._reader is None:
            self._reader = self._hub.reader(self.view)
        return self._reader

    def take_reader(self) -> CatchUp | None:
        """Return the reader, if there is one, and do without it from here on."""
        reader, self._reader = self._reader, None
        return reader

    def cancel(self) -> None:
        """Have a step that reads for this tail in another thread stop soon."""
        if self._reader is not None:
            self._reader.cancel()

    @property
    def checkpoint(self) -> Checkpoint:
        """Where a client stands that has taken everything that was queued so far."""
        self._hub.settle(self)
        return Checkpoint(self.subscription.position.cursors)

    @property
    def past(self) -> tuple[int, Position] | None:
        """Which time the rest of the past begins with, and where it ends; None when time decides nothing any more."""
        until = None if self._reader is None else self._reader.until
        if self._reader is None or until is None or until <= self.subscription.position:
            return None
        return self._reader.first_ns, until

    @property
    def ended(self) -> bool:
        """Whether the last frame was queued."""
        return self.subscription.state is State.ENDED

    def listen(self, on_news: Callable[[], object]) -> None:
        """Have this called whenever there may be something to take."""
        self.on_news = on_news

    def take_frames(self) -> list[bytes]:
        """Return all frames that wait, one by one."""
        return self.subscription.take_frames()

    def take(self) -> bytes:
        """Return the next bytes for the client, or nothing; what is behind may then be read."""
        data = self.subscription.take()
        if self.subscription.reading:
            self._hub.proceed(self)
        return data

    def ping(self) -> None:
        """Queue a sign of life that says where this tail stands; as soon as that is known."""
        if not self.located:
            self._greet = True
            return
        self._hub.settle(self)
        subscription = self.subscription
        behind = subscription.position < self._hub.bus.next and subscription.observed_ns
        lag_ms = max(0.0, (time.time_ns() - subscription.observed_ns) / 1e6) if behind else 0.0
        subscription.ping(round(lag_ms, 1))
        self.on_news()

    def begin(self) -> None:
        """Note that the position where this tail begins is known."""
        self.located = True
        if self._greet:
            self.ping()
        else:
            self.on_news()

    def charge(self, lines: int, size: int, now_s: float) -> bool:
        """Charge for rows before they are queued, or end here: then they must not be. Only where ``charged``."""
        self.over = over = self.account.charge(lines, size, now_s) if self.account is not None else None
        if over is None:
            return True
        self._hub.settle(self)
        self.subscription.end(f"{over.message}. {over.cure}", over.retry_s, over.limit)
        return False

    def bill(self, account: Account | None) -> None:
        """Charge what this tail is sent to an account; it is closed with the tail."""
        self.account = account
        self.charged = account is not None and account.has_rates

    def succeed(self, other: Viewer, *, charged: bool) -> None:
        """Go on, on the account of a tail that closes, and have it pay for this one or not."""
        self.bill(other.account)
        self.charged = self.charged and charged
        other.account = None
        other.close()

    def close(self) -> None:
        """Leave the hub; the client is gone."""
        self._hub.leave(self)
