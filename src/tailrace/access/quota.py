"""Quotas: how much one token may take of the server, and all together.

Purpose. Whoever asks too much is told which limit it is, how much of it is in use and when to come back, and the others
do not notice. Nothing is lost by it: a tail that is ended says its checkpoint, and goes on behind it.

Who. The name of the token (a session has that of its token). On a server that needs no token everybody is ``""``: only
what is allowed to all together holds.

What.
  tails     open at the same time; counted from ``open_tail`` to ``close_tail``
  flow      lines and bytes of rows, charged when they are handed to a tail
  search    seconds of the search threads, charged when a search ends
  breaker   a query that runs out of its time BREAKER_TIMEOUTS times within BREAKER_S is not run for BREAKER_S

Rule of a rate (``Meter``). A bucket, which is a sliding window that needs one number: there is room for the rate times
the burst, and what was taken becomes free again at the rate. While there is any room something is let in, whatever its
size; what goes beyond is owed, so nothing is too large to get through, and everybody is let in again. In any stretch of
T seconds it lets in at most rate x (T + burst), and one charge. Who was refused is told to come back when half of the
room will be free, so that a tail that returns gets somewhere.

Full. Of names, the one that was asked for longest ago and has no open tail is forgotten (QUOTA_NAMES_MAX); of queries
that ran out of their time, the oldest (BREAKER_QUERIES_MAX). Crash. Nothing is kept.

Time is passed in (seconds of any clock that does not go back), and one thread does it all. Nothing waits but ``ask``,
and that only where the limits are shared by several servers (shared.py).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from msgspec import Struct

from tailrace.errors import OverQuota
from tailrace.limits import (
    BREAKER_QUERIES_MAX,
    BREAKER_S,
    BREAKER_TIMEOUTS,
    QUOTA_FLOW_BURST_S,
    QUOTA_NAMES_MAX,
    QUOTA_SEARCH_BURST_S,
    QUOTA_TAILS_RETRY_S,
    TAILS_MAX,
)

NAME = "tailrace.name"
"""The key of an ASGI scope under which the guard says who asks."""
BREAKER = "breaker"
"""The limit that a query is told that was shut out; the others have the names of settings."""


def name_of(scope: Mapping[str, Any]) -> str:
    """Return the name of the token with which a call was made, or nothing."""
    return scope.get(NAME, "")


@dataclass(frozen=True, slots=True)
class Allowance:
    """How much is allowed; 0 is without a limit."""

    tails: int = 0
    lines_per_s: int = 0
    bytes_per_s: int = 0
    search_s_per_min: int = 0


class Usage(Struct):
    """How much of a limit is in use: ``limit`` is the key in the section [quota] of the configuration."""

    limit: str
    used: float
    allowed: float


class Meter:
    """A bucket that fills with room; see the head of this module. ``rate`` is per second, more than 0.

    ``left`` is the room at ``at_s``: less than nothing when something is owed. It is public for ``Account.charge``.
    """

    __slots__ = ("_before", "_began_s", "_count", "_full", "at_s", "burst_s", "left", "rate")

    def __init__(self, rate: float, burst_s: float) -> None:
        self.rate = rate
        self.burst_s = burst_s
        self.at_s = self._began_s = -math.inf
        self.left = self._full = rate * burst_s
        self._count = self._before = 0.0

    def refill(self, now_s: float) -> None:
        """Take note of the time that has passed, and count what was taken until then."""
        self._count += self._full - self.left
        if now_s - self._began_s >= self.burst_s:
            self._before = self._count if now_s - self._began_s < 2 * self.burst_s else 0.0
            self._began_s, self._count = now_s, 0.0
        self._full = self.left = min(self.rate * self.burst_s, self.left + (now_s - self.at_s) * self.rate)
        self.at_s = now_s

    def is_spent(self, now_s: float) -> bool:
        """Tell whether nothing more is let in."""
        if self.at_s != now_s:
            self.refill(now_s)
        return self.left <= 0

    def is_fresh(self, now_s: float) -> bool:
        """Tell whether all room is free."""
        return not self.is_spent(now_s) and self.left >= self.rate * self.burst_s

    def retry_s(self, now_s: float) -> float:
        """Return when half of the room will be free."""
        self.refill(now_s)
        return max(0.0, self.burst_s / 2 - self.left / self.rate)

    def per_second(self, now_s: float) -> float:
        """Return about how much has come lately."""
        self.refill(now_s)
        return (self._before * (1 - (now_s - self._began_s) / self.burst_s) + self._count) / self.burst_s


class Book:
    """What one name has in use, or all together; ``suffix`` is what the keys of its settings end with.

    ``elsewhere`` are the tails at other servers, where the limits are shared.
    """

    __slots__ = ("allowed", "bytes", "elsewhere", "lines", "search", "suffix", "tails", "whose")

    def __init__(self, whose: str, allowed: Allowance, suffix: str = "") -> None:
        self.whose = whose
        self.suffix = suffix
        self.allowed = allowed
        self.tails = self.elsewhere = 0
        self.lines = self.meter(allowed.lines_per_s, QUOTA_FLOW_BURST_S)
        self.bytes = self.meter(allowed.bytes_per_s, QUOTA_FLOW_BURST_S)
        self.search = self.meter(allowed.search_s_per_min / 60, QUOTA_SEARCH_BURST_S)

    def meter(self, rate: float, burst_s: float) -> Meter | None:
        """Return what measures one of its rates; None where there is no limit."""
        return Meter(rate, burst_s) if rate else None

    def count_tails(self, more: int) -> None:
        """Take note of a tail that was opened (1) or closed (-1)."""
        self.tails += more

    def is_idle(self, now_s: float) -> bool:
        """Tell whether it could begin anew and nobody would notice."""
        meters = (self.lines, self.bytes, self.search)
        return not self.tails and all(meter is None or meter.is_fresh(now_s) for meter in meters)

    def usage(self, now_s: float) -> list[Usage]:
        """Return what is in use of each limit that there is."""
        found = [Usage("tails", self.tails + self.elsewhere, self.allowed.tails)] if self.allowed.tails else []
        for name, meter, span_s in (
            ("lines_per_s", self.lines, 1),
            ("bytes_per_s", self.bytes, 1),
            ("search_s_per_min", self.search, 60),
        ):
            if meter is not None:
                found.append(Usage(name, round(meter.per_second(now_s) * span_s, 1), round(meter.rate * span_s)))
        for one in found:
            one.limit += self.suffix
        return found


class Account:
    """What one name may still take. Made by ``Quota.account``."""

    __slots__ = ("_bytes", "_flow", "_lines", "_quota", "books", "name")

    def __init__(self, name: str, books: tuple[Book, Book], quota: Quota) -> None:
        self.name = name
        self._quota = quota
        self.books = books
        self._lines = [book.lines for book in books if book.lines]
        self._bytes = [book.bytes for book in books if book.bytes]
        self._flow = [*self._lines, *self._bytes]

    @property
    def has_rates(self) -> bool:
        """Whether ``charge`` can refuse anything."""
        return bool(self._flow)

    def open_tail(self, now_s: float) -> None:
        """Count one more tail. Raises OverQuota when there are too many, or when those there are were sent too much."""
        for book in self.books:
            tails = book.tails + book.elsewhere
            if book.allowed.tails and tails >= book.allowed.tails:
                raise self._quota.refused(
                    f"{tails:,} of {book.allowed.tails:,} tails of {book.whose} are open",
                    Usage("tails" + book.suffix, tails, book.allowed.tails),
                    QUOTA_TAILS_RETRY_S,
                    "Close one, or come back",
                )
        over = self.charge(0, 0, now_s)
        if over is not None:
            raise over
        for book in self.books:
            book.count_tails(1)

    def close_tail(self) -> None:
        """Count one tail less."""
        for book in self.books:
            book.count_tails(-1)

    def charge(self, lines: int, size: int, now_s: float) -> OverQuota | None:
        """Take rows that a tail is given, or say why it must not have them: then it ends before them.

        Called for every tail in every round of the hub, with one time for all of them: so the room is worked out once,
        and a charge is a few subtractions.
        """
        for meter in self._flow:
            if meter.at_s != now_s:
                meter.refill(now_s)
            if meter.left <= 0:
                return self._over(now_s)
        for meter in self._lines:
            meter.left -= lines
        for meter in self._bytes:
            meter.left -= size
        return None

    def open_search(self, query: str, now_s: float) -> None:
        """Raise OverQuota when the threads have worked too much for this name, or the query is shut out.

        ``query`` is everything that tells questions apart that take the same time.
        """
        shut_s = self._quota.breaker.shut_s(self.key(query), now_s)
        if shut_s:
            raise self._quota.refused(
                f"this query ran out of its time {BREAKER_TIMEOUTS} times within {BREAKER_S / 60:.0f} minutes; "
                f"it is not run for another {math.ceil(shut_s)} s",
                Usage(BREAKER, BREAKER_TIMEOUTS, BREAKER_TIMEOUTS),
                shut_s,
                "Narrow the time or the query",
            )
        spent = [(book, book.search) for book in self.books if book.search and book.search.is_spent(now_s)]
        if spent:
            book, meter = max(spent, key=lambda one: one[1].retry_s(now_s))
            per_min, allowed = meter.per_second(now_s) * 60, book.allowed.search_s_per_min
            raise self._quota.refused(
                f"{per_min:,.1f} of {allowed:,} seconds a minute were searched for {book.whose}",
                Usage("search_s_per_min" + book.suffix, round(per_min, 1), allowed),
                meter.retry_s(now_s),
                "Ask for less at a time, or come back",
            )

    def close_search(self, query: str, seconds: float, *, timed_out: bool, now_s: float) -> None:
        """Charge what a search took of a thread."""
        for book in self.books:
            if book.search is not None:
                book.search.refill(now_s)
                book.search.left -= seconds
        if timed_out:
            self._quota.breaker.timed_out(self.key(query), now_s)

    def key(self, query: str) -> bytes:
        """Return under what the breaker knows a query of this name."""
        return blake2b(f"{self.name}\0{query}".encode("utf-8", "surrogatepass"), digest_size=16).digest()

    def _over(self, now_s: float) -> OverQuota:
        spent = [meter for meter in self._flow if meter.is_spent(now_s)]
        meter = max(spent, key=lambda meter: meter.retry_s(now_s))  # of several, the one that takes longest
        what = "lines" if meter in self._lines else "bytes"
        book = next(book for book in self.books if meter in (book.lines, book.bytes))
        used = round(meter.per_second(now_s))
        return self._quota.refused(
            f"{used:,} of {meter.rate:,.0f} {what} a second were sent to the tails of {book.whose}",
            Usage(f"{what}_per_s{book.suffix}", used, meter.rate),
            meter.retry_s(now_s),
            "Narrow the query, or go on from the checkpoint",
        )


@dataclass(slots=True)
class _Late:
    times_s: list[float] = field(default_factory=list)
    until_s: float = 0.0


class Breaker:
    """Which queries run out of their time too often; keys are digests of the name and the query."""

    def __init__(self) -> None:
        self._late: dict[bytes, _Late] = {}

    def shut_s(self, key: bytes, now_s: float) -> float:
        """Return for how long a query is still shut out, or 0; after that it begins anew."""
        late = self._late.get(key)
        if late is None or not late.until_s:
            return 0.0
        if now_s >= late.until_s:
            del self._late[key]
        return max(0.0, late.until_s - now_s)

    def shut_out(self, key: bytes, until_s: float) -> None:
        """Shut a query out, because another server did."""
        self._remember(key, _Late(until_s=until_s))

    def timed_out(self, key: bytes, now_s: float) -> None:
        """Note that a query ran out of its time."""
        late = self._late.pop(key, None)
        if late is None or 0.0 < late.until_s <= now_s:
            late = _Late()
        self._remember(key, late)
        if not late.until_s:
            late.times_s = [*(time_s for time_s in late.times_s if now_s - time_s < BREAKER_S), now_s]
            if len(late.times_s) >= BREAKER_TIMEOUTS:
                late.until_s = now_s + BREAKER_S

    def _remember(self, key: bytes, late: _Late) -> None:
        self._late.pop(key, None)
        while len(self._late) >= BREAKER_QUERIES_MAX:
            del self._late[next(iter(self._late))]
        self._late[key] = late

    def shut(self, now_s: float) -> int:
        """Return how many queries are shut out."""
        return sum(late.until_s > now_s for late in self._late.values())

    @property
    def queries(self) -> int:
        """How many queries are remembered."""
        return len(self._late)


class Quota:
    """The limits of one server; see the head of this module."""

    def __init__(self, each: Allowance | None = None, total: Allowance | None = None) -> None:
        """Take what each token may have, and all together."""
        self._each = each or Allowance()
        self._total = self.book("", total or Allowance(tails=TAILS_MAX), "_total")
        self._accounts: dict[str, tuple[Account, Book]] = {}
        self.breaker = Breaker()
        self.refusals: Counter[str] = Counter()
        """How many were refused so far, by limit."""
        self.problem = ""
        """What keeps the limits from being those of all servers, where they should be."""

    def account(self, name: str, now_s: float) -> Account:
        """Return the account of a token, or of those who need none (``""``)."""
        found = self._accounts.pop(name, None)
        if found is None:
            self._make_room(now_s)
            book = self.book(name, self._each if name else Allowance())
            found = Account(name, (book, self._total), self), book
        self._accounts[name] = found
        return found[0]

    async def ask(self, name: str, now_s: float, query: str = "") -> Account:  # noqa: ARG002 - for who shares
        """Return the account of who opens a tail, or asks ``query``; where it is shared, with what others have in use.

        Raises OverQuota where that is not known, and nobody may have anything without it.
        """
        return self.account(name, now_s)

    def book(self, name: str, allowed: Allowance, suffix: str = "") -> Book:
        """Return the empty book of a token, of those who need none, or of all together (``_total``)."""
        return Book("all together" if suffix else f"token {name!r}", allowed, suffix)

    @property
    def is_shared(self) -> bool:
        """Whether the limits are those of several servers together, now."""
        return False

    def start(self) -> None:
        """Begin to settle with other servers, on the running event loop: here there are none."""

    async def close(self) -> None:
        """Settle for the last time."""

    @property
    def names(self) -> int:
        """How many names are remembered."""
        return len(self._accounts)

    def usage(self, name: str, now_s: float) -> list[Usage]:
        """Return what is in use: of all together, then of one name."""
        own = self._accounts.get(name)
        book = own[1] if own else self.book(name, self._each if name else Allowance())
        return [*self._total.usage(now_s), *book.usage(now_s)]

    def refused(self, message: str, usage: Usage, retry_s: float, cure: str) -> OverQuota:
        """Count a refusal and return what to answer."""
        self.refusals[usage.limit] += 1
        retry_s = max(1.0, float(math.ceil(retry_s)))
        return OverQuota(
            message,
            limit=usage.limit,
            used=usage.used,
            allowed=usage.allowed,
            retry_s=retry_s,
            cure=f"{cure} in {retry_s:.0f} s.",
        )

    def _make_room(self, now_s: float) -> None:
        """Forget names: the first that is idle, else the one that was asked for longest ago without an open tail.

        A name with open tails stays, so there are never more than QUOTA_NAMES_MAX and the open tails.
        """
        if len(self._accounts) < QUOTA_NAMES_MAX:
            return
        idle = (name for name, (_, book) in self._accounts.items() if book.is_idle(now_s))
        closed = (name for name, (_, book) in self._accounts.items() if not book.tails)
        name = next(idle, None)
        name = next(closed, None) if name is None else name
        if name is not None:
            del self._accounts[name]
