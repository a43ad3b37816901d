"""Quotas that several servers share.

Purpose. A name has its allowance once, however many servers it asks. All of them settle with the books in Redis
(redis.py): a server *leases* some room of each rate, lets in what fits into it without asking anybody, says what was
used and leases anew. Nothing that delivers ever waits for Redis.

When a server asks. QUOTA_SETTLE_S after something was used; QUOTA_HURRY_S after half of a lease was; for every book
with open tails every QUOTA_BEAT_S; at once when a tail was opened or closed; and when somebody wants to open one, or to
search (``ask``), who waits for the answer QUOTA_ASK_S_MAX at most, and is then let in by what is known. All that is due
goes in one round trip.

How exact that is.
  rates    In the long run exact: what was let in too much is owed. In any stretch of T seconds N servers let in at most
           rate x (T + burst), and a lease and a charge each. While there is room, somebody is refused only when a lease
           is used up within the time of one answer; a server that is idle takes nothing from the others.
  tails    As many too many as other servers open in the time of one answer. Those of a server that was killed are given
           back after QUOTA_TAILS_S.
  breaker  A query that was shut out anywhere is shut out everywhere for whoever asks it next.
All servers have the same [quota]; else each refills the shared room at its own rate.

Gone. A Redis that breaks the connection, refuses, or takes longer than REDIS_ANSWER_S_MAX is gone, which the problems
and the metrics say, and is tried again every REDIS_RETRY_S. Until then, as it was chosen:
  local    each server keeps quotas of its own, with the whole allowance; it begins with the room that it saw last
  refuse   no tail is opened and no search is run; what is open goes on until its leases are used up
When it is back, what a server owes is said, and the rest is as if it had just begun.

One event loop does it all; ``Account`` and the hub know nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import secrets
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from tailrace.access.quota import Account, Allowance, Book, Breaker, Meter, Quota, Usage
from tailrace.access.redis import Books, Lease, NoAnswer, Page, Settled, Shut, Use
from tailrace.errors import OverQuota
from tailrace.limits import (
    BREAKER_QUERIES_MAX,
    QUOTA_ASK_S_MAX,
    QUOTA_BEAT_S,
    QUOTA_HURRY_S,
    QUOTA_PAGES_MAX,
    QUOTA_SETTLE_S,
    REDIS_RETRY_S,
)

if TYPE_CHECKING:
    from tailrace.sections import Redis

GONE = "redis"
"""The limit that is told to whoever is refused because Redis is gone."""


class _Leased(Meter):
    """A rate of a book: ``left`` is what is left of the lease; without Redis, that of an ordinary bucket."""

    __slots__ = ("_granted", "_leased", "_marked", "_per_s", "_room", "_room_s", "_touch", "_trusted", "alone")

    def __init__(self, rate: float, burst_s: float, touch: Callable[[bool], None], *, alone: bool) -> None:
        """Begin with a lease on trust; call ``touch`` when it is used, with True when half of it was."""
        super().__init__(rate, burst_s)
        self.alone = alone
        self._touch = touch
        if not alone:
            self._begin(rate * burst_s / 2, rate * burst_s / 2)

    def _begin(self, left: float, room: float) -> None:
        """Go on with so much, which nobody has leased to us; there may be ``room`` besides."""
        self.left = self._marked = left
        self._leased, self._trusted = 0.0, max(0.0, left)
        self._granted, self._room = self.rate * self.burst_s / 2, room
        self._room_s, self._per_s = time.monotonic(), 0.0

    def refill(self, now_s: float) -> None:
        """Take note that it is being used; there is more only when Redis says so."""
        if self.alone:
            super().refill(now_s)
        else:
            self.at_s = now_s
            self._touch(self.left < self._granted / 2)

    def is_fresh(self, now_s: float) -> bool:
        """Tell whether everything that was used was said."""
        return super().is_fresh(now_s) if self.alone else self.left == self._marked

    def retry_s(self, now_s: float) -> float:
        """Return when half of the room will be free, for all servers together."""
        if self.alone:
            return super().retry_s(now_s)
        return max(0.0, self.burst_s / 2 - (self._room_at(now_s) + min(0.0, self.left)) / self.rate)

    def per_second(self, now_s: float) -> float:
        """Return about how much has come lately, at all servers together."""
        if self.alone:
            return super().per_second(now_s)
        return self._per_s + (self._marked - self.left) / self.burst_s

    def say(self, name: str) -> Use:
        """Return what was used since the last time, and what is given back."""
        use = Use(name, self.rate, self.burst_s, self._marked - self.left, self.left - self._trusted)
        self._marked, self._leased, self._trusted = self.left, self.left, 0.0
        return use

    def take(self, lease: Lease, now_s: float) -> None:
        """Go on with a new lease instead of what was given back; what was used meanwhile is taken from it."""
        more = lease.granted - self._leased
        self.left += more
        self._marked += more
        self._granted, self._room, self._room_s, self._per_s = lease.granted, lease.left, now_s, lease.per_s

    def part(self, now_s: float) -> None:
        """Be a bucket of its own, with all room that was seen last."""
        left = self.left + self._room_at(now_s)
        super().__init__(self.rate, self.burst_s)
        self.alone = True
        if left < self._full:
            self.left = self._full = left
            self.at_s = now_s

    def join(self) -> None:
        """Be shared again: what is owed is said, else a lease on trust that makes nothing more than there was."""
        self.alone = False
        self._begin(min(self.left, self.rate * self.burst_s / 2), 0.0)

    def _room_at(self, now_s: float) -> float:
        """Return the room that is left in the shared bucket, as far as we know."""
        return min(self.rate * self.burst_s, self._room + max(0.0, now_s - self._room_s) * self.rate)


class _SharedBook(Book):
    """A book of which Redis has the whole; ``key`` is its name there. Hashed by what it is, not by what it says."""

    __slots__ = ("_quota", "key", "leased", "settled_s")

    def __init__(self, quota: SharedQuota, whose: str, allowed: Allowance, suffix: str, key: str) -> None:
        self._quota = quota
        self.key = key
        self.settled_s = 0.0
        self.leased: dict[str, _Leased] = {}
        super().__init__(whose, allowed, suffix)
        named = {"lines": self.lines, "bytes": self.bytes, "search": self.search}
        self.leased = {name: meter for name, meter in named.items() if isinstance(meter, _Leased)}

    def meter(self, rate: float, burst_s: float) -> Meter | None:
        return _Leased(rate, burst_s, self._touch, alone=self._quota.keeps_own) if rate else None

    def count_tails(self, more: int) -> None:
        super().count_tails(more)
        self._quota.want(self)

    @property
    def says_nothing(self) -> bool:
        """Whether it has no limit, so that Redis need not know of it."""
        return not self.leased and not self.allowed.tails

    def page(self) -> Page:
        return Page(self.key, self.tails, [meter.say(name) for name, meter in self.leased.items()])

    def last_page(self) -> Page:
        return Page(self.key, -1, [meter.say(name) for name, meter in self.leased.items()])

    def take(self, settled: Settled, now_s: float) -> None:
        self.elsewhere = settled.elsewhere
        for meter, lease in zip(self.leased.values(), settled.leases, strict=True):
            meter.take(lease, now_s)

    def part(self, now_s: float) -> None:
        self.elsewhere = 0
        for meter in self.leased.values():
            meter.part(now_s)

    def join(self) -> None:
        for meter in self.leased.values():
            meter.join()

    def _touch(self, hurry: bool) -> None:
        self._quota.touch(self, hurry)


class _SharedBreaker(Breaker):
    """A breaker that remembers what to tell the others."""

    def __init__(self) -> None:
        super().__init__()
        self.unsaid: deque[bytes] = deque(maxlen=BREAKER_QUERIES_MAX)

    def timed_out(self, key: bytes, now_s: float) -> None:
        super().timed_out(key, now_s)
        self.unsaid.append(key)


class SharedQuota(Quota):
    """The limits of all servers that settle with the same books; see the head of this module."""

    def __init__(self, each: Allowance | None, total: Allowance | None, books: Books, *, refuse: bool = False) -> None:
        """Take what each token may have, and all together; ``refuse`` lets nobody in while Redis is gone."""
        self.alone = False
        self.failures = 0
        """How often Redis gave no answer."""
        self._books, self._refuse = books, refuse
        self._touched: dict[_SharedBook, None] = {}
        self._wanted: dict[_SharedBook, None] = {}
        self._beating: dict[_SharedBook, None] = {}
        self._asked: set[bytes] = set()
        self._hurried = self._closing = False
        self._settled_s = -math.inf
        self._wake = asyncio.Event()
        self._answered: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        super().__init__(each, total)
        self.breaker: _SharedBreaker = _SharedBreaker()
        self._beating[self._shared(self._total)] = None

    def start(self) -> None:
        """Begin to settle, on the running event loop."""
        self._task = asyncio.get_running_loop().create_task(self._follow(), name="shared quotas")
        self._task.add_done_callback(_loudly)

    async def close(self) -> None:
        """Give back what is leased, and say that no tail is open here any more."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await asyncio.gather(self._task)
        if not self.alone:
            books = [self._total, *(book for _, book in self._accounts.values())]
            pages = [self._shared(book).last_page() for book in books if not self._shared(book).says_nothing]
            with contextlib.suppress(NoAnswer):
                for first in range(0, len(pages), QUOTA_PAGES_MAX):
                    await self._books.settle(pages[first : first + QUOTA_PAGES_MAX], [])
        await self._books.close()

    @property
    def keeps_own(self) -> bool:
        """Whether this server keeps quotas of its own until Redis is back."""
        return self.alone and not self._refuse

    @property
    def is_shared(self) -> bool:
        """Whether Redis answers."""
        return not self.alone

    async def ask(self, name: str, now_s: float, query: str = "") -> Account:
        """Return the account; what others have in use is then known, unless Redis takes too long."""
        account = self.account(name, now_s)
        if not self.alone:
            for book in map(self._shared, account.books):
                self.want(book)
            if query and len(self._asked) < QUOTA_PAGES_MAX:
                self._asked.add(account.key(query))
            if self._answered is None:
                self._answered = asyncio.get_running_loop().create_future()
            self._wake.set()  # whatever is wanted, and be it that Redis answers
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(QUOTA_ASK_S_MAX):
                    await asyncio.shield(self._answered)
        if self.alone and self._refuse:
            raise self.refused(self.problem, Usage(GONE, 0, 0), REDIS_RETRY_S, "Come back")
        return account

    def book(self, name: str, allowed: Allowance, suffix: str = "") -> Book:
        """Return a book of which Redis has the whole."""
        whose, key = ("all together", "quota:total") if suffix else (f"token {name!r}", f"quota:name:{name}")
        return _SharedBook(self, whose, allowed, suffix, key)

    def usage(self, name: str, now_s: float) -> list[Usage]:
        """Return what is in use at all servers, as far as it is known; who looks again knows it anew."""
        own = self._accounts.get(name)
        for book in own[0].books if own else (self._total,):
            self.want(self._shared(book))
        return super().usage(name, now_s)

    def refused(self, message: str, usage: Usage, retry_s: float, cure: str) -> OverQuota:
        """Count a refusal and return what to answer; when it is for want of Redis, say so."""
        if self.alone and self._refuse and usage.limit != GONE:
            message = f"{message}; {self.problem}"
        return super().refused(message, usage, retry_s, cure)

    def want(self, book: _SharedBook) -> None:
        """Settle this book at once."""
        if not self.alone and not book.says_nothing:
            self._wanted[book] = None
            self._wake.set()

    def touch(self, book: _SharedBook, hurry: bool) -> None:
        """Settle this book soon; in a ``hurry`` when much of a lease was used."""
        if (hurry and not self._hurried) or not self._touched:
            self._wake.set()
        self._hurried = self._hurried or hurry
        self._touched[book] = None

    async def _follow(self) -> None:
        while not self._closing:
            wait_s = self._due_s() - time.monotonic()
            if wait_s > 0:
                self._wake.clear()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(wait_s):
                        await self._wake.wait()
                continue
            if self.alone:
                await self._try_again()
            if not self.alone:
                await self._settle()
            self._settled_s = time.monotonic()

    def _due_s(self) -> float:
        """Return when Redis is to be asked next."""
        if self.alone:
            return self._settled_s + REDIS_RETRY_S
        if self._wanted or self._answered is not None:
            return -math.inf
        due_s = next(iter(self._beating)).settled_s + QUOTA_BEAT_S
        if self._touched or self.breaker.unsaid:
            due_s = min(due_s, self._settled_s + (QUOTA_HURRY_S if self._hurried else QUOTA_SETTLE_S))
        return due_s

    async def _settle(self) -> None:
        """Say what was used, and go on with what comes back; or without Redis."""
        now_s = time.monotonic()
        books, late, asked = self._collect(now_s), list(self.breaker.unsaid), list(self._asked)
        self._asked.clear()
        answered, self._answered = self._answered, None
        shut = [*(Shut(query, late=True) for query in late), *map(Shut, asked)]
        try:
            settled, shut_s = await self._books.settle([book.page() for book in books], shut)
        except NoAnswer as error:
            self.part(error)
        else:
            for book, one in zip(books, settled, strict=True):
                book.take(one, now_s)
            for _ in late:
                self.breaker.unsaid.popleft()
            for query, left_s in zip((one.query for one in shut), shut_s, strict=True):
                if left_s:
                    self.breaker.shut_out(query, now_s + left_s)
        finally:
            if answered is not None and not answered.done():
                answered.set_result(None)

    def _collect(self, now_s: float) -> list[_SharedBook]:
        """Return the books that are due, those that somebody waits for first."""
        beats = itertools.takewhile(lambda book: now_s - book.settled_s >= QUOTA_BEAT_S, self._beating)
        due = dict.fromkeys(itertools.chain(self._wanted, self._touched, beats))
        books = list(itertools.islice(due, QUOTA_PAGES_MAX))
        for book in books:
            for waiting in (self._wanted, self._touched, self._beating):
                waiting.pop(book, None)
            book.settled_s = now_s
            if book.tails or book is self._total:
                self._beating[book] = None
        self._hurried = False
        return books

    async def _try_again(self) -> None:
        """Join the others when Redis takes what is said again: that it can be written to is what matters."""
        try:
            await self._books.settle([Page("quota:total", self._total.tails, [])], [])
        except NoAnswer as error:
            self.part(error)
            return
        self.alone, self.problem = False, ""
        for book in self._all():
            book.join()
            if book.tails:
                self._touched[book] = None

    def part(self, error: NoAnswer) -> None:
        """Do without Redis."""
        self.failures += 1
        instead = "nobody is let in until it is back" if self._refuse else "each server keeps quotas of its own"
        self.problem = f"Redis at {self._books.place} does not share the quotas ({error.message}): {instead}"
        if not self.alone:
            self.alone = True
            self._wanted.clear()
            if not self._refuse:
                now_s = time.monotonic()
                for book in self._all():
                    book.part(now_s)

    def _all(self) -> list[_SharedBook]:
        return [self._shared(self._total), *(self._shared(book) for _, book in self._accounts.values())]

    @staticmethod
    def _shared(book: Book) -> _SharedBook:
        assert isinstance(book, _SharedBook)
        return book


def shared(each: Allowance, total: Allowance, redis: Redis) -> SharedQuota:
    """Return the quotas of the servers that settle with one Redis. Raises ConfigError when its library is missing."""
    return SharedQuota(each, total, Books(redis, secrets.token_hex(6)), refuse=redis.when_gone == "refuse")


def _loudly(task: asyncio.Task[None]) -> None:
    """Say at once what the settling failed of: nobody waits for it."""
    if not task.cancelled() and (fault := task.exception()) is not None:
        task.get_loop().call_exception_handler({"message": f"{task.get_name()} failed", "exception": fault})
