"""The books of all servers, in Redis: what each name and all together have in use, and which queries are shut out.

Purpose. One place that several servers settle with (shared.py says when, and what they do without it). Each question is
one run of a script, so it is whole or was not, and time is that of Redis: the clocks of the servers play no part.

Keys. All begin with the prefix, all have an end of life, and none is kept that says nothing:
  quota:name:NAME, quota:total   a book: a hash
    rate:lines|bytes|search      ``left at began count before``: the fields of ``Meter``, in seconds of Redis
    server:ID                    ``tails until``: how many tails that server has open, and how long that is believed
  late:QUERY                     when a query ran out of its time lately: a list of milliseconds
  shut:QUERY                     lives for as long as the query is shut out

Rule of a lease. What a server may let in before it asks again was taken out of the room of the shared bucket when it
asked; what it did not use, it gives back when it asks the next time. One lease is the whole room, divided by the
servers that have the book in use and one more: with those that lie unused, servers let in less than twice what one
would at once, and in the long run exactly the rate.

Crash. A server that dies leaves a lease (a bucket is full again by itself) and its tails (believed for QUOTA_TAILS_S).
A Redis that dies without its data has all books empty: each server says its tails again within QUOTA_BEAT_S. A call
whose answer did not come may have been taken: then a lease is lost for a moment, never let in twice.

Needs Redis 5 or what speaks like it, one primary (not the cluster mode), and of an ACL user: ``~PREFIX*`` and
``+script|load +evalsha +time +hgetall +hset +hdel +pexpire +pttl +rpush +lpop +lindex +llen +set +del``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tailrace.errors import ConfigError, TailraceError
from tailrace.limits import (
    BREAKER_S,
    BREAKER_TIMEOUTS,
    QUOTA_TAILS_S,
    REDIS_ANSWER_S_MAX,
)

if TYPE_CHECKING:
    import redis.asyncio

    from tailrace.sections import Redis

_SETTLE = """
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local book, server, tails, trusted_ms = KEYS[1], 'server:' .. ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])

local kept, servers, elsewhere = {}, 1, 0
local fields = redis.call('HGETALL', book)
for i = 1, #fields, 2 do
    local field, value = fields[i], fields[i + 1]
    kept[field] = value
    if field:sub(1, 7) == 'server:' and field ~= server then
        local count, till = value:match('^(%S+) (%S+)$')
        if tonumber(till) < now then
            redis.call('HDEL', book, field)
        else
            servers, elsewhere = servers + 1, elsewhere + tonumber(count)
        end
    end
end
if tails < 0 then
    redis.call('HDEL', book, server)
else
    redis.call('HSET', book, server, string.format('%d %.3f', tails, now + trusted_ms / 1000))
end

local answer, life_s = {elsewhere}, trusted_ms / 1000
for i = 4, #ARGV, 5 do
    local field, rate, burst_s = 'rate:' .. ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    local used, back = tonumber(ARGV[i + 3]), tonumber(ARGV[i + 4])
    local full = rate * burst_s
    local left, at, began, count, before = full, now, now, 0, 0
    if kept[field] then
        left, at, began, count, before = kept[field]:match('^(%S+) (%S+) (%S+) (%S+) (%S+)$')
        left, began, count, before = tonumber(left), tonumber(began), tonumber(count), tonumber(before)
        left = math.min(full, left + math.max(0, now - at) * rate)
    end
    count = count + used
    if now - began >= burst_s or now < began then
        before = now - began < 2 * burst_s and count or 0
        began, count = now, 0
    end
    left = math.min(full, left + back)
    local lease = tails < 0 and 0 or math.min(full / (servers + 1), math.max(0, left))
    left = left - lease
    redis.call('HSET', book, field, string.format('%.6f %.6f %.6f %.6f %.6f', left, now, began, count, before))
    life_s = math.max(life_s, (full - left) / rate, 2 * burst_s)
    local per_s = (before * (1 - (now - began) / burst_s) + count) / burst_s
    answer[#answer + 1] = string.format('%.6f %.6f %.6f', lease, left, per_s)
end
redis.call('PEXPIRE', book, math.ceil(life_s * 1000) + 1)
return answer
"""
"""KEYS: a book. ARGV: the server, its tails (-1: it leaves), for how many milliseconds that is to be believed; then for
each rate its name, rate, burst, what was used since the last time, and what is given back of the last lease (less than
nothing: owed). Returns the tails elsewhere, and for each rate the new lease, the room behind it and the use a second.
"""

_BREAK = """
local late, shut, span_ms = KEYS[1], KEYS[2], tonumber(ARGV[1])
local left_ms = redis.call('PTTL', shut)
if left_ms > 0 then
    return left_ms
end
if ARGV[3] == '1' then
    local time = redis.call('TIME')
    local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
    redis.call('RPUSH', late, string.format('%d', now_ms))
    while now_ms - redis.call('LINDEX', late, 0) >= span_ms do
        redis.call('LPOP', late)
    end
    if redis.call('LLEN', late) >= tonumber(ARGV[2]) then
        redis.call('DEL', late)
        redis.call('SET', shut, 1, 'PX', span_ms)
        return span_ms
    end
    redis.call('PEXPIRE', late, span_ms)
end
return 0
"""
"""KEYS: where a query's times are, and whether it is shut out. ARGV: the span in milliseconds, how many times within it
are too many, and 1 when it ran out of its time just now. Returns for how many milliseconds it is shut out, or 0.
"""


@dataclass(frozen=True, slots=True)
class Use:
    """What a server says of one rate of a book: see ``_SETTLE``."""

    name: str
    rate: float
    burst_s: float
    used: float
    back: float


@dataclass(frozen=True, slots=True)
class Page:
    """What a server says of one book, ``key`` its name in Redis; -1 tails: the server has no more to do with it."""

    key: str
    tails: int
    uses: Sequence[Use]


@dataclass(frozen=True, slots=True)
class Lease:
    """What a server may let in, what room is left behind that, and how much comes a second at all servers together."""

    granted: float
    left: float
    per_s: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to a page: tails at other servers, and a lease for each of its uses."""

    elsewhere: int
    leases: list[Lease]


@dataclass(frozen=True, slots=True)
class Shut:
    """A question about a query (a digest): whether it is shut out; ``late`` when it ran out of its time just now."""

    query: bytes
    late: bool = False


_CLOSED = "the handler is closed"
"""How uvloop says, with a RuntimeError, that a connection ended just before something was written to it."""


class NoAnswer(TailraceError):
    """Redis was not reached in time, or refused; the message says why."""


class Books:
    """The connection of one server, ``server`` its name among them. Belongs to one event loop."""

    def __init__(self, given: Redis, server: str) -> None:
        """Take how Redis is reached. Raises ConfigError."""
        try:
            import redis.asyncio as client
        except ImportError as error:
            raise ConfigError(
                "redis.url is set, and the library for Redis is not installed",
                cure="pip install 'tailrace[redis]', or leave redis.url empty.",
            ) from error
        self.place = given.url
        self._server, self._prefix = server, given.prefix
        self._failed: tuple[type[Exception], ...] = (client.RedisError, OSError, TimeoutError)
        self._redis = _client(given)
        self._scripts: list[str] = []

    async def settle(self, pages: Sequence[Page], shut: Sequence[Shut]) -> tuple[list[Settled], list[float]]:
        """Settle all at once; return an answer for each page, and for how many seconds each query is shut out.

        Raises NoAnswer; what was said may then have been taken, or not.
        """
        calls: list[tuple[int, int, list[Any]]] = [(0, 1, self._said(page)) for page in pages]
        calls += [(1, 2, self._asked(one)) for one in shut]
        try:
            async with asyncio.timeout(REDIS_ANSWER_S_MAX):
                answers = await self._run(calls)
        except (*self._failed, RuntimeError) as error:
            closed = _CLOSED in str(error)
            if isinstance(error, RuntimeError) and not closed:
                raise
            await self.close()
            said = "the connection was closed" if closed else str(error) or "it takes too long to answer"
            raise NoAnswer(said) from error
        settled = [
            Settled(int(elsewhere), [_lease(text) for text in leases]) for elsewhere, *leases in answers[: len(pages)]
        ]
        return settled, [milliseconds / 1000 for milliseconds in answers[len(pages) :]]

    async def close(self) -> None:
        """Let the connection go; the next question makes another."""
        try:
            async with asyncio.timeout(REDIS_ANSWER_S_MAX):
                await self._redis.connection_pool.disconnect()
        except self._failed:
            pass  # it was broken already

    async def _run(self, calls: list[tuple[int, int, list[Any]]]) -> list[Any]:
        """Run scripts in one round trip, and once more those that Redis has lost since they were loaded."""
        from redis.exceptions import NoScriptError

        if not self._scripts:
            self._scripts = [await self._redis.script_load(text) for text in (_SETTLE, _BREAK)]
        answers = await self._pipelined(calls)
        lost = [n for n, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if lost:
            self._scripts = [await self._redis.script_load(text) for text in (_SETTLE, _BREAK)]
            for n, answer in zip(lost, await self._pipelined([calls[n] for n in lost]), strict=True):
                answers[n] = answer
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers

    async def _pipelined(self, calls: list[tuple[int, int, list[Any]]]) -> list[Any]:
        pipeline = self._redis.pipeline(transaction=False)
        for script, keys, arguments in calls:
            pipeline.evalsha(self._scripts[script], keys, *arguments)
        return await pipeline.execute(raise_on_error=False)

    def _said(self, page: Page) -> list[Any]:
        said: list[Any] = [self._prefix + page.key, self._server, page.tails, round(QUOTA_TAILS_S * 1000)]
        for use in page.uses:
            said += (use.name, use.rate, use.burst_s, use.used, use.back)
        return said

    def _asked(self, shut: Shut) -> list[Any]:
        query = shut.query.hex()
        keys = [f"{self._prefix}{kind}:{query}" for kind in ("late", "shut")]
        return [*keys, round(BREAKER_S * 1000), BREAKER_TIMEOUTS, int(shut.late)]


def _lease(text: bytes) -> Lease:
    return Lease(*map(float, text.split()))


def _client(given: Redis) -> redis.asyncio.Redis:
    """Return what speaks to Redis: it tries once, and whoever asks decides what then."""
    import redis.asyncio
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff
    from redis.credentials import CredentialProvider

    class Credentials(CredentialProvider):
        def get_credentials(self) -> tuple[str] | tuple[str, str]:
            password = given.password()
            return (given.user, password) if given.user else (password,)

    more: dict[str, Any] = {"ssl_ca_certs": given.ca_file} if given.ca_file else {}
    if given.user or given.password_file or given.password():
        more["credential_provider"] = Credentials()
    return redis.asyncio.Redis.from_url(
        given.url,
        protocol=2,
        socket_timeout=REDIS_ANSWER_S_MAX,
        socket_connect_timeout=REDIS_ANSWER_S_MAX,
        retry=Retry(NoBackoff(), 0),
        **more,
    )
