"""Quotas that several servers share through a real Redis: each server here is a ``SharedQuota`` of its own."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailrace.access.quota import Allowance
from tailrace.access.shared import SharedQuota, shared
from tailrace.config import Config
from tailrace.errors import ConfigError, OverQuota
from tailrace.limits import (
    BREAKER_S,
    BREAKER_TIMEOUTS,
    QUOTA_ASK_S_MAX,
    QUOTA_FLOW_BURST_S,
    REDIS_ANSWER_S_MAX,
)
from tailrace.sections import Redis

NUMBERS = itertools.count()


@asynccontextmanager
async def servers(given: Redis, count: int, each: Allowance, total: Allowance | None = None) -> AsyncIterator[list]:
    started = [shared(each, total or Allowance(), given) for _ in range(count)]
    for one in started:
        one.start()
    try:
        yield started
    finally:
        for one in started:
            await one.close()


async def ask(quota: SharedQuota, query: str = ""):
    return await quota.ask("anna", time.monotonic(), query)


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - it looks at other processes, too
            await asyncio.sleep(0.01)


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Redis is looked for again soon, and has its time to answer on a machine that is busy with other tests."""
    monkeypatch.setattr("tailrace.access.shared.REDIS_RETRY_S", 0.1)
    monkeypatch.setattr("tailrace.access.shared.QUOTA_ASK_S_MAX", 20)
    monkeypatch.setattr("tailrace.access.redis.REDIS_ANSWER_S_MAX", 20)


async def opened(quota: SharedQuota, name: str = "anna"):
    """Open a tail, and wait until the others may know of it."""
    account = await quota.ask(name, time.monotonic())
    account.open_tail(time.monotonic())
    await quota.ask(name, time.monotonic())
    return account


def used(quota: SharedQuota, limit: str) -> float:
    return next(one.used for one in quota.usage("anna", time.monotonic()) if one.limit == limit)


async def ask_in_vain(quota: SharedQuota) -> None:
    """Have a server find out that its Redis is gone."""
    with suppress(OverQuota):
        await ask(quota)
    await until(lambda: quota.problem)


def test_a_tail_too_many_is_refused_at_any_server_and_let_in_when_one_is_closed_anywhere(given):
    async def run():
        async with servers(given, 2, Allowance(tails=2)) as (one, two):
            first = await opened(one)
            await opened(two)
            for quota in (one, two):
                account = await ask(quota)
                with pytest.raises(OverQuota, match="2 of 2 tails of token 'anna' are open"):
                    account.open_tail(0)
                assert used(quota, "tails") == 2
            first.close_tail()
            await ask(one)
            await opened(two)

    asyncio.run(run())


def test_tails_of_all_together_are_counted_over_all_names_and_servers(given):
    async def run():
        async with servers(given, 2, Allowance(), Allowance(tails=2)) as (one, two):
            await opened(one)
            await opened(two, "")
            account = await one.ask("bert", 0)
            with pytest.raises(OverQuota, match="2 of 2 tails of all together"):
                account.open_tail(0)

    asyncio.run(run())


def test_the_tails_of_a_server_that_ends_are_free_at_once(given):
    async def run():
        async with servers(given, 1, Allowance(tails=1)) as (two,):
            async with servers(given, 1, Allowance(tails=1)) as (one,):
                await opened(one)
                account = await ask(two)
                with pytest.raises(OverQuota):
                    account.open_tail(0)
            (await ask(two)).open_tail(0)

    asyncio.run(run())


def test_open_tails_are_said_again_for_as_long_as_they_are_open(given, monkeypatch):
    monkeypatch.setattr("tailrace.access.shared.QUOTA_BEAT_S", 0.05)

    async def run():
        async with servers(given, 1, Allowance(tails=1)) as (one,):
            await opened(one)

            async def believed_until_s() -> float:
                fields = await one._books._redis.hgetall(f"{given.prefix}quota:name:anna")
                (said,) = [value for field, value in fields.items() if field.startswith(b"server:")]
                return float(said.split()[1])

            first_s = await believed_until_s()
            async with asyncio.timeout(20):
                while await believed_until_s() < first_s + 0.2:
                    pass

    asyncio.run(run())


Charges = st.lists(st.tuples(st.integers(0, 2), st.integers(1, 2_000), st.booleans()), max_size=80)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(100, 3_000), Charges)
def test_in_no_stretch_of_time_more_is_let_in_than_the_rate_the_burst_and_a_lease_of_each_server(redis, rate, charges):
    """Three servers; between two charges they settle, or do not."""
    room, taken = rate * QUOTA_FLOW_BURST_S, []

    async def run():
        given = Redis(url=redis, prefix=f"charges {os.getpid()} {next(NUMBERS)}:")
        async with servers(given, 3, Allowance(lines_per_s=rate)) as quotas:
            accounts = [quota.account("anna", 0) for quota in quotas]
            for n, lines, settles in charges:
                if settles:
                    await ask(quotas[n])
                now_s = time.monotonic()
                if accounts[n].charge(lines, 0, now_s) is None:
                    taken.append((now_s, lines))

    asyncio.run(run())
    too_much = 3 * (room / 2 + max((lines for _, lines in taken), default=0))
    for first, (start_s, _) in enumerate(taken):
        total = 0
        for end_s, lines in taken[first:]:
            total += lines
            assert total <= rate * (end_s - start_s) + room + too_much


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(100, 3_000), Charges)
def test_nobody_is_refused_while_there_is_room_that_no_other_server_has_leased(redis, rate, charges):
    async def run():
        given = Redis(url=redis, prefix=f"charges {os.getpid()} {next(NUMBERS)}:")
        async with servers(given, 3, Allowance(lines_per_s=rate)) as quotas:
            room, taken = rate * QUOTA_FLOW_BURST_S, 0
            leases = [quota.account("anna", 0).books[0].lines for quota in quotas]
            for n, lines, _ in charges:
                account = await ask(quotas[n])
                if account.charge(lines, 0, time.monotonic()) is None:
                    taken += lines
                else:
                    others = sum(max(0, lease.left) for at, lease in enumerate(leases) if at != n)
                    assert taken + others >= room - 1

    asyncio.run(run())


def test_a_server_alone_may_have_everything_even_if_others_have_been_there(given):
    async def run():
        async with servers(given, 3, Allowance(lines_per_s=1_000)) as quotas:
            for quota in quotas:
                (await ask(quota)).charge(1, 0, time.monotonic())
            taken, over = 0, None
            while over is None:
                account = await ask(quotas[0])
                over = account.charge(100, 0, time.monotonic())
                taken += 100 if over is None else 0
            leases = 5_000 / 3 + 5_000 / 4
            assert taken >= 5_000 - leases - 3
            await ask(quotas[1])
            assert used(quotas[1], "lines_per_s") == pytest.approx(used(quotas[0], "lines_per_s"), rel=0.5)

    asyncio.run(run())


def test_what_was_let_in_too_much_is_owed_by_all(given):
    async def run():
        async with servers(given, 2, Allowance(lines_per_s=1)) as (one, two):
            assert (await ask(one)).charge(1_000, 0, time.monotonic()) is None
            await ask(one)
            account = await ask(two)
            over = account.charge(1, 0, time.monotonic())
            assert over.limit == "lines_per_s"
            assert over.retry_s >= 990
            assert over.used >= 190

    asyncio.run(run())


def test_searches_are_charged_to_all_servers(given):
    async def run():
        async with servers(given, 2, Allowance(search_s_per_min=60)) as (one, two):
            account = await ask(one, "q")
            account.open_search("q", time.monotonic())
            account.close_search("q", 150, timed_out=False, now_s=time.monotonic())
            await ask(one, "q")
            account = await ask(two, "q")
            with pytest.raises(OverQuota, match=r"1\d\d\.\d of 60 seconds a minute were searched for token 'anna'"):
                account.open_search("another", time.monotonic())

    asyncio.run(run())


def test_a_query_that_ran_out_of_its_time_at_several_servers_is_shut_out_at_all(given):
    async def run():
        async with servers(given, 3, Allowance()) as quotas:
            for n in range(BREAKER_TIMEOUTS):
                account = await ask(quotas[n % 2], "slow")
                account.open_search("slow", time.monotonic())
                account.close_search("slow", 60, timed_out=True, now_s=time.monotonic())
                await ask(quotas[n % 2], "")
            for quota in quotas:
                account = await ask(quota, "slow")
                with pytest.raises(OverQuota) as caught:
                    account.open_search("slow", time.monotonic())
                assert caught.value.limit == "breaker"
                assert BREAKER_S - 20 < caught.value.retry_s <= BREAKER_S
                (await ask(quota, "quick")).open_search("quick", time.monotonic())
            assert [quota.breaker.shut(time.monotonic()) for quota in quotas] == [1, 1, 1]

    asyncio.run(run())


def test_a_charge_never_waits_for_redis_and_an_opening_not_for_long(start_redis, monkeypatch):
    """Redis stands still: what is charged is let in by what was leased, and whoever asks goes on without an answer."""
    server = start_redis()

    async def run():
        async with servers(Redis(url=server.url), 1, Allowance(lines_per_s=1_000, tails=5)) as (quota,):
            account = await ask(quota)
            monkeypatch.setattr("tailrace.access.shared.QUOTA_ASK_S_MAX", QUOTA_ASK_S_MAX)
            monkeypatch.setattr("tailrace.access.redis.REDIS_ANSWER_S_MAX", REDIS_ANSWER_S_MAX)
            server.pause()
            try:
                asking = asyncio.create_task(ask(quota))
                for _ in range(500):
                    assert account.charge(1, 0, time.monotonic()) is None
                    await asyncio.sleep(0)
                (await asking).open_tail(time.monotonic())
                await until(lambda: quota.problem)
            finally:
                server.go_on()
            await until(lambda: not quota.problem)

    assert QUOTA_ASK_S_MAX < REDIS_ANSWER_S_MAX
    asyncio.run(run())


def test_a_slow_redis_still_shares_and_every_charge_goes_through_at_once(start_redis, proxy):
    """Each answer is late by a tenth of a second: leases last longer than that."""
    late = proxy(start_redis().port)
    late.delay_s = 0.05
    late.turn("late")
    url = f"redis://127.0.0.1:{late.address[1]}"

    async def run():
        async with servers(Redis(url=url), 2, Allowance(lines_per_s=10_000)) as (one, two):
            account = await ask(one)
            for _ in range(2_000):
                assert account.charge(10, 0, time.monotonic()) is None
                await asyncio.sleep(0)
            await ask(two)
            await until(lambda: used(two, "lines_per_s") >= 20_000 / QUOTA_FLOW_BURST_S * 0.9)
            assert (one.problem, two.problem, one.failures) == ("", "", 0)

    asyncio.run(run())


def test_without_redis_each_server_keeps_quotas_of_its_own_and_shares_again_when_it_is_back(start_redis):
    server = start_redis()

    async def run():
        async with servers(Redis(url=server.url), 2, Allowance(tails=2)) as (one, two):
            for quota in (one, two):
                await opened(quota)
            assert (one.is_shared, one.problem) == (True, "")
            server.kill()
            await ask_in_vain(one)
            await ask_in_vain(two)
            assert server.url in one.problem
            assert "each server keeps quotas of its own" in one.problem
            for quota in (one, two):
                await opened(quota)
                account = await ask(quota)
                with pytest.raises(OverQuota, match="2 of 2 tails"):
                    account.open_tail(0)
            server.start()
            await until(lambda: one.is_shared and two.is_shared)
            await ask(one)
            await ask(two)
            await ask(one)
            assert [used(quota, "tails") for quota in (one, two)] == [4, 4]
            assert (one.problem, one.failures >= 1) == ("", True)

    asyncio.run(run())


def test_a_redis_that_was_never_there_is_said_and_each_server_is_on_its_own():
    async def run():
        async with servers(Redis(url="redis://127.0.0.1:1"), 1, Allowance(tails=1)) as (quota,):
            await ask_in_vain(quota)
            assert "Redis at redis://127.0.0.1:1 does not share the quotas" in quota.problem
            await opened(quota)

    asyncio.run(run())


def test_a_rate_goes_on_alone_with_the_room_that_was_seen_last(start_redis):
    server = start_redis()

    async def run():
        async with servers(Redis(url=server.url), 1, Allowance(lines_per_s=10)) as (quota,):
            (await ask(quota)).charge(1_000, 0, time.monotonic())
            account = await ask(quota)
            server.kill()
            await ask_in_vain(quota)
            assert account.charge(1, 0, time.monotonic()) is not None
            assert account.charge(1, 0, time.monotonic() + 100) is None
            server.start()
            await until(lambda: quota.is_shared)

    asyncio.run(run())


def test_where_it_was_chosen_nobody_is_let_in_without_redis(start_redis):
    server = start_redis()

    async def run():
        given = Redis(url=server.url, when_gone="refuse")
        async with servers(given, 1, Allowance(tails=9, lines_per_s=10)) as (quota,):
            account = await ask(quota)
            account.open_tail(time.monotonic())
            server.kill()
            await ask_in_vain(quota)
            with pytest.raises(OverQuota, match="nobody is let in") as caught:
                await ask(quota)
            assert caught.value.limit == "redis"
            assert caught.value.retry_s >= 1
            assert account.charge(1_000, 0, time.monotonic()) is None
            over = account.charge(1, 0, time.monotonic() + 1_000)
            assert "nobody is let in" in over.message
            server.start()
            await until(lambda: quota.is_shared)
            assert await ask(quota) is account

    asyncio.run(run())


def test_a_redis_that_cannot_be_written_to_is_as_good_as_gone_and_gives_nobody_more(start_redis):
    """It answers, but is full: what is let in meanwhile is what one server may have."""
    server = start_redis("--maxmemory", "1")

    async def run():
        async with servers(Redis(url=server.url), 1, Allowance(lines_per_s=1)) as (quota,):
            await until(lambda: "OOM" in quota.problem or "memory" in quota.problem)
            account = quota.account("anna", time.monotonic())
            taken = 0
            while quota.failures < 3:
                taken += account.charge(1, 0, time.monotonic()) is None
                await asyncio.sleep(0)
            assert taken <= 5 + 5

    asyncio.run(run())


def test_a_redis_that_lost_everything_is_told_again_which_tails_are_open(given, monkeypatch):
    monkeypatch.setattr("tailrace.access.shared.QUOTA_BEAT_S", 0.1)

    async def run():
        async with servers(given, 2, Allowance(tails=2)) as (one, two):
            await opened(one)
            await one._books._redis.delete(f"{given.prefix}quota:name:anna")
            async with asyncio.timeout(20):
                while used(two, "tails") != 1:
                    await ask(two)

    asyncio.run(run())


def test_more_names_than_fit_into_one_round_trip_are_settled_all(given, monkeypatch):
    monkeypatch.setattr("tailrace.access.shared.QUOTA_PAGES_MAX", 7)

    async def run():
        async with servers(given, 2, Allowance(lines_per_s=10)) as (one, two):
            for n in range(50):
                one.account(f"name {n}", 0).charge(1_000, 0, time.monotonic())
            books = [one.account(f"name {n}", 0).books[0] for n in range(50)]
            await until(lambda: all(book.is_idle(0) for book in books))
            for n in range(50):
                account = await two.ask(f"name {n}", time.monotonic())
                assert account.charge(1, 0, time.monotonic()) is not None

    asyncio.run(run())


def test_the_choice_without_redis_and_the_address_are_checked_before_the_start():
    for wrong in (
        Redis(when_gone="perhaps"),
        Redis(url="http://there"),
        Redis(url="redis://"),
        Redis(url="redis://user:secret@there:1"),
    ):
        with pytest.raises(ConfigError) as caught:
            wrong.check()
        assert "secret" not in str(caught.value)
    for right in ("", "redis://there", "rediss://[::1]:6380/3", "unix:///run/redis.sock?db=1"):
        Redis(url=right).check()
    assert Config().redis.url == ""


def test_a_server_without_redis_loads_nothing_of_it():
    program = (
        "import sys, tailrace.server, tailrace.process as process, tailrace.config as config; "
        "process._quota(config.Config()); print({'redis', 'tailrace.access.shared'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout == b"set()\n"
